"""Changed functions that do nothing while an experiment runs: whether its result tells that. Loaded before the script.

Its text follows that of `inside/watch.py`. Setup still runs the real functions; when the probe begins to call the
experiment, the code of the changed ones is replaced by code that returns None. Standard library only, Python 3.8.
"""

import gc
import signal
import sys
import types
from typing import Any

if "Watch" not in globals():  # in a sandbox both texts are one module
    from tasks.perftests.inside.watch import Watch


class Late(BaseException):
    """Without the changed functions the experiment has no end."""


class Stubs(Watch):
    """Replaces the targets when the experiment begins."""

    seconds = 2.0

    def event(self, frame: Any, event: str, arg: Any) -> None:
        """sys.setprofile's callback."""
        if event == "call" and frame.f_code.co_filename == "<probe>" and frame.f_code.co_name == "run":
            sys.setprofile(None)
            self.replace()
            signal.signal(signal.SIGALRM, late)
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def replace(self) -> None:
        """All functions whose code lies in the targets' lines."""
        for found in gc.get_objects():
            if type(found) is types.FunctionType and self.name_of(found.__code__) is not None:
                found.__code__ = nothing.__code__.replace(co_freevars=found.__code__.co_freevars)


def nothing(*args: Any, **kwargs: Any) -> None:
    """What a stub does."""


def late(number: Any, frame: Any) -> None:
    """Handler of the alarm: it ends an experiment, and nothing of the probe's that comes after it."""
    while frame is not None:
        if frame.f_code.co_filename == "<probe>" and frame.f_code.co_name == "run":
            raise Late("without the changed functions it does not end")
        frame = frame.f_back


def begin(targets: dict, root: str, seconds: float) -> None:
    """Wait for the experiment; it may then take so many seconds."""
    stubs = Stubs(targets, root)
    stubs.seconds = seconds
    sys.setprofile(stubs.event)


def setup(seed: Any) -> None:
    """Nothing: the dialect wants it."""


def experiment(state: Any) -> None:
    """Nothing: the dialect wants it."""


def check_equivalence(reference: Any, candidate: Any) -> None:
    """Nothing: the dialect wants it."""
