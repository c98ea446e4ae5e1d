"""The reference of all tables, made from the row types.

To renew the committed page: `python -m storage.reference > docs/reference/tables.md`.
"""

from __future__ import annotations

from storage.schema import arrow_schema
from storage.tables import TABLES, Row

_HEAD = """# Tables

Every stage leaves rows behind, as Parquet under `<store>/<table>/repo=<owner__name>/`. Parts are never changed: readers
take the newest row per key, which `Store.rows`, `Store.frame` and `isobench show` do. Every part has a further column
`written_at`. Times are UTC.

This page is generated from the row types in `storage/rows/`; after a change there, run
`python -m storage.reference > docs/reference/tables.md`.
"""


def to_markdown() -> str:
    """The reference page."""
    return "\n".join([_HEAD, *(_table(kind) for kind in TABLES.values())])


def _table(kind: type[Row]) -> str:
    text = " ".join((kind.__doc__ or "").split())
    lines = [f"## `{kind.table}`", "", text, "", f"Key: {', '.join(f'`{name}`' for name in kind.key_columns)}.", ""]
    lines += ["| column | type | meaning |", "| --- | --- | --- |"]
    schema = arrow_schema(kind)
    for name, info in kind.model_fields.items():
        field = schema.field(name)
        meaning = " ".join((info.description or "").split()).replace("|", "\\|")
        optional = ", optional" if field.nullable else ""
        lines.append(f"| `{name}` | {_type(str(field.type))}{optional} | {meaning} |")
    return "\n".join([*lines, ""])


def _type(name: str) -> str:
    return name.replace("timestamp[us, tz=UTC]", "timestamp").replace(" not null", "").replace("item: ", "")


if __name__ == "__main__":
    print(to_markdown())
