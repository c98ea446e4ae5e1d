"""One running local command: its pipes, its time limit, and the end of everything that it started."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.sandbox.foreign_folders import remove
from tasks.sandbox.local.cgroups import Group
from tasks.sandbox.local.meters import command_meter
from tasks.sandbox.metering.processes import tree
from tasks.sandbox.models import ABANDONED, Completed, Limits, SandboxError
from tasks.sandbox.overuse import EVERY_S, Overused, overused
from tasks.sandbox.streams import MEBIBYTE, TAIL_BYTES, Tail, drain

_END_S = 5.0
"""How long the end of killed processes is awaited."""


@dataclass(frozen=True)
class Launch:
    """What to execute, and how."""

    argv: tuple[str, ...]
    cpus: tuple[int, ...] | None
    variables: dict[str, str]
    cwd: str
    pass_fds: tuple[int, ...] = ()
    info_fd: int = -1
    """Where bubblewrap says which process is the root of its process namespace; -1 without bubblewrap."""


class _Spawner:
    """Starts all commands from one thread that lives as long as this process.

    "Die with your parent" means the thread that started you: a task's own thread may end long before its command.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._lock = threading.Lock()

    def popen(self, launch: Launch) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._pid != os.getpid():  # first use, or a fork: threads do not survive it
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="isobench-spawner")
                self._pid = os.getpid()
        try:
            return self._pool.submit(_popen, launch).result()
        except RuntimeError as error:
            raise SandboxError("this process is ending and starts nothing more") from error


def _popen(launch: Launch) -> subprocess.Popen[bytes]:
    # Affinity is a thread's, and inherited: pinning this thread pins the command from its first instruction on.
    before = os.sched_getaffinity(0)
    try:
        if launch.cpus is not None:
            _pin(0, launch.cpus)
        return subprocess.Popen(
            launch.argv,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=launch.variables,
            cwd=launch.cwd,
            pass_fds=launch.pass_fds,
            start_new_session=True,
        )
    finally:
        os.sched_setaffinity(0, before)


def _pin(task: int, cpus: tuple[int, ...]) -> None:
    """0 is the calling thread."""
    try:
        os.sched_setaffinity(task, cpus)
    except ProcessLookupError:
        raise
    except OSError as error:
        cores = f"cores {list(cpus)} of {sorted(os.sched_getaffinity(0))}"
        raise SandboxError(f"cannot pin to {cores}: {error.strerror}") from error


_spawner = _Spawner()


def spawn(launch: Launch, limits: Limits, group: Group | None, private: Path | None) -> LocalProcess:
    """Start a command. `group` and `private` (a folder) are removed when it ends."""
    return LocalProcess(_spawner.popen(launch), launch.info_fd, limits, group, private)


class LocalProcess:
    """See `tasks.sandbox.models.Process`."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        info_fd: int,
        limits: Limits,
        group: Group | None,
        private: Path | None,
    ) -> None:
        assert popen.stdin is not None
        assert popen.stdout is not None
        assert popen.stderr is not None
        self.stdin: IO[bytes] = popen.stdin
        self.stdout: IO[bytes] = popen.stdout
        self._popen = popen
        self._group = group
        self._limited = group is not None and group.limiting
        self.meter = command_meter(popen.pid, group, confined=private is None)
        self._private = private
        self._info_fd = info_fd
        self._pidfd = os.pidfd_open(popen.pid)
        self._started = time.monotonic()
        self.abandoned = False
        self._timed_out = False
        self._overused: Overused | None = None
        self._killed = False
        self._lock = threading.Lock()
        self._completed: Completed | None = None
        self._stderr = Tail(limits.output_mb * MEBIBYTE)
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=drain, args=(popen.stderr, self._stderr), daemon=True),
            threading.Thread(target=self._watch, args=(limits,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Process id on the host: bubblewrap's, or the command's own."""
        return self._popen.pid

    def cpu_ns(self) -> int | None:
        """CPU time of everything that the command started so far; None if it cannot be known."""
        return self.meter.read_ns()

    def pin(self, cpus: tuple[int, ...]) -> None:
        """Move everything that it started so far to these cores. Raises SandboxError if that is refused."""
        for pid in tree(self._popen.pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    _pin(int(task), cpus)

    def _watch(self, limits: Limits) -> None:
        """Sleep until the command ends or its time is up, or it uses too much; then end all that it left behind."""
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        end = math.inf if limits.timeout_s is None else self._started + limits.timeout_s
        # With a control group the kernel watches.
        longest_s = math.inf if self._limited else EVERY_S
        while True:
            wait_s = min(longest_s, max(0.0, end - time.monotonic()))
            if poller.poll(None if wait_s == math.inf else wait_s * 1000):
                break
            self._timed_out = time.monotonic() >= end
            self._overused = None if self._limited else overused(self._popen.pid, limits)
            if self._timed_out or self._overused:
                break
        self._kill()
        self._ended.set()

    def poll(self) -> int | None:
        """Exit code, or None while it runs."""
        with self._lock:
            if self._popen.returncode is not None:
                return _shell_code(self._popen.returncode)
            # Not reaped here: until `_kill` has ended its process group, the group's number must stay taken.
            state = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if state is None:
            return None
        return state.si_status if state.si_code == os.CLD_EXITED else 128 + state.si_status

    def wait(self) -> None:
        """Until it ended, by itself or killed at its time limit."""
        self._ended.wait()

    def stderr_tail(self) -> bytes:
        """Last output on stderr (64 KiB at most)."""
        return self._stderr.value(TAIL_BYTES)

    def _kill(self) -> None:
        """End everything that the command started, and wait until it is gone. Does so once."""
        with self._lock:
            if self._popen.returncode is not None:
                return
            root = self._namespace_root()
            self._killed = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
            if self._killed and root is not None:
                # Its end is the end of every process in the namespace; bubblewrap then exits by itself.
                _signal(root)
                _await_end(self._pidfd, _END_S)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            if self._group is not None:
                self._group.kill()
            self._popen.wait()
            if root is not None:
                _await_end(root, _END_S)
                os.close(root)

    def _namespace_root(self) -> int | None:
        """A pidfd of the namespace's first process, or None without bubblewrap or before it made the namespace."""
        if self._info_fd < 0:
            return None
        try:
            poller = select.poll()
            poller.register(self._info_fd, select.POLLIN)
            poller.poll(1000)  # told within milliseconds of the start, or at its end not at all
            os.set_blocking(self._info_fd, False)
            return os.pidfd_open(int(json.loads(os.read(self._info_fd, 4096))["child-pid"]))
        except (OSError, ValueError, KeyError):
            return None
        finally:
            os.close(self._info_fd)
            self._info_fd = -1

    def close(self, timeout_s: float = 2.0) -> Completed:
        """Close stdin, wait up to `timeout_s`, then kill everything that the command started. Idempotent.

        Raises SandboxError if it was abandoned.
        """
        completed = self._completed or self._close(timeout_s)
        # Commands die with the thread that starts them, which ends before this process tells that it abandons them.
        died = completed.returncode in (None, 137) and not threading.main_thread().is_alive()
        if self.abandoned or died:
            raise SandboxError(ABANDONED)
        return completed

    def _close(self, timeout_s: float) -> Completed:
        with contextlib.suppress(OSError, ValueError):
            self.stdin.close()
        if timeout_s > 0:
            self._ended.wait(timeout_s)
        self._kill()
        self._ended.wait(_END_S)
        for thread in self._threads:
            thread.join(_END_S)
        with self._lock:
            if self._completed is None:
                self._completed = self._finish()
        return self._completed

    def _finish(self) -> Completed:
        code = _shell_code(self._popen.returncode)
        stderr = self._stderr.value()
        if self._group is not None and self._limited:
            out_of_memory = self._group.out_of_memory()
        else:
            out_of_memory = self._overused == "memory" or (code != 0 and _says_out_of_memory(stderr))
        if self._overused == "processes":
            stderr += b"\nended: it had more processes than it may\n"
        if self._group is not None:
            self._group.remove()
        if self._private is not None:
            remove(self._private)
        for closing in (self.stdout, self._popen.stderr):
            with contextlib.suppress(OSError, ValueError):
                closing.close()  # type: ignore[union-attr]
        os.close(self._pidfd)
        return Completed(
            returncode=None if self._killed else code,
            stdout=b"",
            stderr=stderr,
            duration_s=time.monotonic() - self._started,
            timed_out=self._timed_out,
            out_of_memory=out_of_memory,
            truncated=self._stderr.dropped,
        )


def _says_out_of_memory(stderr: bytes) -> bool:
    """Without a control group an allocation fails inside, and the program says so: believed, as it only does harm."""
    last = stderr.rstrip().rsplit(b"\n", 1)[-1]
    return last.startswith(b"MemoryError") or any(
        word in last for word in (b"bad_alloc", b"Cannot allocate memory", b"ArrayMemoryError", b"out of memory")
    )


def _signal(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _await_end(pidfd: int, timeout_s: float) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll(timeout_s * 1000)


def _shell_code(code: int) -> int:
    """A signal's number as shells tell it: 128 and the number."""
    return code if code >= 0 else 128 - code
