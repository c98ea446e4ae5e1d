"""Reading instances and predictions from files: JSON Lines, JSON, Parquet; tolerant of how the field writes them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from configs.errors import UserError
from configs.models import RepositoryConfig
from storage.perf_commands import command_script
from storage.store import Store
from storage.tables import Instance, TestDurations

Record = dict[str, Any]

ALIASES = {
    "head_commit": ("opt_commit", "opt_hash", "commit"),
    "patch": ("gt_diff", "gt_patch"),
    "efficiency_test": ("tests", "efficiency_tests", "perf_tests", "prob_script"),
    "base_commit": ("base_sha", "parent_commit"),
}
"""Canonical field -> names that other benchmarks use for it."""
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")


class DatasetError(UserError):
    """A file cannot be read at all: the message names it and says what is wrong."""


def is_file(path: str | Path) -> bool:
    """Whether the name is that of a dataset file, as opposed to a store."""
    return Path(path).suffix in SUFFIXES


def dialect_of(script: str) -> Literal["isobench", "gso", "command"]:
    """The dialect of a perf test: `gso` if it defines run_test, or a setup without a parameter, at its top level;
    `command` if it is a JSON object.
    """
    if script.lstrip().startswith("{"):
        return "command"
    try:
        body = ast.parse(script).body
    except (SyntaxError, ValueError):
        return "isobench"  # the probe reports what is wrong with it
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    setup = functions.get("setup")
    blind = setup is not None and not (setup.args.posonlyargs or setup.args.args or setup.args.vararg)
    return "gso" if "run_test" in functions or blind else "isobench"


def read_records(path: str | Path) -> Iterator[tuple[str, Record | str]]:
    """(`file:line`, record) for every record of a .jsonl, .json or .parquet file; a str says what is wrong instead.

    A .json file holds a list of records, or an object of records by instance id. Raises DatasetError for a file that
    cannot be read or has another suffix.
    """
    path = Path(path)
    if not is_file(path):
        raise DatasetError(f"{path}: expected .jsonl, .json or .parquet, not '{path.suffix}'")
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json, ".parquet": _parquet}
    try:
        yield from readers[path.suffix](path)
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: {getattr(error, 'strerror', None) or error}") from error


_FIELDS = {"url": "repo_url", "name": "repo"}
"""Of the repository, as a record has them."""


def read_instances(path: str | Path) -> tuple[list[Instance], list[str]]:
    """Instances of a store (a folder) or a file, and what is wrong with those left out, as `file:line: field: reason`.

    Needed: instance_id, repo, base_commit, efficiency_test (one script or a list) or perf_command, and head_commit or
    patch. Without
    repo_url the repository is GitHub's; other fields have defaults and unknown ones are ignored. Raises DatasetError if
    the path cannot be read at all.
    """
    if not is_file(path):
        if "://" not in str(path) and not Path(path).is_dir():
            raise DatasetError(f"{path}: neither a store nor a .jsonl, .json or .parquet file")
        return Store(path).rows(Instance), []
    found: dict[str, Instance] = {}
    problems = []
    for where, record in read_records(path):
        result = record if isinstance(record, str) else instance_from(record)
        if isinstance(result, str):
            problems.append(f"{where}: {result}")
        elif result.instance_id in found:
            problems.append(f"{where}: instance_id: {result.instance_id} appears twice; the first is used")
        else:
            found[result.instance_id] = result
    return list(found.values()), problems


def instance_from(record: Record) -> Instance | str:
    """The canonical instance, or the first thing wrong with the record, as `field: reason`."""
    data = {name: value for name, value in record.items() if value is not None}
    for name, aliases in ALIASES.items():
        for alias in aliases:
            if name not in data and alias in data:
                data[name] = data[alias]
    if data.get("perf_command") and not data.get("efficiency_test"):
        try:
            data["efficiency_test"] = [command_script(str(data["perf_command"]))]
        except ValueError as error:
            return f"perf_command: {error}"
    for name in ("instance_id", "repo", "base_commit", "efficiency_test"):
        if not data.get(name):
            return f"{name}: missing"
    if not data.get("head_commit") and not data.get("patch"):
        return "head_commit: missing, and so is patch; one of them is needed"
    scripts = data["efficiency_test"]
    data["efficiency_test"] = [scripts] if isinstance(scripts, str) else scripts
    durations = _durations(data.pop("duration_changes", None))
    defaults = {
        "repo_url": f"https://github.com/{data['repo']}.git",
        "created_at": None,
        "head_commit": "",
        "patch": "",
        "duration_changes": durations,
    }
    known = {name: value for name, value in data.items() if name in Instance.model_fields}
    try:
        made = Instance.model_validate({**defaults, **known})
        RepositoryConfig(name=made.repo, url=made.repo_url)
        return made
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"{_FIELDS.get(place, place)}: {first['msg']}"


def _durations(value: Any) -> list[TestDurations]:
    """Seconds per test where they are written as ours or with single numbers; else nothing, since they can be timed."""
    found = []
    for item in value if isinstance(value, list) else []:
        try:
            sides = {side: item[side] if isinstance(item[side], list) else [item[side]] for side in ("base", "head")}
            found.append(TestDurations.model_validate(sides))
        except (KeyError, TypeError, ValidationError):
            return []
    return found


def _json_lines(path: Path) -> Iterator[tuple[str, Record | str]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path}:{number}", _object(line)


def _object(line: str) -> Record | str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return value if isinstance(value, dict) else f"expected a JSON object, not {type(value).__name__}"


def _json(path: Path) -> Iterator[tuple[str, Record | str]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        raise DatasetError(f"{path}: not JSON: {error}") from error
    if isinstance(value, Mapping) and "instance_id" not in value:
        value = [{"instance_id": key, **item} if isinstance(item, dict) else item for key, item in value.items()]
    for number, item in enumerate(value if isinstance(value, list) else [value], 1):
        ok = isinstance(item, dict)
        yield f"{path}[{number}]", item if ok else f"expected a JSON object, not {type(item).__name__}"


def _parquet(path: Path) -> Iterator[tuple[str, Record | str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise DatasetError(f"{path}: not Parquet: {error}") from error
    for number, row in enumerate(rows, 1):
        yield f"{path}[{number}]", row
