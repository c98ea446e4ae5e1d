"""The leak watch: what an agent is shown, held against the human's diff while it works."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from queue import Full, Queue
from typing import Any

from tasks.agents.gateway.models import LeakSeen
from tasks.agents.gateway.protocols import Shape
from tasks.agents.gateway.said import Voice, said
from tasks.code.leaks import find_leaks

LONGEST = 200_000
"""Characters of one text that are looked at (a second or so); of a longer one both ends."""
MOST_WAITING = 100
"""Requests that wait to be looked at; what comes then is left out, and that is counted."""
BETWEEN = "\n\n%%%%%%%%\n\n"
"""Between the two, so that nothing is found that begins in one and ends in the other."""


class LeakWatch:
    """Measures what one attempt is shown of the human's added lines.

    Counted are prompts (all that is said to the model and neither comes from a tool nor was written by it) and results
    of tools. What the model itself wrote before is known to it: an agent that finds the human's lines by itself, and
    then sees them in its own files, was shown nothing. Texts are looked at once, in a thread, so that no answer waits.
    """

    def __init__(self, patch: str, known: Sequence[str] = ()) -> None:
        """`patch`: the human's. `known`: texts of base that show some of it anyhow."""
        self._patch, self._known = patch, list(known)
        self._seen = LeakSeen(lines_added=find_leaks("", patch, known).lines_added)
        self._queue: Queue[tuple[Shape, dict[str, Any]] | None] = Queue(MOST_WAITING)
        self._left_out = 0
        self._done: set[bytes] = set()
        self._model: list[str] = []
        self._places: dict[Voice, set[tuple[int, int]]] = {"prompt": set(), "tool": set()}
        self._thread: threading.Thread | None = None

    @property
    def seen(self) -> LeakSeen:
        """So far; all of it after `close`."""
        return self._seen.model_copy(update={"left_out": self._left_out})

    def note(self, shape: Shape, body: dict[str, Any]) -> None:
        """Look at a request; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="leak watch", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait((shape, body))
        except Full:
            self._left_out += 1

    def close(self) -> LeakSeen:
        """Wait until everything was looked at."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        return self.seen

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            for voice, text in said(*item):
                self._look(voice, text)

    def _look(self, voice: Voice, text: str) -> None:
        mark = hashlib.sha256(f"{voice}\0{text}".encode("utf-8", "replace")).digest()
        if mark in self._done:
            return
        self._done.add(mark)
        text = text if len(text) <= LONGEST else text[: LONGEST // 2] + BETWEEN + text[-LONGEST // 2 :]
        if voice == "model":
            self._model.append(text)
            return
        if not find_leaks(text, self._patch, self._known).leaks:
            return
        known = [*self._known, *self._model]  # only where there is something, since it takes long
        alone = find_leaks(text, self._patch, known)
        if not alone.leaks:
            return
        self._places[voice] |= alone.places
        names = tuple(sorted({*self._seen.names, *alone.names}))
        self._seen = self._seen.model_copy(
            update={
                "prompt": len(self._places["prompt"]),
                "tool_results": len(self._places["tool"]),
                "names": names,
            }
        )
