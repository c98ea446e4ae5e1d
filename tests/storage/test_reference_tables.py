"""The committed reference of tables is what the row types say."""

from __future__ import annotations

from pathlib import Path

from storage.reference import to_markdown
from storage.tables import TABLES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "tables.md"


def test_the_committed_page_is_current() -> None:
    renew = "run: python -m storage.reference > docs/reference/tables.md"
    assert PAGE.read_text(encoding="utf-8") == to_markdown() + "\n", renew


def test_every_table_and_column_is_there() -> None:
    page = to_markdown()
    for name, kind in TABLES.items():
        section = page.split(f"## `{name}`")[1].split("\n## ")[0]
        assert all(f"| `{column}` |" in section for column in kind.model_fields)


def test_every_column_says_what_it_means() -> None:
    silent = [
        f"{name}.{column}"
        for name, kind in TABLES.items()
        for column, info in kind.model_fields.items()
        if not (info.description or "").strip()
    ]
    assert not silent, "write a docstring below each of these columns in storage/rows/"
