"""Docker images that hold dependencies: built in a container that uses the host's network, then committed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.environments.runners import Ran
from tasks.environments.variables import reaching_packages
from tasks.sandbox.engine import HOST_LABEL, OWNER_LABEL, connect, engine_errors, host
from tasks.sandbox.models import SandboxError
from tasks.sandbox.owners import OWNER

IMAGE = "isobench-env"
"""Repository of the images; the tag is the environment's id."""
_BUILD = "/isobench-build"
_ELSEWHERE = ("UV_CACHE_DIR", "UV_PYTHON_INSTALL_DIR", "PIP_CACHE_DIR", "NETRC")
"""Folders of this machine, which a container does not see."""
_OUTPUT_CHARACTERS = 20_000


def image_exists(image: str) -> bool:
    """Whether the engine holds an image. Raises SandboxError if no engine answers."""
    import docker.errors

    client = connect()
    try:
        with engine_errors():
            try:
                client.api.inspect_image(image)
            except docker.errors.ImageNotFound:
                return False
        return True
    finally:
        client.close()


def image_id(image: str) -> str:
    """Content digest of an image. Raises SandboxError, with advice, if there is none."""
    client = connect()
    try:
        with engine_errors(image):
            return str(client.api.inspect_image(image)["Id"])
    finally:
        client.close()


class DockerRunner:
    """Steps run in one builder container, as root inside, with the host's network. See `tasks.environments.runners`.

    The build folder is mounted, not copied, so that what the build makes for the arms needs no way out.
    """

    build = _BUILD
    environment = "/env"
    uv = f"{_BUILD}/uv"

    def __init__(self, image: str, build: Path, cache: Path) -> None:
        """`cache` is a folder for downloads, shared by all builds. Raises SandboxError."""
        import shutil

        import docker.types
        import uv

        shutil.copy2(uv.find_uv_bin(), build / "uv")
        cache.mkdir(parents=True, exist_ok=True)
        self._registry = {name: value for name, value in reaching_packages().items() if name not in _ELSEWHERE}
        authority = self._registry.get("SSL_CERT_FILE")
        if authority and os.path.isfile(authority):
            shutil.copyfile(authority, build / "authorities.crt")
            self._registry |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), f"{_BUILD}/authorities.crt")
        self._client = connect(timeout_s=600)
        self._host_build = build
        mounts = [
            docker.types.Mount(_BUILD, str(build.resolve()), type="bind"),
            docker.types.Mount("/isobench-cache", str(cache.resolve()), type="bind"),
        ]
        with engine_errors(image):
            self._container = self._client.api.create_container(
                image,
                ["sleep", "infinity"],
                entrypoint=[],
                user="0:0",
                labels={OWNER_LABEL: OWNER, HOST_LABEL: host()},
                host_config=self._client.api.create_host_config(network_mode="host", init=True, mounts=mounts),
            )["Id"]
            self._client.api.start(self._container)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None, variables: dict[str, str] | None = None
    ) -> Ran:
        """See `Runner`. Raises SandboxError if the engine fails."""
        started = time.monotonic()
        settings = {"UV_CACHE_DIR": "/isobench-cache", "UV_LINK_MODE": "copy", "UV_PYTHON_DOWNLOADS": "never"}
        with engine_errors():
            execution = self._client.api.exec_create(
                self._container,
                ["timeout", "-k", "5", f"{timeout_s:.0f}", *argv],
                environment={**settings, **self._registry, **(variables or {})},
                workdir=cwd or _BUILD,
            )["Id"]
            output = self._client.api.exec_start(execution)
            code = self._client.api.exec_inspect(execution)["ExitCode"]
        text = output.decode(errors="replace")[-_OUTPUT_CHARACTERS:]
        return Ran(int(code), text, time.monotonic() - started)

    def commit(self, tag: str) -> str:
        """Keep the container's files as an image; returns its name."""
        with engine_errors():
            self._client.api.commit(
                self._container, repository=IMAGE, tag=tag, changes=["LABEL isobench.environment=1"]
            )
        return f"{IMAGE}:{tag}"

    def close(self) -> None:
        """Remove the container, and give what it made in the build folder to this user. Idempotent."""
        with contextlib.suppress(SandboxError):
            owner = f"{os.getuid()}:{os.getgid()}"
            self.run(["chown", "-R", owner, _BUILD, "/isobench-cache"], timeout_s=120)
        with contextlib.suppress(SandboxError), engine_errors():
            self._client.api.remove_container(self._container, v=True, force=True)
        self._client.close()

    def __enter__(self) -> DockerRunner:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()
