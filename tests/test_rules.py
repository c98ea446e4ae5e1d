"""The rules of the house, by the syntax of its source: who imports whom, and what is sent into sandboxes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("configs", "storage", "tasks", "flows")
"""From the lowest one up: each imports itself and those before it."""
TOPS = (*LAYERS, "deployments")
STAGES = frozenset(path.parent.name for path in (ROOT / "tasks").glob("*/stage.py"))
PREFECT = re.compile(r"deployments/.*|flows/.*|tasks/decorators\.py|tasks/[a-z]+/stage\.py")
"""Files that may import Prefect: flows, doors, and what sets a server up."""
SOURCE_OF = re.compile(r"\b(getsource|getsourcelines|getsourcefile|get_source|get_data|get_code)$")
ON_THIS_SIDE = {
    "tasks/sandbox/local/sandbox.py": {"loopback.py"},  # makes the network that a sandbox then has
}
"""Files of ours that are started by name, but not inside a sandbox."""


@cache
def files() -> list[tuple[str, ast.Module]]:
    """Each file of the product with its syntax tree."""
    paths = [path for top in TOPS for path in sorted((ROOT / top).rglob("*.py"))]
    ours = [path for path in paths if not path.is_relative_to(ROOT / "configs/demo/answers")]  # those are a model's
    return [(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in ours]


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, `package.module.name`) of everything that a file imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (f"{node.module}." if node.module else "")
            yield from ((node.lineno, start + alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((node.lineno, str(each.value)) for each in node.args if isinstance(each, ast.Constant))


def wrong_imports(file: str, tree: ast.AST) -> list[str]:
    """Imports that a file may not make."""
    top, own = file.split("/")[:2]
    found = []
    for line, name in imported(tree):
        there, package = [*name.split("."), ""][:2]
        if there in ("", "tests"):
            found.append(f"{file}:{line} imports {name}: a relative name, or a test's")
        if top in LAYERS and there in LAYERS and LAYERS.index(there) > LAYERS.index(top):
            found.append(f"{file}:{line} imports {name}, which is above it")
        if top == there == "tasks" and package in STAGES - {own}:
            found.append(f"{file}:{line} imports {name}: of stages, a stage imports its own only")
        if there == "prefect" and not PREFECT.fullmatch(file):
            found.append(f"{file}:{line} imports Prefect and is no door")
    return found


def wrong_texts(file: str, tree: ast.AST) -> list[str]:
    """Sources of ours that a file takes as text, or starts by name, and that lie in no folder `inside/`."""
    if "/inside/" in file:
        return []  # it is inside already
    inside = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(".inside")
        for alias in node.names
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and SOURCE_OF.search(ast.unparse(node.func)):
            found.append(f"{file}:{node.lineno} reads the source of a module")
        if isinstance(node, ast.Attribute) and node.attr == "__file__":
            module = ast.unparse(node.value)
            if module not in inside and module != "configs":  # whose other files are data
                found.append(f"{file}:{node.lineno} takes the file of {module}, which is not inside")
        if _is_source(node) and _is_beside(node, tree) and node.value not in ON_THIS_SIDE.get(file, set()):
            found.append(f"{file}:{node.lineno} takes {node.value} beside it, which is not inside")
    return found


def _is_source(node: ast.AST) -> TypeGuard[ast.Constant]:
    """Whether it is the name of a source file."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    return re.fullmatch(r"[\w/]+\.py", node.value) is not None


def _is_beside(name: ast.Constant, tree: ast.AST) -> bool:
    """Whether a file's name is a part of a path from the file that names it, and that path has no `inside`."""
    around = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.Call) and name in ast.walk(node)]
    if not around or "inside" in ast.unparse(around[0]):
        return False
    return any(isinstance(node, ast.Name) and node.id == "__file__" for node in ast.walk(around[0]))


@pytest.mark.parametrize("rule", [wrong_imports, wrong_texts])
def test_the_product_keeps_the_rule(rule) -> None:
    assert len(STAGES) >= 10
    assert len(files()) > 400
    assert [bad for file, tree in files() for bad in rule(file, tree)] == []


@pytest.mark.parametrize(
    ("file", "bad"),
    [
        ("configs/models.py", "from storage.store import Store"),
        ("storage/store.py", "def later():\n    import tasks.caching"),
        ("tasks/caching.py", "from flows import dataset"),
        ("tasks/mining/mine.py", "from tasks.timing.models import Race"),
        ("tasks/mining/mine.py", "from tasks import timing"),
        ("tasks/sandbox/base.py", "import tasks.mining.stage"),
        ("tasks/code/diffs.py", "from importlib import import_module\nimport_module('tasks.apis.find')"),
        ("tasks/registry.py", "from tasks.environments.models import Built"),
        ("tasks/mining/mine.py", "from prefect import task"),
        ("storage/parts.py", "import prefect.settings"),
        ("tasks/mining/git/stage.py", "from prefect import task"),
        ("tasks/mining/mine.py", "from .git import clone"),
        ("flows/dataset.py", "from tests.inside import INSIDE"),
    ],
)
def test_other_imports_are_seen(file: str, bad: str) -> None:
    assert wrong_imports(file, ast.parse(bad))


@pytest.mark.parametrize(
    "bad",
    [
        "from tasks.sandbox import models\ntext = Path(models.__file__).read_text()",
        "import inspect\ntext = inspect.getsource(probe)",
        "text = (Path(__file__).parent / 'helper.py').read_text()",
        "text = Path(__file__).with_name('helper.py').read_text()",
        "HERE = Path(__file__).parents[1] / 'sources' / 'helper.py'",
    ],
)
def test_other_texts_are_seen(bad: str) -> None:
    assert wrong_texts("tasks/some/where.py", ast.parse(bad))


def test_every_folder_has_its_line() -> None:
    """In the README of its top folder: `package/`, and on the same line the rooms of the package."""
    missing = []
    for top in TOPS:
        lines = (ROOT / top / "README.md").read_text(encoding="utf-8").splitlines()
        for folder in sorted(path.parent for path in (ROOT / top).rglob("__init__.py")):
            package, _, room = folder.relative_to(ROOT / top).as_posix().partition("/")
            mine = " ".join(line for line in lines if f"`{package}/`" in line)
            if package != "." and not (mine if not room else f"`{room}/`" in mine or room.endswith("inside")):
                missing.append(f"{top}/README.md says nothing of {package}/{room}")
    assert missing == []
