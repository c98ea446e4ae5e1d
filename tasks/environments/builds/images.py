"""Docker images that hold dependencies: built in a container that reaches package indexes, then committed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Sequence
from typing import Any

from tasks.environments.builds.runners import (
    BUILD_DIR,
    CACHE_DIR,
    OUTPUT_CHARACTERS,
    PROCESSES,
    TOOLS_DIR,
    Place,
    Ran,
    clone_folders,
    memory_mb,
    not_sayable,
    prepare,
    steps_variables,
)
from tasks.environments.pythons.choosing import Choice
from tasks.registry import registry
from tasks.sandbox.docker.engine import HOST_LABEL, OWNER_LABEL, connect, default_image, engine_errors, host
from tasks.sandbox.local.bubblewrap import USER_ID
from tasks.sandbox.models import ENV_DIR, Mount, SandboxError
from tasks.sandbox.ownership import OWNER

IMAGE = "isobench-env"
"""Repository of the images; the tag is the environment's id."""
_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]
"""What root in a builder may do: change owners, as our own steps and package managers do."""
_AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT")


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


def choices_of_images(choices: Sequence[Choice], configured: str) -> list[Choice]:
    """Of these Pythons those for which the engine holds an image, and the first if it holds none.

    An image without `{python}` in its name has the Python that it has: the one that its tag names, or none is known
    and nothing is to be chosen. Raises SandboxError if no engine answers.
    """
    images = {default_image(configured, choice.version): choice for choice in choices}
    if choices and default_image(configured, "{python}") == default_image(configured, choices[0].version):
        named = re.search(r":.*?\b3\.(\d+)", default_image(configured))
        return [Choice(int(named[1]), "the image's")] if named else []
    return [choice for image, choice in images.items() if image_exists(image)] or list(choices[:1])


class DockerRunner:
    """Steps run in one builder container that sees its build folder and nothing of the machine. See `runners.Runner`.

    The build folder is mounted, not copied, so that what the build makes for the arms needs no way out. Steps are an
    unprivileged user's; the user's own commands may be root's (`as_root`), which installing system packages needs.
    Nothing in the container can gain rights, and root there has none over devices, the network or the kernel.
    """

    build = BUILD_DIR
    environment = ENV_DIR
    tools = TOOLS_DIR
    uv = f"{TOOLS_DIR}/bin/uv"
    python = "python3"

    def __init__(self, image: str, place: Place, as_root: bool) -> None:
        """Raises SandboxError."""
        self._registry = registry()
        prepare(place, self.environment, self.uv, self._registry)
        variables = steps_variables(BUILD_DIR, ENV_DIR, TOOLS_DIR, CACHE_DIR, self._registry)
        authority = self._registry.variables.get("SSL_CERT_FILE")
        if authority and os.path.isfile(authority):
            shutil.copyfile(authority, place.tools / "authorities.crt")
            variables |= dict.fromkeys(_AUTHORITIES, f"{TOOLS_DIR}/authorities.crt")
            variables.pop("SSL_CERT_DIR", None)
        self._variables = variables
        self._user = "0:0" if as_root else f"{os.getuid() or USER_ID}:{os.getgid() or USER_ID}"
        self._client = connect(timeout_s=600)
        with engine_errors(image):
            self._container = self._client.api.create_container(
                image,
                ["sleep", "infinity"],
                entrypoint=[],
                user="0:0",
                labels={OWNER_LABEL: OWNER, HOST_LABEL: host()},
                host_config=self._host_config(place),
            )["Id"]
            self._client.api.start(self._container)
        self._as_root(["sh", "-c", f"mkdir -p {ENV_DIR} && chown -R {self._user} {ENV_DIR} {BUILD_DIR} {CACHE_DIR}"])

    def _host_config(self, place: Place) -> Any:
        import docker.types

        shown = [
            *[mount for mount in self._registry.files if mount.target not in ("/", ENV_DIR)],
            *[Mount(source=path, target=str(path)) for path in [*clone_folders(place.clone), *place.named]],
            Mount(source=place.build, target=BUILD_DIR, read_only=False),
            Mount(source=place.cache, target=CACHE_DIR, read_only=False),
            Mount(source=place.tools, target=TOOLS_DIR),
        ]
        memory = memory_mb() * 2**20
        return self._client.api.create_host_config(
            # an index or a proxy on this machine's own loopback is reached through its network only
            network_mode="host" if self._registry.on_this_machine else "bridge",
            init=True,
            cap_drop=["ALL"],
            cap_add=_CAPABILITIES,
            security_opt=["no-new-privileges"],
            mem_limit=memory,
            memswap_limit=memory,
            pids_limit=PROCESSES,
            mounts=[
                docker.types.Mount(mount.target, str(mount.source.resolve()), type="bind", read_only=mount.read_only)
                for mount in shown
            ],
        )

    def run(
        self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None, variables: dict[str, str] | None = None
    ) -> Ran:
        """See `Runner`. Raises SandboxError if the engine fails."""
        return self._execute(self._user, argv, timeout_s, cwd, variables)

    def _as_root(self, argv: Sequence[str]) -> Ran:
        """A step of our own; before or after what strangers wrote, since it changes owners only."""
        return self._execute("0:0", argv, 120, "/", {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def _execute(
        self, user: str, argv: Sequence[str], timeout_s: float, cwd: str | None, variables: dict[str, str] | None
    ) -> Ran:
        started = time.monotonic()
        if reason := not_sayable(argv):
            return Ran(126, f"\n{reason}", 0)
        with engine_errors():
            execution = self._client.api.exec_create(
                self._container,
                ["timeout", "-k", "5", f"{timeout_s:.0f}", *argv],
                environment={**self._variables, **(variables or {})},
                workdir=cwd or BUILD_DIR,
                user=user,
            )["Id"]
            output = b""  # only its end is kept, however much there is
            for piece in self._client.api.exec_start(execution, stream=True):
                output = (output + piece)[-4 * OUTPUT_CHARACTERS :]
            code = self._client.api.exec_inspect(execution)["ExitCode"]
        text = output.decode(errors="replace")[-OUTPUT_CHARACTERS:]
        return Ran(int(code), text, time.monotonic() - started)

    def commit(self, tag: str) -> str:
        """Keep the container's files as an image; returns its name."""
        self._as_root(["chown", "-R", "0:0", ENV_DIR])  # else an arm, the same user inside, might own it
        with engine_errors():
            self._client.api.commit(
                self._container, repository=IMAGE, tag=tag, changes=["LABEL isobench.environment=1"]
            )
        return f"{IMAGE}:{tag}"

    def close(self) -> None:
        """Remove the container, and give what it made in the build folder to this user. Idempotent."""
        with contextlib.suppress(SandboxError):
            self._as_root(["chown", "-R", f"{os.getuid()}:{os.getgid()}", BUILD_DIR, CACHE_DIR])
        with contextlib.suppress(SandboxError), engine_errors():
            self._client.api.remove_container(self._container, v=True, force=True)
        self._client.close()

    def __enter__(self) -> DockerRunner:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()
