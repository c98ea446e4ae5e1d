"""Requests that were sent and are not booked yet: what a killed process leaves of its bill."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from tasks.sandbox import foreign


class Sent:
    """`<folder>/sent/<key>` holds the `call_id` of a request from before it is sent until its answer is a row.

    The file is looked at and changed under the request's lock (`ReplyCache.claim`), so one that is found there belongs
    to a process that is gone. No link among the files of a store is followed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, key: str) -> str:
        """The request is about to be sent; returns the `call_id` of its row."""
        call_id = uuid.uuid4().hex
        foreign.replace(self._folder, f"sent/{key}", call_id.encode())
        return call_id

    def left(self, key: str) -> str | None:
        """The `call_id` of a request that is not booked."""
        found = foreign.text(self._folder, f"sent/{key}", 64)
        return found if found and re.fullmatch(r"[0-9a-f]{32}", found) else None

    def booked(self, key: str) -> None:
        """Its row is written."""
        foreign.unlink(self._folder, f"sent/{key}")
