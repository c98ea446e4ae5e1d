"""The Docker engine: connecting, naming what is ours, and sweeping what a dead process of ours left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.sandbox.models import SandboxError
from tasks.sandbox.ownership import owner_is_alive

if TYPE_CHECKING:
    import docker

OWNER_LABEL = "isobench.owner"
HOST_LABEL = "isobench.host"
SANDBOX_LABEL = "isobench.sandbox"
DEFAULT_IMAGE = "python:3.11-slim"
_HOW = "start it (`sudo systemctl start docker`, or `sudo dockerd &`), or use the local sandbox"


@lru_cache
def host() -> str:
    """This machine since its boot, and the space in which its process ids are counted."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    return "unknown"


def default_image(configured: str | None = None, python: str = "3.11") -> str:
    """Base image of docker environments: ISOBENCH_IMAGE if set, else what is configured, else `python:3.11-slim`.

    `{python}` in either stands for the version.
    """
    image = os.environ.get("ISOBENCH_IMAGE") or configured or DEFAULT_IMAGE
    return image.replace("{python}", python if python != "auto" else "3.11")


def connect(timeout_s: float = 120) -> docker.DockerClient:
    """A client of the engine that the environment names. Raises SandboxError, with advice, if none answers."""
    import docker

    with engine_errors():
        client = docker.from_env(timeout=int(timeout_s))
        client.ping()
    return client


@contextlib.contextmanager
def engine_errors(image: str | None = None) -> Iterator[None]:
    """Turn faults of the engine, and of the way to it, into SandboxError with advice."""
    import docker.errors
    import requests

    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise SandboxError(
            f"no image {image or ''}: `docker pull` it, or build one with deployments/images/build-base.sh "
            f"and set ISOBENCH_IMAGE ({error.explanation})"
        ) from error
    except docker.errors.APIError as error:
        raise SandboxError(f"the Docker engine refused: {error.explanation or error}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise SandboxError(f"no Docker engine answers: {_HOW} ({error})") from error


def remove_containers(client: docker.DockerClient, *labels: str) -> int:
    """Remove every container that carries all `labels` (`name=value`), running or not; returns how many there were."""
    import docker.errors

    found = client.api.containers(all=True, filters={"label": list(labels)})
    for container in found:
        # Gone, or being removed by someone else: what was wanted.
        with contextlib.suppress(docker.errors.APIError):
            client.api.remove_container(container["Id"], v=True, force=True)
    return len(found)


def sweep(client: docker.DockerClient) -> None:
    """Remove the containers of this machine's processes that no longer live."""
    for container in client.api.containers(all=True, filters={"label": [f"{HOST_LABEL}={host()}"]}):
        owner = container["Labels"].get(OWNER_LABEL, "")
        if not owner_is_alive(owner):
            remove_containers(client, f"{HOST_LABEL}={host()}", f"{OWNER_LABEL}={owner}")
