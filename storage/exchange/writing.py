"""Files that exports write: whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from configs.errors import UserError
from configs.escaping import for_json_line


def write_lines(path: str | Path, records: Iterable[Any]) -> int:
    """Write JSON Lines; returns how many. Raises UserError if the file cannot be written; the old file stays then."""
    path = Path(path)
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False) as file:
            for record in records:
                file.write(for_json_line(record) + "\n")
                count += 1
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    return count
