"""Server-sent events."""

from __future__ import annotations

import json
from typing import Any


def event(data: dict[str, Any] | str, name: str | None = None) -> bytes:
    """One event, with a name where the protocol gives one."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()
