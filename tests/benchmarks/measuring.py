"""What measures of perf tests on repositories share: their options, and how they show their rows."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks.perftests_gates import table


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--store`, `--url` and `--json`."""
    parser.add_argument("--store", type=Path, help="folder for one store per configuration (default: a temporary one)")
    parser.add_argument("--url", action="append", default=[], help="owner/name=where to clone it from, any number")
    parser.add_argument("--json", type=Path, help="write the rows here, too")


def folder_and_urls(asked: argparse.Namespace) -> tuple[Path, dict[str, str]]:
    """Where the stores go, and where to clone each repository from."""
    folder = asked.store or Path(tempfile.mkdtemp(prefix="isobench-measures-"))
    return folder, dict(item.split("=", 1) for item in asked.url)


def show_rows(rows: Sequence[dict[str, Any]], path: Path | None) -> None:
    """Print one table per row, which has a `repository`, and write them as JSON."""
    for row in rows:
        Console(width=100).print(table([{"": key, row["repository"]: value} for key, value in row.items()], ""))
    if path:
        path.write_text(json.dumps(rows, indent=1))
