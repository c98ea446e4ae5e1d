"""Service package: runs commands so that they can do no harm, locally (bubblewrap) or in Docker.

    from tasks.sandbox import open_sandbox

    with open_sandbox(config.sandbox) as sandbox:
        done = sandbox.run(Command(argv=("python3", "-c", "print(1)"), limits=limits_of(config.sandbox)))

Importing this package loads neither the Docker SDK nor anything else that is heavy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.sandbox.models import (
    ARM_DIR,
    ENV_DIR,
    WORK_DIR,
    Arm,
    Command,
    Completed,
    Environment,
    Limits,
    Mount,
    Process,
    Sandbox,
    SandboxError,
)

if TYPE_CHECKING:
    from configs.models import SandboxConfig
    from tasks.sandbox.docker.sandbox import DockerSandbox
    from tasks.sandbox.local.sandbox import LocalSandbox

__all__ = [
    "ARM_DIR", "ENV_DIR", "WORK_DIR", "Arm", "Command", "Completed", "Environment", "Limits", "Mount", "Process",
    "Sandbox", "SandboxError", "confines", "limits_of", "open_sandbox",
]  # fmt: skip


def open_sandbox(config: SandboxConfig) -> Sandbox:
    """The sandbox that the configuration names. Use it as a context manager, or call `close()`.

    Raises SandboxError, with advice, if `docker` is asked for and no engine answers.
    """
    opened: DockerSandbox | LocalSandbox
    if config.uses_images:
        from tasks.sandbox.docker.sandbox import DockerSandbox

        opened = DockerSandbox()
    else:
        from tasks.sandbox.local.sandbox import LocalSandbox

        opened = LocalSandbox()
    opened.shared = tuple(Mount(source=Path(source), target=target) for source, target in config.mounts.items())
    opened.gpus = config.gpus
    return opened


def confines(config: SandboxConfig) -> bool:
    """Whether commands are held: by a container, or by a bubblewrap that works here."""
    from tasks.sandbox.local.bubblewrap import find_bubblewrap

    return config.uses_images or find_bubblewrap() is not None


def limits_of(config: SandboxConfig, timeout_s: float | None = 600) -> Limits:
    """The limits that the configuration sets for every process, with a time limit in seconds."""
    return Limits(
        memory_mb=config.memory_mb,
        pids=config.pids,
        tmp_mb=config.tmp_mb,
        output_mb=config.output_mb,
        timeout_s=timeout_s,
    )
