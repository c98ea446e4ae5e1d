"""litellm's table of prices and limits, read from the file that it brings along: its import takes seconds."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def entry_of(names: Iterable[str]) -> dict[str, Any] | None:
    """What the table says of the first name that it knows (USD per token, tokens); None if it knows none."""
    table = _table()
    return next((table[name] for name in names if name in table), None)


@lru_cache
def _table() -> dict[str, dict[str, Any]]:
    spec = find_spec("litellm")
    if spec is None or spec.origin is None:
        return {}
    file = Path(spec.origin).with_name("model_prices_and_context_window_backup.json")
    table: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return table
