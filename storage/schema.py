"""Arrow schemas, derived from the row types, and migrations of parts that an older version wrote."""

from __future__ import annotations

import types
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

from configs.errors import UserError
from storage.tables import Row

WRITTEN_AT = "written_at"
"""Column that the store adds: when the row was written, UTC. The newest row of a key wins."""
VERSION_KEY = b"isobench.schema_version"

Migration = Callable[[pa.Table], pa.Table]
MIGRATIONS: dict[tuple[str, int], Migration] = {}
"""(table, version it reads) -> function to the next version. Added when a row type changes incompatibly."""


class SchemaError(UserError, ValueError):
    """A part does not hold what its row type says, or comes from a newer isobench."""


@lru_cache
def arrow_schema(row: type[Row]) -> pa.Schema:
    """Columns of the row type in order, then `written_at`, with the version in the metadata."""
    fields = [_field(name, info.annotation) for name, info in row.model_fields.items()]
    fields.append(pa.field(WRITTEN_AT, pa.timestamp("us", tz="UTC"), nullable=False))
    return pa.schema(fields, metadata={VERSION_KEY: str(row.schema_version).encode()})


def conform(table: pa.Table, row: type[Row], where: str, columns: tuple[str, ...] | None = None) -> pa.Table:
    """Bring a part of any older version to the current schema, all columns or those named.

    Columns that the part lacks are filled with the field's default; columns that the row type does not know are left
    out. Raises SchemaError, naming `where`, if the part is newer than this code, lacks a required column, or has a
    column of another type or with missing values that may not be missing.
    """
    table = _migrate(table, row, where)
    target = arrow_schema(row)
    if columns is not None:
        target = pa.schema([field for field in target if field.name in columns], metadata=target.metadata)
    if table.schema.equals(target, check_metadata=True):
        return table  # written by this version: the usual case
    found = {}
    for field in target:
        if field.name in table.column_names:
            found[field.name] = _column(table.column(field.name), field, where)
            continue
        info = row.model_fields.get(field.name)
        if info is None or info.is_required():
            raise SchemaError(f"{where}: column '{field.name}' is missing")
        found[field.name] = pa.array([info.get_default(call_default_factory=True)] * len(table), type=field.type)
    return pa.table(found, schema=target)


def _migrate(table: pa.Table, row: type[Row], where: str) -> pa.Table:
    text = (table.schema.metadata or {}).get(VERSION_KEY, b"1")
    if not text.isdigit():
        raise SchemaError(f"{where}: schema version {text!r} is not a number")
    version = int(text)
    if version > row.schema_version:
        raise SchemaError(f"{where}: schema version {version} is newer than {row.schema_version}; update isobench")
    while version < row.schema_version:
        migrate = MIGRATIONS.get((row.table, version))
        if migrate is None:
            raise SchemaError(f"{where}: no migration of {row.table} from version {version}")
        table = migrate(table)
        version += 1
    return table


def _column(column: pa.ChunkedArray, field: pa.Field, where: str) -> pa.ChunkedArray:
    if column.null_count and not field.nullable:
        raise SchemaError(f"{where}: column '{field.name}' lacks {column.null_count} values")
    # other tools write the same texts and times in other widths; a number in a text column is a mistake
    if column.type != field.type and _sort_of(column.type) not in (_sort_of(field.type), "nothing"):
        raise SchemaError(f"{where}: column '{field.name}' holds {column.type}, not {field.type}")
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise SchemaError(f"{where}: column '{field.name}': {error}") from error


def _sort_of(kind: pa.DataType) -> str:
    sorts = {
        "nothing": pa.types.is_null,
        "whole numbers": pa.types.is_integer,
        "numbers": pa.types.is_floating,
        "texts": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t),
        "times": pa.types.is_timestamp,
        "lists": lambda t: pa.types.is_list(t) or pa.types.is_large_list(t),
    }
    if pa.types.is_dictionary(kind):
        return _sort_of(kind.value_type)
    return next((name for name, test in sorts.items() if test(kind)), str(kind))


def _field(name: str, annotation: Any) -> pa.Field:
    inner, nullable = _optional(annotation)
    return pa.field(name, _arrow_type(inner), nullable=nullable)


def _optional(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(rest) == 1:
            return rest[0], True
        raise TypeError(f"a column cannot be a union: {annotation}")
    return annotation, False


def _arrow_type(annotation: Any) -> pa.DataType:
    simple = {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        datetime: pa.timestamp("us", tz="UTC"),
        date: pa.date32(),
    }
    if annotation in simple:
        return simple[annotation]
    origin = get_origin(annotation)
    if origin is Literal:
        return pa.string()
    if origin is list:
        (item,) = get_args(annotation)
        inner, nullable = _optional(item)
        # the name that Parquet gives it, so that what is read back has the same schema
        return pa.list_(pa.field("element", _arrow_type(inner), nullable=nullable))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct([_field(name, info.annotation) for name, info in annotation.model_fields.items()])
    raise TypeError(f"no Arrow type for {annotation}")
