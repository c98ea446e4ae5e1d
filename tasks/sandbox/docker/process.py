"""One running container as a process with pipes.

Its streams come over two attached connections, stdin with stdout, and stderr alone, so that a reader who waits for
stdout never keeps stderr from being drained. A thread copies stdout from the engine's frames to an ordinary pipe that
`select` understands; that thread and the engine's own copies cost about 0.3 ms per exchange beside a local pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tasks.sandbox.docker.engine import engine_errors
from tasks.sandbox.docker.meter import container_meter
from tasks.sandbox.metering.models import Meter
from tasks.sandbox.models import ABANDONED, Completed, Limits, SandboxError
from tasks.sandbox.streams import CHUNK, MEBIBYTE, TAIL_BYTES, Tail

if TYPE_CHECKING:
    import docker

_END_S = 15
_FRAME_HEADER = 8
_PIPE_SIZE = MEBIBYTE


class _StdinSocket(io.RawIOBase):
    """The writing half of an attached connection; closing it is the end of the container's stdin."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._connection.fileno()

    def write(self, data: Any) -> int:
        """Write all of it."""
        self._connection.sendall(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_WR)
        super().close()


def _attach(client: docker.DockerClient, container: str, **streams: int) -> tuple[Any, socket.socket]:
    """The SDK's response, which must be kept alive, and its socket."""
    response = client.api.attach_socket(container, params={"stream": 1, **streams})
    connection = response._sock  # the SDK offers no other way to the socket
    connection.settimeout(None)
    return response, connection


def _copy_frames(connection: socket.socket, write: Callable[[bytes], object]) -> None:
    """Copy what the engine's frames hold until the connection ends."""
    buffer = bytearray()
    inside = 0  # bytes of the current frame that are still to come
    with contextlib.suppress(OSError):
        while data := connection.recv(CHUNK):
            buffer += data
            while buffer:
                if inside == 0:
                    if len(buffer) < _FRAME_HEADER:
                        break
                    inside = int.from_bytes(buffer[4:_FRAME_HEADER], "big")
                    del buffer[:_FRAME_HEADER]
                piece = bytes(buffer[:inside])
                del buffer[: len(piece)]
                inside -= len(piece)
                if piece:
                    write(piece)


class DockerProcess:
    """See `tasks.sandbox.models.Process`."""

    def __init__(self, client: docker.DockerClient, container: str, limits: Limits) -> None:
        """Attach to a created container and start it; raises SandboxError."""
        self._client = client
        self.container = container
        self._stderr = Tail(limits.output_mb * MEBIBYTE)
        self._timed_out = self._killed = self.abandoned = False
        self._code: int | None = None
        self._error: str | None = None
        self._completed: Completed | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()
        with engine_errors():
            self._responses = [
                _attach(client, container, stdin=1, stdout=1),
                _attach(client, container, stderr=1),
            ]
            (_, self._main), (_, errors) = self._responses
            self.stdin: IO[bytes] = _StdinSocket(self._main)  # type: ignore[assignment]
            reader, self._writer = os.pipe()
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._writer, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
            self.stdout: IO[bytes] = os.fdopen(reader, "rb", buffering=0)
            client.api.start(container)
            self.pid = self._find_pid()
            """Of the container's first process on this machine; None if the engine runs on another one."""
        self._started = time.monotonic()
        self._threads = [
            threading.Thread(target=self._pump_stdout, daemon=True),
            threading.Thread(target=_copy_frames, args=(errors, self._stderr.write), daemon=True),
            threading.Thread(target=self._watch, args=(limits.timeout_s,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def pin(self, cpus: tuple[int, ...]) -> None:
        """Nothing: the engine pins a container when it makes it."""

    def _find_pid(self) -> int | None:
        with contextlib.suppress(SandboxError, OSError), engine_errors():
            pid = int(self._client.api.inspect_container(self.container)["State"]["Pid"])
            # An engine elsewhere, or in a machine of its own, has other numbers.
            if pid and self.container in Path(f"/proc/{pid}/cgroup").read_text():
                return pid
        return None

    @cached_property
    def meter(self) -> Meter:
        """What counts its CPU time."""
        return container_meter(self._client, self.container, self.pid)

    def cpu_ns(self) -> int | None:
        """CPU time of everything that the command started so far; None if it cannot be known."""
        return self.meter.read_ns()

    def _pump_stdout(self) -> None:
        wanted = True

        def write(data: bytes) -> None:
            nonlocal wanted
            view = memoryview(data)
            try:
                while wanted and view:
                    view = view[os.write(self._writer, view) :]
            except OSError:
                wanted = False  # the reader is gone; what is not taken from the engine would stop it

        _copy_frames(self._main, write)
        os.close(self._writer)

    def _watch(self, timeout_s: float | None) -> None:
        import requests

        try:
            try:
                self._code = self._client.api.wait(self.container, timeout=timeout_s)["StatusCode"]  # type: ignore[arg-type]
            except requests.exceptions.RequestException:
                self._timed_out = True
                self._kill()
                self._code = self._client.api.wait(self.container, timeout=_END_S)["StatusCode"]
        except Exception as error:
            self._error = str(error)
        finally:
            self._ended.set()

    def _kill(self) -> None:
        import docker.errors

        # A refusal means that it is not running: what was wanted.
        with contextlib.suppress(docker.errors.APIError):
            self._client.api.kill(self.container, "SIGKILL")
            self._killed = True

    def poll(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._code

    def wait(self) -> None:
        """Until it ended, by itself or killed at its time limit."""
        self._ended.wait()

    def stderr_tail(self) -> bytes:
        """Last output on stderr (64 KiB at most)."""
        return self._stderr.value(TAIL_BYTES)

    def close(self, timeout_s: float = 2.0) -> Completed:
        """Close stdin, wait up to `timeout_s`, then kill and remove the container. Idempotent.

        Raises SandboxError if the engine stopped answering, or if it was abandoned.
        """
        with self._lock:
            if self._completed is None:
                with contextlib.suppress(OSError, ValueError):
                    self.stdin.close()
                if timeout_s > 0:
                    self._ended.wait(timeout_s)
                self._completed = self._finish()
        if self.abandoned:
            raise SandboxError(ABANDONED)
        return self._completed

    def _finish(self) -> Completed:
        import docker.errors

        out_of_memory = False
        try:
            with engine_errors():
                # Closed first: with output that nobody takes, a kill would wait for ever.
                self.stdout.close()
                if not self._ended.is_set():
                    self._kill()
                    self._ended.wait(_END_S)
                duration = time.monotonic() - self._started
                with contextlib.suppress(docker.errors.NotFound):
                    state = self._client.api.inspect_container(self.container)["State"]
                    out_of_memory = bool(state.get("OOMKilled"))
                with contextlib.suppress(docker.errors.NotFound):
                    self._client.api.remove_container(self.container, v=True, force=True)
        finally:
            for response, connection in self._responses:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                response.close()
                connection.close()
            for thread in self._threads:
                thread.join(_END_S)
        if self._error is not None:
            raise SandboxError(f"the Docker engine lost a container: {self._error}")
        return Completed(
            returncode=None if self._killed else self._code,
            stdout=b"",
            stderr=self._stderr.value(),
            duration_s=duration,
            timed_out=self._timed_out,
            out_of_memory=out_of_memory,
            truncated=self._stderr.dropped,
        )
