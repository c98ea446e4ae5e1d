"""Notes calls of the changed functions while something runs. Inside sandboxes, as a part of other texts.

Standard library only, syntax of Python 3.8.
"""

import os
import sys
import time
from typing import Any


class Watch:
    """Notes calls of the target functions, and the share of time spent in them (callees included)."""

    def __init__(self, targets: dict, root: str) -> None:
        self.targets, self.root = targets, os.path.realpath(root) + os.sep
        self.known: dict = {}
        self.seen: set = set()
        self.depth, self.start, self.inside, self.share = 0, 0.0, 0.0, 0.0
        self.calls, self.aside = 0, 0.0

    def run(self, body: Any) -> str:
        """Run it and return what it returns."""
        begin = time.perf_counter()
        sys.setprofile(self.event)
        try:
            return body()
        finally:
            sys.setprofile(None)
            self.share = self.inside / max(time.perf_counter() - begin - self.aside, 1e-9)

    def event(self, frame: Any, event: str, arg: Any) -> None:
        """sys.setprofile's callback."""
        if event not in ("call", "return"):
            return
        code = frame.f_code
        if code not in self.known:
            self.known[code] = self.name_of(code)
        name = self.known[code]
        if name is None:
            return
        if event == "call":
            self.seen.add(name)
            self.calls += 1
            if self.depth == 0:
                self.start = time.perf_counter()
            self.depth += 1
        elif self.depth:
            self.depth -= 1
            if self.depth == 0:
                self.inside += time.perf_counter() - self.start

    def name_of(self, code: Any) -> Any:
        """The target that a code object belongs to, or None."""
        path = os.path.realpath(code.co_filename)
        if not path.startswith(self.root):
            return None
        for first, last, name in self.targets.get(path[len(self.root) :], ()):
            if first <= code.co_firstlineno <= last:
                return name
        return None
