"""What both sandboxes do alike: check a command, know what runs, and end it all, also on exit."""

from __future__ import annotations

import atexit
import contextlib
import threading
import weakref
from abc import ABC, abstractmethod
from typing import Any, Generic, Self, TypeVar

from tasks.sandbox.models import Command, Completed, Mount, Process, SandboxError
from tasks.sandbox.streams import MEBIBYTE, Runnable, run_to_end

P = TypeVar("P", bound=Runnable)


class OpenSandbox(ABC, Generic[P]):
    """A sandbox that can be used from several threads. Subclasses say how one command is launched."""

    shared: tuple[Mount, ...] = ()
    """Mounts that every command gets, before its own."""
    gpus = False
    """Whether commands see the machine's NVIDIA GPUs."""

    @property
    def isolated(self) -> bool:
        """Whether commands are hidden from the machine, and it from them."""
        return True

    @property
    def pins_late(self) -> bool:
        """Whether a running command can be moved to other cores."""
        return False

    def __init__(self) -> None:
        self._running: weakref.WeakSet[P] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False
        _open.add(self)

    @abstractmethod
    def _launch(self, command: Command, beside: Any) -> P:
        """Start a command that was found sound. Raises SandboxError."""

    def run(self, command: Command, stdin: bytes = b"") -> Completed:
        """Run to the end. Raises SandboxError if the sandbox itself fails (no engine, no image, no such mount)."""
        return run_to_end(self.start(command), stdin, command.limits.output_mb * MEBIBYTE)

    def start(self, command: Command, beside: Process | None = None) -> P:
        """Start and talk to it over pipes; `beside`: on the network of a running one.

        Raises SandboxError if the sandbox itself fails (no engine, no image, no such mount).
        """
        if self._closed:
            raise SandboxError("the sandbox is closed")
        if not command.argv:
            raise SandboxError("the command is empty")
        if self.shared or self.gpus:
            command = command.model_copy(update={"mounts": (*self.shared, *command.mounts), "gpus": self.gpus})
        for mount in command.mounts:
            if not mount.source.exists():
                raise SandboxError(f"{mount.source} does not exist, and was to be mounted at {mount.target}")
            if mount not in self.shared and mount.source.is_symlink():
                raise SandboxError(f"{mount.source} is a link, and was to be mounted at {mount.target}")
        process = self._launch(command, beside)
        with self._lock:
            self._running.add(process)
        if self._closed:  # closed by another thread while this one was starting
            process.close(0)
            raise SandboxError("the sandbox is closed")
        return process

    def close(self) -> None:
        """End whatever is still running. Idempotent; also called on exit and on Ctrl-C."""
        self._closed = True
        with self._lock:
            running = list(self._running)
        for process in running:
            with contextlib.suppress(SandboxError):
                process.close(0)

    def abandon(self) -> None:
        """This process ends: how its commands end now is no result, and whoever asks for one gets SandboxError."""
        self._closed = True
        with self._lock:
            for process in self._running:
                process.abandoned = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


_open: weakref.WeakSet[OpenSandbox[Any]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for sandbox in list(_open):
        with contextlib.suppress(Exception):
            sandbox.abandon()
            sandbox.close()
