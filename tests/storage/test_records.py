"""Files of records that went through other programs, and records that nobody can use: each costs only itself."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import records
from storage.records import DatasetError, read_records

GOOD = {"instance_id": "a", "n": 1}


def _read(path: Path, content: bytes | str) -> tuple[list[Any], list[str]]:
    """(records, `place: reason`) of a file with this content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    found = list(read_records(path))
    bad = [f"{where.removeprefix(str(path))}: {record}" for where, record in found if isinstance(record, str)]
    return [record for _, record in found if not isinstance(record, str)], bad


BAD_LINES = {
    "{": "not JSON",
    "null": "expected a JSON object, not NoneType",
    '"text"': "expected a JSON object, not str",
    "[" * 100_000: "nested too deeply",
    '{"a": ' * 100_000: "nested too deeply",
    '{"instance_id": "x", "patch": "1", "patch": "2"}': "patch: named twice in one object",
    '{"n": ' + "9" * 5000 + "}": "Exceeds the limit",
    "{'instance_id': 'x'}": "not JSON",
    "\x00\x00": "not JSON",
}


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: line[:12])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_line_costs_itself(tmp_path: Path, line: str, end: str) -> None:
    good = json.dumps(GOOD)
    found, bad = _read(tmp_path / "p.jsonl", end.join([good, line, "", good, ""]))
    assert found == [GOOD, GOOD]
    (problem,) = bad
    assert problem.startswith(":2: ")
    assert BAD_LINES[line] in problem


def test_bytes_and_halves_of_characters_stay_what_they_are(tmp_path: Path) -> None:
    lines = b'{"a": "caf\xe9"}\n{"a": "caf\\udce9"}\n{"a": "\\ud83d"}\n{"a": "\\ud83d\\ude00"}\n'
    found, bad = _read(tmp_path / "p.jsonl", lines)
    assert ([record["a"] for record in found], bad) == (["caf\udce9", "caf\udce9", "\ud83d", "😀"], [])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_what_windows_writes(tmp_path: Path, encoding: str, suffix: str) -> None:
    text = json.dumps({"instance_id": "é", "patch": "a\r\nb"}, ensure_ascii=False) + "\r\n"
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    found, bad = _read(tmp_path / f"p{suffix}", mark + text.encode(encoding))
    assert (found, bad) == ([{"instance_id": "é", "patch": "a\r\nb"}], [])


def test_a_file_that_breaks_off_keeps_what_is_whole(tmp_path: Path) -> None:
    good = json.dumps(GOOD)
    found, bad = _read(tmp_path / "p.jsonl", f"{good}\n{good[:-4]}")
    assert (found, bad[0].endswith("the file ends within this line")) == ([GOOD], True)
    found, bad = _read(tmp_path / "p.json", f'[{good}, {{"a": "]}}", "b": [{{}}]}}, {good[:-4]}')
    assert found == [GOOD, {"a": "]}", "b": [{}]}]
    assert bad == [": the list is cut off: what follows its last whole record is left out"]
    found, bad = _read(tmp_path / "p16.jsonl", f"{good}\n".encode("utf-16") + b"\x00")
    assert (found, len(bad)) == ([GOOD], 1)


def test_one_record_of_a_json_list_or_object_costs_itself(tmp_path: Path) -> None:
    deep, good = "[" * 100_000 + "]" * 100_000, json.dumps(GOOD)
    found, bad = _read(tmp_path / "p.json", f'[{good}, {{"a": {deep}}}, 5, {good}]')
    assert found == [GOOD, GOOD]
    assert bad == ["[2]: not JSON: nested too deeply"]
    found, bad = _read(tmp_path / "by_id.json", '{"a": {"n": 1}, "b": 2, "c": {"n": 1, "n": 2}}')
    assert found == [GOOD]
    assert [problem.split(":")[0] for problem in bad] == ["[2]", "[3]"]


def test_a_line_without_end_is_never_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LINE_LIMIT", 1 << 20)
    path = tmp_path / "p.jsonl"
    with path.open("wb") as file:
        file.write(b'{"a": "')
        for _ in range(50):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n{"b": 1}\n')
    tracemalloc.start()
    try:
        found = list(read_records(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == [(f"{path}:1", "longer than 1 Mi characters"), (f"{path}:2", {"b": 1})]
    assert peak < 12 << 20


def test_a_file_of_something_else_is_not_read_to_its_end(tmp_path: Path) -> None:
    found, bad = _read(tmp_path / "p.jsonl", "{\n" * 5000)
    assert found == []
    assert len(bad) == records.PROBLEMS_LIMIT + 1
    assert "the rest of the file is left out" in bad[-1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p.jsonl", gzip.compress(b"{}", mtime=0), "packed with gzip"),
        ("p.json", b"PK\x03\x04....", "packed with zip"),
        ("p.jsonl", b"PAR1....", "holds Parquet"), ("p.json", b"[1, ", "not JSON"), ("p.json", b"nope", "not JSON"),
        ("p.parquet", b"PAR1", "not Parquet"), ("p.csv", b"a,b", "expected .jsonl"), ("p.jsonl.gz", b"", "not '.gz'"),
    ],
)  # fmt: skip
def test_files_that_are_something_else(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        _read(tmp_path / name, content)


@pytest.mark.parametrize("name", ["p.jsonl", "p.json"])
def test_an_empty_file_is_said(tmp_path: Path, name: str) -> None:
    content = "\n\n" if name == "p.jsonl" else "[]"
    assert _read(tmp_path / name, content) == ([], [": holds no record"])


def test_columns_of_other_programs(tmp_path: Path) -> None:
    table = pa.table(
        {
            "sample": pa.array([0.0, 1.0, None]),
            "nothing": pa.array([float("nan")] * 3),
            "cost": pa.array([Decimal("1.50"), Decimal("2.00"), None], pa.decimal128(9, 2)),
            "id": pa.array(["a", "b", "a"]).dictionary_encode(),
            "patch": pa.array(["x", "y", "z"], pa.large_string()),
            "raw": pa.array([b"caf\xe9", b"", None], pa.binary()),
            "at": pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC")),
            "day": pa.array([date(2024, 1, 1)] * 3),
            "took": pa.array([timedelta(seconds=3)] * 3),
            "steps": pa.array([[{"a": 1}], [], None]),
        }
    )
    pq.write_table(table, tmp_path / "p.parquet")
    first, _, last = [record for _, record in read_records(tmp_path / "p.parquet") if isinstance(record, dict)]
    assert first == {
        "sample": 0.0, "nothing": None, "cost": 1.5, "id": "a", "patch": "x", "raw": "caf\udce9", "took": 3.0,
        "at": datetime(2024, 1, 1, tzinfo=UTC), "day": date(2024, 1, 1), "steps": [{"a": 1}],
    }  # fmt: skip
    assert (last["sample"], last["cost"], last["steps"]) == (None, None, None)


def test_a_time_that_python_cannot_hold_costs_its_row(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "at": pa.array([0, 2**62], pa.int64()).cast(pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "p.parquet")
    (_, first), (where, second) = read_records(tmp_path / "p.parquet")
    assert isinstance(first, dict)
    assert first["id"] == "a"
    assert where.endswith("[2]")
    assert "cannot be read" in second


def test_a_damaged_parquet_file_keeps_the_rows_before(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"id": [f"{n:050}" for n in range(300)]}), path, row_group_size=100, compression=None,
                   use_dictionary=False)  # fmt: skip
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    found = list(read_records(path))
    assert found[0][1] == {"id": f"{0:050}"}
    assert "cannot be read further after" in found[-1][1]


def test_files_put_one_behind_the_other_and_lines_in_a_json_file(tmp_path: Path) -> None:
    file = tmp_path / "both.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\xef\xbb\xbf{"a": 2}\n')
    assert [record for _, record in read_records(file)] == [{"a": 1}, {"a": 2}]
    (tmp_path / "lines.json").write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(DatasetError, match=r"not JSON: Extra data.*; one record a line is \.jsonl"):
        list(read_records(tmp_path / "lines.json"))
