"""The local sandbox: a command in bubblewrap where that works, else a plain process, with a warning once."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Literal

from tasks.sandbox.base import OpenSandbox
from tasks.sandbox.local import bubblewrap, cgroups, unconfined
from tasks.sandbox.local.meters import local_meter
from tasks.sandbox.local.process import Launch, LocalProcess, spawn
from tasks.sandbox.metering.models import MeterName
from tasks.sandbox.metering.processes import lists_children
from tasks.sandbox.models import FIRST_TO_END, WORK_DIR, Command, Limits, SandboxError
from tasks.sandbox.ownership import private_folder

DEFAULT_VARIABLES = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": WORK_DIR,
    "LANG": "C.UTF-8",
}
"""What a process finds in its environment besides `Command.variables`, in both sandboxes."""


class LocalSandbox(OpenSandbox[LocalProcess]):
    """Runs commands on this machine. Works as root and as a normal user.

    With bubblewrap: own user, process, network, IPC and host-name namespaces; only the system, the interpreter and the
    command's mounts are visible, read-only; /tmp, /work and /dev/shm are private and of limited size; a seccomp
    filter holds it to calls that do no harm and keep its cores and priority. Memory and process limits hold for the
    whole tree where control groups are writable; else per process (memory) and per user namespace (processes, not as
    root), and `overuse` watches the sum.
    Without bubblewrap: only resource limits, a process group and a private folder.
    """

    kind: Literal["local", "docker"] = "local"
    other_user = False

    def __init__(self, use_bubblewrap: bool | None = None) -> None:
        """`use_bubblewrap`: None takes it where it works; False never; True raises SandboxError where it does not."""
        self._bubblewrap = None if use_bubblewrap is False else bubblewrap.find_bubblewrap()
        if use_bubblewrap and self._bubblewrap is None:
            raise SandboxError("bubblewrap is not installed, or may not make namespaces here: see `isobench doctor`")
        if self._bubblewrap is None and use_bubblewrap is None:
            _warn_once()
        super().__init__()

    @property
    def isolated(self) -> bool:
        """Whether commands are hidden from the machine, and it from them."""
        return self._bubblewrap is not None

    @property
    def pins_late(self) -> bool:
        """Whether a running command can be moved to other cores: where the kernel lists what belongs to it."""
        return lists_children()

    @property
    def meter(self) -> MeterName:
        """What counts the CPU time of commands here."""
        return local_meter()

    def _launch(self, command: Command, beside: LocalProcess | None) -> LocalProcess:
        command = command.model_copy(update={"variables": {**DEFAULT_VARIABLES, **command.variables}})
        places, metering = cgroups.find_places(), cgroups.find_metering()
        try:
            group = cgroups.Group(places, command.limits, metering) if places or metering else None
        except OSError as error:
            raise SandboxError(f"cannot make a control group: {error}") from error
        private: Path | None = None
        try:
            if self._bubblewrap is not None:
                return self._launch_isolated(self._bubblewrap, command, group, beside)
            private = private_folder()
            command = unconfined.rewritten(command, private)
            shell = _shell(command.limits, group)
            launch = Launch((*shell, *unconfined.arguments(command)), command.cpus, command.variables, command.cwd)
            return spawn(launch, command.limits, group, private)
        except OSError as error:
            if group is not None:
                group.remove()
            if private is not None:
                shutil.rmtree(private, ignore_errors=True)
            raise SandboxError(f"cannot start {command.argv[0]}: {error}") from error

    def _launch_isolated(
        self, found: bubblewrap.Bubblewrap, command: Command, group: cgroups.Group | None, beside: LocalProcess | None
    ) -> LocalProcess:
        # Without a control group the system counts, but it never counts root's processes.
        limiting = group is not None and group.limiting
        limit_processes = None if limiting or os.getuid() == 0 else command.limits.pids
        info_read, info_write = os.pipe()
        try:
            with bubblewrap.seccomp_fd(found) as filter_fd:
                network = _network(command, beside)
                argv = bubblewrap.arguments(found, command, filter_fd, info_write, limit_processes, bool(network))
                fds = (info_write, *((filter_fd,) if filter_fd >= 0 else ()))
                shell = _shell(command.limits, group)
                return spawn(
                    Launch((*shell, *network, *argv), command.cpus, {}, "/", fds, info_read),
                    command.limits,
                    group,
                    None,
                )
        except OSError:
            os.close(info_read)
            raise
        finally:
            os.close(info_write)

    def image_digest(self, image: str) -> str:
        """Empty: there are no images here."""
        return ""


def _network(command: Command, beside: LocalProcess | None) -> tuple[str, ...]:
    """What starts a command on a network that others can join, or on that of another; nothing for one that is alone."""
    if beside is None and not command.meets:
        return ()
    how = ("hold",) if beside is None else ("join", str(beside.pid))
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("loopback.py")), *how, "--")


def _shell(limits: Limits, group: cgroups.Group | None) -> tuple[str, ...]:
    """A shell that joins the control group, sets limits and becomes the command: 1 ms, and safe in threads."""
    # ulimit counts files in 512-byte blocks and memory in KiB.
    steps = ["ulimit -c 0", f"ulimit -f {limits.tmp_mb * 2048}"]
    steps.append(f"{{ echo {FIRST_TO_END} > /proc/self/oom_score_adj || true; }} 2>/dev/null")
    if group is None or not group.limiting:
        steps.append(f"ulimit -d {limits.memory_mb * 1024}")
    if group is not None:
        steps += [f"echo $$ > '{path}'" for path in group.join_files]
    return ("/bin/sh", "-c", " && ".join(steps) + ' && exec "$@"', "sh")


@lru_cache
def _warn_once() -> None:
    warnings.warn(
        "bubblewrap is missing or may not make namespaces here: code runs as a plain process and is NOT isolated. "
        "Install it (`apt install bubblewrap`) or use the docker sandbox.",
        RuntimeWarning,
        stacklevel=3,
    )
