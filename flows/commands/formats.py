"""Rows of a table for other programs: JSON, CSV, Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from configs.escaping import for_csv, for_json_line, for_markdown
from flows.commands.terminal import hand_over

Form = Literal["table", "json", "csv", "markdown"]


def print_as(form: Form, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows to stdout, all values in full."""
    hand_over(written(form, rows, columns))


def written(form: Form, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as text. JSON is one object a line, CSV has a header, and in Markdown a text takes one line."""
    if form == "json":
        return "".join(f"{for_json_line({name: row[name] for name in columns})}\n" for row in rows)
    if form == "csv":
        return "".join(
            f"{','.join(map(for_csv, line))}\n"
            for line in (columns, *([row[name] for name in columns] for row in rows))
        )
    lines = [columns, ["---"] * len(columns), *([_cell(row[name]) for name in columns] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else for_markdown(value)
