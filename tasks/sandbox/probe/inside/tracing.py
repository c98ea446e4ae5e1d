"""Which lines of the checkout a call executes. The probe executes this file inside sandboxes: standard library only,
syntax of Python 3.8.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
import os
import sys
import threading
from typing import Any, Dict, Set

PATIENCE = 20000  # lines, about 10 ms of tracing


class Lines:
    """Lines below a folder that were executed, in all threads.

    Tracing costs 50 times the run. A function that went over PATIENCE lines without a new one is left alone.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.seen: Dict[Any, Set[int]] = {}
        self.mine: Dict[Any, Any] = {}
        self.repeats: Dict[Any, int] = {}

    def on_line(self, frame: Any, event: Any, arg: Any) -> Any:
        """Local trace function."""
        if event == "line":
            code = frame.f_code
            if frame.f_lineno not in self.seen[code]:
                self.seen[code].add(frame.f_lineno)
                self.repeats[code] = 0
            else:
                self.repeats[code] = self.repeats.get(code, 0) + 1
                if self.repeats[code] > PATIENCE:
                    self.mine[code], frame.f_trace_lines = None, False
        return self.on_line

    def on_call(self, frame: Any, event: Any, arg: Any) -> Any:
        """Global trace function."""
        code = frame.f_code
        if code not in self.mine:
            path = os.path.realpath(code.co_filename)
            self.mine[code] = path if path.startswith(self.root + os.sep) else None
        if self.mine[code] is None:
            return None
        self.seen.setdefault(code, set()).add(frame.f_lineno)
        return self.on_line

    def traced(self, function: Any, *args: Any) -> Any:
        """Call a function under trace."""
        threading.settrace(self.on_call)
        sys.settrace(self.on_call)
        try:
            return function(*args)
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def found(self) -> Dict[str, Any]:
        """Sorted line numbers by path."""
        lines: Dict[str, Any] = {}
        for code, numbers in self.seen.items():
            path = os.path.relpath(os.path.realpath(code.co_filename), self.root)
            lines.setdefault(path, set()).update(numbers)
        return {path: sorted(numbers) for path, numbers in lines.items()}
