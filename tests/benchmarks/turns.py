"""Asking the kernel, from outside, for turns of another length on behalf of the processes that were started here.

Since Linux 6.12 a thread of the ordinary policy may ask for its slice by `sched_setattr(2)` (`sched_runtime`, 0.1 to
100 ms; 0 gives the system's own back, a few milliseconds). Python has no such function, hence ctypes.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_SET_GET = {"x86_64": (314, 315), "aarch64": (274, 275), "riscv64": (274, 275)}
"""Numbers of sched_setattr and sched_getattr."""
_ATTRIBUTES = struct.Struct("=IIQiIQQQII")
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period, two bounds of use."""
_RUNTIME = 5


def take_turns(turn_ns: int) -> None:
    """Have all processes below this one take turns of that length, 0 for the system's own.

    Raises OSError if one of them may not, or if the kernel took the wish and keeps another length.
    """
    for thread in _threads_below(os.getpid()):
        with suppress(ProcessLookupError):  # it ended meanwhile
            attributes = _ask(thread)
            attributes[_RUNTIME] = turn_ns
            _call(0, thread, bytearray(_ATTRIBUTES.pack(*attributes)), 0)
            if turn_ns and _ask(thread)[_RUNTIME] != turn_ns:
                raise OSError(f"Linux {platform.release()} does not grant turns of {turn_ns / 1e6:g} ms")


def _threads_below(root: int) -> Iterator[int]:
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        with suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                waiting += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
                if pid != root:
                    yield int(task)


def _ask(thread: int) -> list[int]:
    data = bytearray(_ATTRIBUTES.size)
    _call(1, thread, data, _ATTRIBUTES.size, 0)
    return list(_ATTRIBUTES.unpack(data))


def _call(which: int, thread: int, data: bytearray, *more: int) -> None:
    """One of the two calls; raises OSError."""
    number = _SET_GET[platform.machine()][which]
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = (ctypes.c_char * len(data)).from_buffer(data)
    if libc.syscall(ctypes.c_long(number), ctypes.c_int(thread), buffer, *map(ctypes.c_uint, more)) < 0:
        raise OSError(ctypes.get_errno(), f"{os.strerror(ctypes.get_errno())} (turns of thread {thread})")
