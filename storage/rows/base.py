"""What every row type is."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    """Base of all rows. Subclasses set `table`, `key_columns` and, when they change, a higher `schema_version`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    table: ClassVar[str]
    key_columns: ClassVar[tuple[str, ...]]
    schema_version: ClassVar[int] = 1
