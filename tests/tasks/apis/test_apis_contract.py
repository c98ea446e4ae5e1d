"""Two manifests compared: what a change adds, removes and changes, and which old calls no longer work."""

from __future__ import annotations

import ast
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest

from configs.models import RepositoryConfig
from storage.store import Store
from storage.tables import Commit, Contract
from tasks.apis.contract import accepts, compare, manifest_of
from tasks.apis.find import find_apis
from tasks.apis.graph import Graph
from tasks.apis.nodes import Module
from tasks.apis.summary import summarise


def manifest(text: str) -> dict[str, str]:
    return manifest_of(Graph([Module("m", False, "m.py", summarise(dedent(text).encode()))]))


BEFORE = """
    def f(a, b=1): return a
    def gone(): return 1
    def _hidden(x): return x
    class Tree:
        def __init__(self, size): self.size = size
        def walk(self, depth=0): return depth
        def _step(self): return 1
"""


def test_manifest() -> None:
    assert manifest(BEFORE) == {
        "m.f": "f(a, b=1)",
        "m.gone": "gone()",
        "m.Tree": "__init__(self, size)",
        "m.Tree.walk": "walk(self, depth=0)",
    }


def test_added_removed_and_changed() -> None:
    after = """
        def f(a, b=1, *, fast=False): return a
        def _hidden(x, y): return x
        def more(): return 2
        class Tree:
            def __init__(self, size, kind): self.size = size
            def walk(self, depth: int = 0) -> int: return depth
    """
    found = compare(manifest(BEFORE), manifest(after))
    assert found.added == ["m.more"]
    assert found.removed == ["m.gone"]
    assert found.changed == [
        ("m.Tree", "__init__(self, size)", "__init__(self, size, kind)"),
        ("m.f", "f(a, b=1)", "f(a, b=1, *, fast=False)"),
    ]
    assert found.breaking == ["m.Tree", "m.gone"]
    same = compare(manifest(BEFORE), manifest(BEFORE))
    assert (same.added, same.removed, same.changed, same.breaking) == ([], [], [], [])


CALLS = [
    "f()", "f(1)", "f(1, 2)", "f(1, 2, 3)", "f(a=1)", "f(b=1)", "f(c=1)", "f(1, b=2)", "f(1, c=2)", "f(a=1, b=2)",
    "f(1, 2, c=3)", "f(1, 2, 3, 4, 5)", "f(z=1)", "f(1, z=2)", "f(b=1, c=2)", "f(a=1, b=2, c=3)", "f(1, b=2, c=3)",
    "f(1, 2, z=3)", "f(1, 2, 3, z=4)", "f(1, d=2)", "f(a=1, d=2)",
]  # fmt: skip
SIGNATURES = [
    "", "a", "a=1", "a, b", "a, b=1", "a=1, b=2", "a, /", "a, /, b", "a, *, b", "a, *, b=1", "*, a", "*, a=1",
    "*x", "**k", "*x, **k", "a, *x", "a, **k", "a, b, c=1", "a, b=1, *, c=2", "c", "a, *, c", "a, d=1",
]  # fmt: skip


def works(signature: str, call: str) -> bool:
    names: dict[str, object] = {}
    exec(f"def f({signature}): pass", names)
    try:
        eval(call, names)
    except TypeError:
        return False
    return True


def arguments(signature: str) -> ast.arguments:
    (made,) = ast.parse(f"def f({signature}): pass").body
    assert isinstance(made, ast.FunctionDef)
    return made.args


@pytest.mark.parametrize("before", SIGNATURES)
def test_what_is_accepted_agrees_with_python(before: str) -> None:
    """A signature that is said to take all old calls does; one that loses a call of ours is said to break."""
    for after in SIGNATURES:
        lost = [call for call in CALLS if works(before, call) and not works(after, call)]
        assert accepts(arguments(before), arguments(after)) == (not lost), (before, after, lost)


def test_swapped_arguments_break() -> None:
    assert not accepts(arguments("a, b"), arguments("b, a"))
    assert accepts(arguments("a, b, /"), arguments("x, y, /"))


def test_the_row_of_a_commit(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    identity = {f"GIT_{who}_{what}": "ada" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*command: str) -> str:
        done = subprocess.run(
            ["git", *command], cwd=origin, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    shas = []
    for text in ("def f(a):\n    return a\n", "def f(a):\n    return +a\n", "def f(a, b):\n    return a\n"):
        (origin / "m.py").write_text(text)
        git("add", ".")
        git("commit", "-qm", "x")
        shas.append(git("rev-parse", "HEAD"))
    store = Store(tmp_path / "store")
    git("clone", "-q", "--bare", ".", str(store.work / "clones" / "acme__m.git"))
    for parent, sha in zip([None, *shas], shas, strict=False):
        row = Commit(
            repo="acme/m", sha=sha, parent_sha=parent, author_date=datetime(2024, 1, 1, tzinfo=UTC), subject="x",
            message="x", functions_changed=["m.py::f"], kept=True, reason="kept",
        )  # fmt: skip
        store.append([row])
    repository = RepositoryConfig(name="acme/m")
    assert [find_apis(repository, sha, None, store).contract_changed for sha in shas] == [None, False, True]
    rows = {row.sha: row for row in store.rows(Contract, "acme/m")}
    assert set(rows) == set(shas[1:])
    assert rows[shas[2]].changed == ["m.f: f(a) -> f(a, b)"]
    assert rows[shas[2]].breaking == ["m.f"]
    assert not rows[shas[1]].is_changed
