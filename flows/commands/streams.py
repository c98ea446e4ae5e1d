"""What others print while a command works: libraries, logs, warnings, tracebacks. Nothing of it steers the terminal."""

from __future__ import annotations

import sys
import threading
import warnings
from typing import IO, Any

from configs.escaping import for_terminal


class Guarded:
    """A text stream that spells out characters which would steer a terminal. To libraries it is no terminal."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write it, made safe; the length of what was given, as callers expect."""
        self.stream.write(for_terminal(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """As `write`."""
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """No."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def behind(stream: IO[str]) -> IO[str]:
    """The stream behind the guard, for code that makes its texts safe itself."""
    return stream.stream if isinstance(stream, Guarded) else stream


def guard() -> None:
    """From now on all that others print passes here, uncaught errors of threads and warnings included.

    Never undone: logs are written until the process ends. Characters that a stream's encoding lacks are written out.
    """
    from flows.commands.terminal import crash, warn

    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, Guarded):
            continue
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, Guarded(stream))
    warnings.showwarning = lambda message, *_, **__: warn(str(message))
    sys.excepthook = lambda kind, error, trace: crash(error)
    threading.excepthook = lambda given: crash(given.exc_value) if given.exc_value else None
