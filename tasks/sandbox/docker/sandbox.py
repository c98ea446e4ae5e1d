"""The docker sandbox: every command is a container of its own that can reach nothing and leaves nothing.

A container starts in a few tenths of a second (a local process in 10 ms); an exchange over its pipes takes about 0.3 ms
longer than over local ones. Neither is inside the time that a perf test's own clocks see.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import Any, Literal

from tasks.sandbox.base import OpenSandbox
from tasks.sandbox.docker.engine import (
    HOST_LABEL,
    OWNER_LABEL,
    SANDBOX_LABEL,
    connect,
    default_image,
    engine_errors,
    host,
    remove_containers,
    sweep,
)
from tasks.sandbox.docker.janitor import start_janitor
from tasks.sandbox.docker.process import DockerProcess
from tasks.sandbox.metering.models import MeterName
from tasks.sandbox.models import FIRST_TO_END, WORK_DIR, Command, SandboxError
from tasks.sandbox.names import HOST_NAME, USER_ID, names, names_folder
from tasks.sandbox.ownership import OWNER
from tasks.sandbox.seccomp import docker_profile
from tasks.sandbox.streams import MEBIBYTE

_VARIABLES = {"HOME": WORK_DIR, "LANG": "C.UTF-8"}


class DockerSandbox(OpenSandbox[DockerProcess]):
    """Runs each command in a container: no network, no privileges, not root, read-only, with hard limits.

    `Command.network` gives the host's network and is for trusted set-up commands only. What a killed process leaves
    behind is removed by its janitor, and at the latest when the next sandbox opens.
    """

    kind: Literal["local", "docker"] = "docker"
    other_user = True

    def __init__(self) -> None:
        """Raises SandboxError, with advice, if no engine answers."""
        self._id = uuid.uuid4().hex
        self._client = connect()
        with engine_errors():
            sweep(self._client)
            # An engine whose kernel cannot filter would refuse every container that asks for it.
            filters = any("name=seccomp" in option for option in self._client.info().get("SecurityOptions") or ())
        self._seccomp = [f"seccomp={docker_profile()}"] if filters else []
        start_janitor()
        self._launched = False
        self._meter: MeterName = "none"
        super().__init__()

    @property
    def meter(self) -> MeterName:
        """What counts the CPU time of containers here: that of the first one, else tried out with the default image."""
        if self._meter == "none" and not self._launched:
            with contextlib.suppress(SandboxError):
                self.start(Command(argv=("cat",))).close(0)
        return self._meter

    def _launch(self, command: Command, beside: DockerProcess | None) -> DockerProcess:
        image = command.image or default_image()
        with engine_errors(image):
            container = self._client.api.create_container(
                image,
                list(command.argv),
                user=f"{USER_ID}:{USER_ID}",
                working_dir=command.cwd,
                environment={**_VARIABLES, **command.variables},
                stdin_open=True,
                hostname=None if beside is not None else HOST_NAME,  # it comes with the network
                entrypoint=[],
                labels={OWNER_LABEL: OWNER, HOST_LABEL: host(), SANDBOX_LABEL: self._id},
                healthcheck={"test": ["NONE"]},
                host_config=self._host_config(command, beside),
            )["Id"]
        try:
            process = DockerProcess(self._client, container, command.limits)
        except BaseException:
            self._remove(container)
            raise
        self._launched = True
        if self._meter == "none":  # that of a command which has ended already says nothing
            self._meter = process.meter.name
        return process

    def _remove(self, container: str) -> None:
        with contextlib.suppress(SandboxError), engine_errors():
            self._client.api.remove_container(container, v=True, force=True)

    def _host_config(self, command: Command, beside: DockerProcess | None) -> Any:
        import docker.types

        limits = command.limits
        memory = limits.memory_mb * MEBIBYTE
        size = f"size={limits.tmp_mb}m,nosuid,nodev,exec"
        network = "host" if command.network else "none"
        config = self._client.api.create_host_config(
            network_mode=network if beside is None else f"container:{beside.container}",
            read_only=True,
            init=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges", *self._seccomp],
            mem_limit=memory,
            memswap_limit=memory,
            oom_score_adj=FIRST_TO_END,
            pids_limit=limits.pids + 1,  # the init process counts too
            cpuset_cpus=None if command.cpus is None else ",".join(map(str, command.cpus)),
            device_requests=[docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])] if command.gpus else None,
            shm_size=limits.tmp_mb * MEBIBYTE,
            tmpfs={
                "/tmp": f"{size},mode=1777",
                WORK_DIR: f"{size},mode=0755,uid={USER_ID},gid={USER_ID}",
            },
            ulimits=[docker.types.Ulimit(name="core", soft=0, hard=0)],
            # The engine would copy all output to its disk too.
            log_config=docker.types.LogConfig(type="none"),
            mounts=[
                docker.types.Mount(mount.target, str(mount.source.resolve()), type="bind", read_only=mount.read_only)
                for mount in (*names(names_folder(), command.network), *command.mounts)
            ],
        )
        return config

    def image_digest(self, image: str) -> str:
        """The image's id, a hash of its configuration and layers. Raises SandboxError if there is no such image."""
        with engine_errors(image):
            return str(self._client.api.inspect_image(image)["Id"])

    def close(self) -> None:
        """End whatever is still running. Idempotent; also called on exit and on Ctrl-C."""
        if self._closed:
            return
        super().close()
        # Also what Ctrl-C caught between being created and being known here.
        with contextlib.suppress(SandboxError), engine_errors():
            remove_containers(self._client, f"{SANDBOX_LABEL}={self._id}")
        self._client.close()
