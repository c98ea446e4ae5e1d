"""Arrow schemas from row types, and parts of other versions, other tools, or broken ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, Field

from storage.schema import MIGRATIONS, VERSION_KEY, WRITTEN_AT, SchemaError, arrow_schema, conform
from storage.store import Store
from storage.tables import TABLES, Row

NOW = datetime(2024, 1, 1, tzinfo=UTC)


class Size(BaseModel):
    width: float
    names: list[str]


class Thing(Row):
    table: ClassVar[str] = "things"
    key_columns: ClassVar[tuple[str, ...]] = ("name",)
    schema_version: ClassVar[int] = 3

    name: str
    count: int
    share: float | None = None
    kind: Literal["a", "b"] = "a"
    tags: list[str] = Field(default_factory=list)
    sizes: list[Size] = Field(default_factory=list)
    seen: datetime = NOW
    good: bool = True


def part(version: int | None = 3, **columns) -> pa.Table:
    table = pa.table({"name": ["x", "y"], "count": [1, 2], WRITTEN_AT: pa.array([NOW, NOW]), **columns})
    return table if version is None else table.replace_schema_metadata({VERSION_KEY: str(version).encode()})


def test_schema_is_derived_from_the_row_type():
    schema = arrow_schema(Thing)
    assert schema.names == [*Thing.model_fields, WRITTEN_AT]
    assert schema.metadata == {VERSION_KEY: b"3"}
    assert schema.field("share").nullable
    assert not schema.field("count").nullable
    assert schema.field("seen").type == pa.timestamp("us", tz="UTC")
    assert schema.field("sizes").type.value_type.field("names").type.value_type == pa.string()


@pytest.mark.parametrize("kind", TABLES.values(), ids=lambda kind: kind.table)
def test_every_table_has_a_schema_and_its_keys(kind):
    assert set(kind.key_columns) <= set(arrow_schema(kind).names)
    assert TABLES[kind.table] is kind


@pytest.mark.parametrize("annotation", [int | str, dict[str, int], object, tuple[int, ...]])
def test_types_that_no_column_can_have_are_refused(annotation):
    bad = type("Bad", (Row,), {"__annotations__": {"x": annotation}, "__module__": __name__})
    with pytest.raises(TypeError):
        arrow_schema(bad)


def test_missing_columns_get_their_defaults():
    table = conform(part(), Thing, "here")
    assert table.schema.equals(arrow_schema(Thing), check_metadata=True)
    assert table.drop_columns(WRITTEN_AT).to_pylist()[1] == {
        "name": "y", "count": 2, "share": None, "kind": "a", "tags": [], "sizes": [], "seen": NOW, "good": True,
    }  # fmt: skip


def test_extra_columns_are_left_out_and_order_does_not_matter():
    table = conform(part(extra=[1, 2]).select(["extra", WRITTEN_AT, "count", "name"]), Thing, "here")
    assert table.schema.names == arrow_schema(Thing).names


def test_a_missing_required_column_is_named():
    with pytest.raises(SchemaError, match="here: column 'count' is missing"):
        conform(part().drop_columns("count"), Thing, "here")
    with pytest.raises(SchemaError, match="here: column 'written_at' is missing"):
        conform(part().drop_columns(WRITTEN_AT), Thing, "here")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"count": ["1", "2"]}, "column 'count' holds string, not int64"),
        ({"count": [1.0, 2.0]}, "column 'count' holds double, not int64"),
        ({"name": [1, 2]}, "column 'name' holds int64, not string"),
        ({"good": ["yes", "no"]}, "column 'good' holds string, not bool"),
        ({"tags": ["a", "b"]}, "column 'tags' holds string, not list"),
        ({"sizes": [[1], [2]]}, "column 'sizes'"),
        ({"count": pa.array([1, None])}, "column 'count' lacks 1 values"),
        ({"name": pa.array([None, None])}, "column 'name' lacks 2 values"),
        ({"count": pa.array([1, 2**64 - 1], type=pa.uint64())}, "column 'count'"),
    ],
)
def test_columns_of_another_type_are_named(columns, message):
    with pytest.raises(SchemaError) as caught:
        conform(part(**columns), Thing, "here")
    assert str(caught.value).startswith(f"here: {message}")


def test_what_other_tools_write_is_taken():
    table = conform(
        part(
            None,
            count=pa.array([1, 2], type=pa.int32()),
            name=pa.array(["x", "y"], type=pa.large_string()),
            kind=pa.array(["a", "b"]).dictionary_encode(),
            share=pa.array([None, None]),
            seen=pa.array([NOW, NOW], type=pa.timestamp("ns", tz="UTC")),
            tags=pa.array([["t"], []], type=pa.large_list(pa.large_string())),
        ).replace_schema_metadata({VERSION_KEY: b"3"}),
        Thing,
        "here",
    )
    assert table["tags"].to_pylist() == [["t"], []]
    assert table["kind"].to_pylist() == ["a", "b"]
    assert table["share"].to_pylist() == [None, None]


@pytest.fixture
def migrations(monkeypatch):
    def rename(table: pa.Table) -> pa.Table:
        return table.rename_columns(["count" if name == "number" else name for name in table.column_names])

    def double(table: pa.Table) -> pa.Table:
        index = table.column_names.index("count")
        return table.set_column(index, "count", pa.array([2 * value for value in table["count"].to_pylist()]))

    monkeypatch.setitem(MIGRATIONS, ("things", 1), rename)
    monkeypatch.setitem(MIGRATIONS, ("things", 2), double)


def test_older_parts_are_migrated_step_by_step(migrations):
    old = part(1).rename_columns(["name", "number", WRITTEN_AT])
    assert conform(old, Thing, "here")["count"].to_pylist() == [2, 4]
    assert conform(part(2), Thing, "here")["count"].to_pylist() == [2, 4]
    assert conform(part(3), Thing, "here")["count"].to_pylist() == [1, 2]
    unmarked = part(None).rename_columns(["name", "number", WRITTEN_AT])
    assert conform(unmarked, Thing, "here")["count"].to_pylist() == [2, 4]


def test_versions_that_cannot_be_read_say_so():
    with pytest.raises(SchemaError, match="here: schema version 4 is newer than 3; update isobench"):
        conform(part(4), Thing, "here")
    with pytest.raises(SchemaError, match="here: no migration of things from version 1"):
        conform(part(1), Thing, "here")
    with pytest.raises(SchemaError, match="schema version b'x' is not a number"):
        conform(part(None).replace_schema_metadata({VERSION_KEY: b"x"}), Thing, "here")


def test_a_store_reads_old_and_new_parts_together_and_by_column(migrations, tmp_path):
    store = Store(tmp_path)
    store.append([Thing(name="y", count=100), Thing(name="z", count=7)])
    folder = next(Path(tmp_path).glob("things/*"))
    old = part(1).rename_columns(["name", "number", WRITTEN_AT])
    pq.write_table(old, folder / "old-1.parquet")
    assert {row.name: row.count for row in store.rows(Thing)} == {"x": 2, "y": 100, "z": 7}
    assert dict(store.frame(Thing, columns=("count",)).rows()) == {"x": 2, "y": 100, "z": 7}


def test_only_the_columns_asked_for(migrations):
    assert conform(part(), Thing, "here", ("name", "tags", WRITTEN_AT)).schema.names == ["name", "tags", WRITTEN_AT]
