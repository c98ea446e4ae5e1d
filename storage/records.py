"""Records of files that strangers wrote: JSON Lines, JSON, Parquet. A record that is wrong costs nobody but itself."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from configs.errors import UserError

Record = dict[str, Any]
Found = tuple[str, Record | str]
"""(`file:line`, record), or what is wrong there."""

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
LINE_LIMIT = 32 << 20
"""Characters of one line of a JSON Lines file: what is longer is left out, and never in memory as a whole."""
JSON_LIMIT = 512 << 20
"""Bytes of a .json file, which has to be in memory as a whole."""
BATCH = 64
"""Rows of a Parquet file that are in memory at once."""
PROBLEMS_LIMIT = 1000
"""After so many bad records of a file the rest of it is left out: it is no file of records."""
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_MARKS = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
          (b"\xfe\xff", "utf-16"))  # fmt: skip
"""What a file begins with that is not in UTF-8."""


class DatasetError(UserError):
    """A file cannot be read at all: the message names it and says what is wrong."""


class _Repeated(dict[str, Any]):
    """A JSON object that names a key twice."""

    names: tuple[str, ...] = ()


def is_file(path: str | Path) -> bool:
    """Whether the name is that of a dataset file, as opposed to a store."""
    return Path(path).suffix in SUFFIXES


def read_records(path: str | Path) -> Iterator[Found]:
    """(`file:line`, record) for every record of a .jsonl, .json or .parquet file; a str says what is wrong instead.

    A .json file holds a list of records, or an object of records by instance id. Raises DatasetError for a file that
    cannot be read or has another suffix; where it breaks off later, the last thing said is that.
    """
    path = Path(path)
    if not is_file(path):
        raise DatasetError(f"{path}: expected .jsonl, .json or .parquet, not '{path.suffix}'")
    read: Callable[[Path], Iterator[Found]] = {".json": _json, ".parquet": _parquet}.get(path.suffix, _json_lines)
    bad = count = 0
    try:
        if path.suffix != ".parquet":
            _is_text(path)
        for where, record in read(path):
            count += 1
            bad += isinstance(record, str)
            yield where, record if isinstance(record, str) else plain(record)
            if bad == PROBLEMS_LIMIT:
                yield str(path), f"{bad} records cannot be used; the rest of the file is left out"
                return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if not count:
            raise error if isinstance(error, DatasetError) else DatasetError(f"{path}: {reason}") from error
        yield str(path), f"cannot be read further after {count} records: {reason}"
    if not count:
        yield str(path), "holds no record"


def plain(record: Record) -> Record:
    """The record in values that JSON has too, as frames and databases write other ones. NaN is None."""
    return {
        name: [_plain(item) for item in value] if isinstance(value, (list, tuple)) else _plain(value)
        for name, value in record.items()
    }


def _plain(value: Any) -> Any:
    """One value; what is nested deeper is nobody's column."""
    if isinstance(value, Decimal):
        value = int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, float) and math.isnan(value):
        return None  # how a frame says that there is no value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value


def _is_text(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    packing = next((name for magic, name in _PACKED.items() if start.startswith(magic)), None)
    if packing:
        raise DatasetError(f"{path}: packed with {packing}; unpack it first")
    if start.startswith(b"PAR1"):
        raise DatasetError(f"{path}: holds Parquet; name it .parquet")


def _opened(path: Path) -> TextIOWrapper:
    """The file as text. A byte that is not UTF-8 stays that byte; only line feeds end lines."""
    file = path.open("rb")
    start = file.read(4)
    file.seek(0)
    encoding = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    if encoding:
        return TextIOWrapper(file, encoding=encoding, errors="surrogatepass", newline="\n")
    return TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="\n")


def _json_lines(path: Path) -> Iterator[Found]:
    with _opened(path) as file:
        number = 0
        while line := file.readline(LINE_LIMIT + 1):
            number += 1
            where = f"{path}:{number}"
            if len(line) > LINE_LIMIT and not line.endswith("\n"):
                while (rest := file.readline(1 << 20)) and not rest.endswith("\n"):
                    pass
                yield where, f"longer than {LINE_LIMIT >> 20} Mi characters"
            elif line.strip():
                record = _object(line.removeprefix("\ufeff"))  # of a file that was put behind another
                cut_off = isinstance(record, str) and not line.endswith("\n")
                yield where, f"{record}; the file ends within this line" if cut_off else record


def _object(text: str) -> Record | str:
    try:
        return _checked(json.loads(text, object_pairs_hook=_pairs))
    except (ValueError, RecursionError) as error:
        return f"not JSON: {_why(error)}"


def _pairs(pairs: list[tuple[str, Any]]) -> Record:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = _Repeated(found)
    names = [name for name, _ in pairs]
    repeated.names = tuple(sorted({name for name in names if names.count(name) > 1} if len(names) < 1000 else ()))
    return repeated


def _checked(value: Any) -> Record | str:
    if isinstance(value, _Repeated):
        return f"{', '.join(value.names) or 'a key'}: named twice in one object"
    return value if isinstance(value, dict) else f"expected a JSON object, not {type(value).__name__}"


def _why(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _json(path: Path) -> Iterator[Found]:
    if path.stat().st_size > JSON_LIMIT:
        raise DatasetError(f"{path}: larger than {JSON_LIMIT >> 20} MiB; write one record a line, as .jsonl")
    with _opened(path) as file:
        text = file.read()
    try:
        value = json.loads(text, object_pairs_hook=_pairs)
    except (ValueError, RecursionError) as error:
        # an element of the list that is wrong, or a list that is cut off: the other elements are there
        whole = False
        for number, element in enumerate(_elements(text), 1):
            whole = True
            yield f"{path}[{number}]", _object(element)
        if not whole:
            lines = [line for line in text.splitlines() if line.strip()]
            hint = "; one record a line is .jsonl" if len(lines) > 1 and isinstance(_object(lines[0]), dict) else ""
            raise DatasetError(f"{path}: not JSON: {_why(error)}{hint}") from error
        if not text.rstrip().endswith("]"):
            yield str(path), "the list is cut off: what follows its last whole record is left out"
        return
    if isinstance(value, dict) and "instance_id" not in value:
        repeated = value.names if isinstance(value, _Repeated) else ()
        items = [_named(key, item) for key, item in value.items()]
        yield from ((f"{path}[{name}]", "named twice in one object; the last is used") for name in repeated)
    else:
        items = value if isinstance(value, list) else [value]
    for number, item in enumerate(items, 1):
        yield f"{path}[{number}]", _checked(item)


def _named(key: str, item: Any) -> Any:
    return {"instance_id": key, **item} if isinstance(item, dict) and not isinstance(item, _Repeated) else item


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


def _elements(text: str) -> Iterator[str]:
    """Text of each whole object in a list of objects, found by brackets alone."""
    start = re.match(r"\s*\[", text)
    depth, began = 0, -1
    for token in _TOKEN.finditer(text, start.end() if start else len(text)):
        sign = token[0]
        if sign in "[{":
            began = token.start() if depth == 0 else began
            depth += 1
        elif sign in "]}":
            depth -= 1
            if depth < 0:
                return
            if depth == 0:
                yield text[began : token.end()]


def _parquet(path: Path) -> Iterator[Found]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH):
                for row in _rows(batch):
                    number += 1
                    yield f"{path}[{number}]", row
    except pa.ArrowException as error:
        raise DatasetError(f"{path}: not Parquet: {error}" if not number else f"damaged: {error}") from error


def _rows(batch: Any) -> list[Record | str]:
    """The rows of a batch; of a batch with a value that Python cannot hold, each by itself."""
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError):
        return [_row(batch.slice(number, 1)) for number in range(len(batch))]


def _row(batch: Any) -> Record | str:
    try:
        return dict(batch.to_pylist()[0])
    except (ValueError, OverflowError) as error:
        return f"a value that cannot be read: {error}"
