"""Ctrl-C: nothing more is sent, and answers that are under way, which will be charged for, are waited for and kept."""

from __future__ import annotations

import threading

_stopped = threading.Event()
_under_way: set[int] = set()
_changed = threading.Condition()


class Stopped(RuntimeError):
    """The run was interrupted before the request was sent."""


def stop() -> None:
    """No thread of this process sends anything from now on."""
    _stopped.set()


def go_on() -> None:
    """A new run begins."""
    _stopped.clear()


def sending() -> None:
    """This thread is about to send a request; `answered` takes it back. Raises Stopped."""
    with _changed:
        if _stopped.is_set():
            raise Stopped("interrupted: nothing more is sent")
        _under_way.add(threading.get_ident())


def answered() -> None:
    """This thread waits for no answer any more, and what came is kept."""
    with _changed:
        _under_way.discard(threading.get_ident())
        _changed.notify_all()


def under_way() -> int:
    """Threads that have sent something and not yet kept its answer."""
    with _changed:
        return len(_under_way)


def wait_for_answers() -> None:
    """Until the answers that are under way are kept."""
    with _changed:
        while _under_way:
            _changed.wait(1)  # with a limit, since a wait without one lets no Ctrl-C through on every system


def pause(seconds: float) -> None:
    """Sleep, but not longer than the run goes on."""
    _stopped.wait(seconds)
