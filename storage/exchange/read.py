"""Instances from files: tolerant of how the field writes them, and plain about what cannot be used."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs.models import EnvironmentConfig, RepositoryConfig
from storage.exchange.iso_bench import command_script
from storage.ids import perf_test_id
from storage.records import DatasetError, Record, is_file, read_records
from storage.scripts import WRITE, dialect_of, problem_of
from storage.store import Store
from storage.tables import Instance, TestDurations
from storage.texts import storable, told
from storage.withdrawn import withdrawn_ids

ALIASES = {
    "instance_id": ("task_id",),
    "repo": ("repo_name", "repository"),
    "repo_url": ("clone_url",),
    "head_commit": ("opt_commit", "opt_hash", "gt_hash", "commit", "commit_hash"),
    "patch": ("gt_diff", "gt_patch", "human_patch", "diff_text"),
    "efficiency_test": ("efficiency_script", "tests", "efficiency_tests", "perf_tests", "prob_script"),
    "base_commit": ("base_sha", "parent_commit"),
    "created_at": ("commit_date", "date"),
    "pass_to_pass": ("PASS_TO_PASS",),
    "fail_to_pass": ("FAIL_TO_PASS",),
}
"""Canonical field -> names that other benchmarks use for it."""
FOREIGN = {
    "workload": f"`workload` is SWE-fficiency's script, which times itself; {WRITE}",
    "duration_changes": f"this looks like a record of SWE-Perf, whose tests are pytest's; {WRITE}",
    "container_name": "this looks like a record of FormulaCode, whose benchmarks are asv's; mine the repository with "
    "`perf_tests.sources: [asv]`",
    "FAIL_TO_PASS": "this looks like a record of SWE-bench, which has no perf tests",
}
"""A field of a benchmark whose records hold no perf test that can be run here -> what to say about it."""
TEXT_LIMIT = 16 << 20
"""Characters of a patch or a script."""
TESTS_LIMIT, TEST_NAME_LIMIT = 20_000, 2000
"""Tests of the repository that a record names, and characters of such a name."""
NAME_LIMIT = 300
"""Characters of a name."""
_COMMIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./^~@{}+-]*")
_FIELDS = {"url": "repo_url", "name": "repo"}
"""Of the repository, as a record has them."""


def read_instances(path: str | Path) -> tuple[list[Instance], list[str]]:
    """Instances of a store (a folder) or a file, and what is wrong with those left out, as `file:line: field: reason`.

    Needed: instance_id, repo, base_commit, efficiency_test (one script or a list) or perf_command, and head_commit or
    patch. Without repo_url the repository is GitHub's; other fields have defaults and unknown ones are ignored. Raises
    DatasetError if the path cannot be read at all.
    """
    if not is_file(path):
        if "://" not in str(path) and not Path(path).is_dir():
            raise DatasetError(f"{path}: neither a store nor a .jsonl, .json or .parquet file")
        return _of_store(Store(path))
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


class Refused(ValueError):
    """A record cannot be used: `field: reason`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")


def instance_from(record: Record) -> Instance | str:
    """The canonical instance, or the first thing wrong with the record, as `field: reason`."""
    data = {name: value for name, value in record.items() if value is not None and (name, value) != ("created_at", "")}
    for name, aliases in ALIASES.items():
        for alias in aliases:
            if not data.get(name) and alias in data:
                data[name] = data[alias]
    try:
        _needed(data)
        _check_names(data)
        data["patch"] = long_text("patch", data.get("patch", ""))
        return _instance(data, _scripts(data))
    except Refused as refused:
        return str(refused)


def _needed(data: Record) -> None:
    if data.get("perf_command") and not data.get("efficiency_test"):
        try:
            data["efficiency_test"] = [command_script(str(data["perf_command"]))]
        except ValueError as error:
            raise Refused("perf_command", str(error)) from None
    for name in ("instance_id", "repo", "base_commit", "efficiency_test"):
        if not data.get(name):
            raise Refused(name, f"missing{_hint(name, data)}")
    if not data.get("head_commit") and not data.get("patch"):
        raise Refused("head_commit", "missing, and so is patch; one of them is needed")


def problem_of_name(value: Any, is_path: bool = True) -> str:
    """Why a value cannot name an instance, a model or a repository, or nothing.

    Names go into messages, files, tables and hashes, so any text will do that can be printed. With `is_path`, one that
    would lead out of a folder does not.
    """
    if not isinstance(value, str):
        return "expected text"
    if not value.isprintable():
        return f"holds characters that cannot be printed: {told(value)}"
    if len(value) > NAME_LIMIT:
        return f"longer than {NAME_LIMIT} characters: {told(value)}"
    if is_path and (value.startswith("-") or "\\" in value or {"", ".", ".."} & set(value.split("/"))):
        return f"cannot be the name of a file: {told(value)}"
    return ""


def _check_names(data: Record) -> None:
    for name in ("instance_id", "repo"):
        if problem := problem_of_name(data[name]):
            raise Refused(name, problem)
    for name in ("base_commit", "head_commit"):
        value = data.get(name) or "HEAD"
        # git takes what begins with a dash for an option
        if not isinstance(value, str) or not _COMMIT.fullmatch(value) or ".." in value:
            raise Refused(name, f"not the name of a commit: {told(value)}")
    url = data.get("repo_url") or "x"
    if problem := problem_of_name(url, is_path=False):
        raise Refused("repo_url", problem)
    if url.startswith("-") or "::" in url.partition("/")[0]:
        raise Refused("repo_url", f"neither a URL nor a path: {told(url)}")


def _of_store(store: Store) -> tuple[list[Instance], list[str]]:
    """The instances of a store that were not withdrawn. It may be somebody else's: their names are looked at too."""
    found, problems = [], []
    gone = withdrawn_ids(store)
    for row in store.rows(Instance):
        if row.instance_id in gone:
            continue
        try:
            _check_names(row.model_dump(include={"instance_id", "repo", "base_commit", "head_commit", "repo_url"}))
            _check_sections(row)
            found.append(row)
        except Refused as refused:
            problems.append(f"{store.root}: {told(row.instance_id)}: {refused}")
    return found, problems


def long_text(field: str, value: Any) -> str:
    """A patch as it is stored: see `storage.texts.storable`. Raises Refused for what is none."""
    if not isinstance(value, str):
        raise Refused(field, f"expected text or null, not {type(value).__name__}")
    if len(value) > TEXT_LIMIT:
        raise Refused(field, f"longer than {TEXT_LIMIT >> 20} Mi characters")
    try:
        return storable(value)
    except ValueError as error:
        raise Refused(field, str(error)) from None


def _hint(name: str, data: Record) -> str:
    hints = (f"; {text}" for field, text in FOREIGN.items() if name == "efficiency_test" and field in data)
    return next(hints, "")


def _scripts(data: Record) -> list[str]:
    """The perf tests of a record."""
    # our own export in the layout of SWE-Perf names its tests as that does, and has the scripts beside
    found = data.get("efficiency_script") or data["efficiency_test"]
    if isinstance(found, str):
        found = _list_in_text(found)
    if not isinstance(found, list):
        raise Refused("efficiency_test", f"expected a script or a list of scripts, not {type(found).__name__}")
    for number, script in enumerate(found):
        if problem := problem_of(script):
            raise Refused(f"efficiency_test.{number}", problem)
        long_text(f"efficiency_test.{number}", script)
    return [script.removeprefix("\ufeff") for script in found]


def _list_in_text(text: str) -> Any:
    """A list that was written as JSON text, as some columns of tables are; else the text as the only script."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                return ast.literal_eval(text)  # as Python writes it, in some tables of SWE-Perf
    return [text]


def _instance(data: Record, scripts: list[str]) -> Instance:
    dialects = [dialect_of(script) for script in scripts]
    head = str(data.get("head_commit", ""))
    defaults = {
        "repo_url": f"https://github.com/{data['repo']}.git",
        "created_at": None,
        "head_commit": "",
        "duration_changes": _durations(data.pop("duration_changes", None)),
    }
    known = {name: value for name, value in data.items() if name in Instance.model_fields}
    for name in ("pass_to_pass", "fail_to_pass"):
        known[name] = _names_of_tests(name, data.get(name))
    if not known["pass_to_pass"] or "weakly_checked" not in known:
        known["weakly_checked"] = not known["pass_to_pass"]
    mine = {
        "efficiency_test": scripts,
        "dialects": dialects,
        "test_ids": [perf_test_id(data["repo"], head, *pair) for pair in zip(scripts, dialects, strict=True)],
    }
    try:
        made = Instance.model_validate({**defaults, **known, **mine})
    except ValidationError as error:
        raise Refused(*first_problem(error, _FIELDS)) from None
    _check_sections(made)
    return made


def _check_sections(row: Instance) -> None:
    """Whether what a row says of its repository and its environment is what a configuration may say. Raises Refused."""
    try:
        RepositoryConfig(name=row.repo, url=row.repo_url)
    except ValidationError as error:
        raise Refused(*first_problem(error, _FIELDS)) from None
    try:
        EnvironmentConfig.model_validate_json(row.environment or "{}")
    except ValidationError as error:
        raise Refused("environment", ": ".join(first_problem(error))) from None


def first_problem(error: ValidationError, names: dict[str, str] | None = None) -> tuple[str, str]:
    """(field, reason) of the first error, fields of `names` under their other name."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return (names or {}).get(place, place) or "record", first["msg"]


def _names_of_tests(field: str, value: Any) -> list[str]:
    """A list of pytest's names, also as JSON text, as SWE-bench has it. Raises Refused."""
    if value in (None, ""):
        return []
    names = _list_in_text(value) if isinstance(value, str) else value
    if not isinstance(names, list) or len(names) > TESTS_LIMIT:
        raise Refused(field, f"expected a list of at most {TESTS_LIMIT} names of tests")
    for name in names:
        if not isinstance(name, str) or not name or len(name) > TEST_NAME_LIMIT:
            raise Refused(field, f"not the name of a test: {told(name)}")
    return names


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


__all__ = ["DatasetError", "Record", "dialect_of", "instance_from", "is_file", "read_instances", "read_records"]
