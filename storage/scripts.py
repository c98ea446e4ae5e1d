"""Perf test scripts as text: which dialect one is in, whether it is a perf test at all, and its key."""

from __future__ import annotations

import ast
import json
import re
import sys
import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import ValidationError

from configs.models import CommandConfig
from storage.ids import perf_test_id
from storage.rows.benchmark import Instance
from storage.texts import told

Dialect = Literal["isobench", "gso", "command"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

WRITE = "write a script with setup, experiment and check_equivalence"
_NODE_ID = re.compile(r"[\w./\\-]+\.py(::[^\n]+)?|[^\s:]+(::[^\n]+)+")
_CARRIED = re.compile(r"^(?:NODEID|BENCHMARK) = (['\"])(.+)\1$", re.MULTILINE)
"""The test or benchmark in a script of the sources `pytest` and `asv`; the line with an empty name is a default."""
_NEEDED = {"isobench": ("setup", "experiment", "check_equivalence"), "gso": ("check_equivalence",)}


@dataclass(frozen=True)
class PerfTestText:
    """One perf test of an instance."""

    test_id: str
    script: str
    dialect: Dialect
    results_compared: bool = True
    """Whether a wrong result would be seen (see `Instance.results_compared`)."""


def dialect_of(script: str) -> Dialect:
    """The dialect of a perf test: `gso` if it defines run_test, or a setup without a parameter, at its top level;
    `command` if it is a JSON object. Of a text that is not Python `isobench`: who runs it says what is wrong.
    """
    if script.lstrip().startswith("{"):
        return "command"
    try:
        return _dialect(_parsed(script))
    except ValueError:
        return "isobench"


def workload_name(script: str) -> str:
    """What a perf test is about: the repository's test or benchmark that it carries, else the first words of its
    docstring; empty if it says neither.
    """
    if found := _CARRIED.search(script):
        return found[2]
    try:
        module = ast.Module(_parsed(script), type_ignores=[])
        words = (ast.get_docstring(module) or "").strip().splitlines()
    except ValueError:
        return ""
    return words[0].strip().rstrip(".") if words else ""


def problem_of(script: Any) -> str:
    """Why a text is not a perf test, or nothing: it is read here, since it is run much later."""
    if not isinstance(script, str):
        return f"expected the text of a script, not {type(script).__name__}"
    if _NODE_ID.fullmatch(script.strip()):
        return (
            f"{told(script.strip())} is the name of a pytest test, as in records of SWE-Perf, and not the text of a "
            f"script; {WRITE} that calls it"
        )
    if script.lstrip().startswith("{"):
        return _problem_of_command(script)
    try:
        body = _parsed(script)
    except ValueError as error:
        return str(error)
    defined = _names(body)
    dialect = _dialect(body)
    missing = [name for name in _NEEDED[dialect] if name not in defined]
    if dialect == "gso" and "run_test" not in defined and "experiment" not in defined:
        missing.append("run_test (or setup and experiment)")
    return f"the script does not define {', '.join(missing)}" if missing and "*" not in defined else ""


def perf_tests_of(row: Instance) -> list[PerfTestText]:
    """The perf tests of an instance: with the ids and dialects that it says, else with those that its texts have."""
    dialects: list[Dialect] = [dialect_of(script) for script in row.efficiency_test]
    said = len(row.dialects) == len(dialects) and set(row.dialects) <= set(DIALECTS)
    if said:
        dialects = row.dialects
    texts = list(zip(row.efficiency_test, dialects, strict=True))
    ids = [perf_test_id(row.repo, row.head_commit, script, dialect) for script, dialect in texts]
    if said and len(set(row.test_ids)) == len(ids):
        ids = row.test_ids
    compared = row.results_compared if len(row.results_compared) == len(texts) else [True] * len(texts)
    return [PerfTestText(key, *text, told) for key, text, told in zip(ids, texts, compared, strict=True)]


def _problem_of_command(script: str) -> str:
    try:
        CommandConfig.model_validate(json.loads(script))
    except ValidationError as error:
        first = error.errors()[0]
        return f"not a command: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        return f"begins like a command, but is not JSON: {error}"
    return ""


def _parsed(script: str) -> list[ast.stmt]:
    """Its statements. Raises ValueError with the reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(script.removeprefix("\ufeff")).body
    except SyntaxError as error:
        version = ".".join(map(str, sys.version_info[:2]))
        where = f"line {error.lineno}: " if error.lineno else ""
        raise ValueError(f"not Python, as version {version} reads it: {where}{error.msg}") from None
    except UnicodeEncodeError:
        raise ValueError("not Python: it holds half of a character") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"not Python: {error or 'nested too deeply'}") from None


def _dialect(body: list[ast.stmt]) -> Dialect:
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    setup = functions.get("setup")
    blind = setup is not None and not (setup.args.posonlyargs or setup.args.args or setup.args.vararg)
    return "gso" if "run_test" in functions or blind else "isobench"


def _names(body: list[ast.stmt]) -> set[str]:
    """What the script may define at its top level, also within `if` and `try`; `*` for what nobody can know."""
    found: set[str] = set()
    for top in body:
        inner = [top] if isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else ast.walk(top)
        for node in inner:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.alias):
                found.add((node.asname or node.name).partition(".")[0])
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("exec", "globals"):
                found.add("*")
    return found
