"""A repository for a task folder: one commit with base's files, and nothing before or after it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tasks.agents.base_tree import BaseTree
from tasks.agents.harbor.bundle import write_bundle
from tests.tasks.environments.conftest import History


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout


def test_a_bundle_holds_base_and_no_more(tmp_path):
    history = History(tmp_path)
    history.commit({"a.py": "older = 1\n"})
    base = history.commit({"a.py": "base = 1\n", "run.sh": "echo\n", ".gitattributes": "a.py export-ignore\n"})
    human = history.commit({"a.py": "human = 1\n"})
    (tmp_path / "scratch").mkdir()
    bundle = tmp_path / "repository.bundle"
    name = write_bundle(BaseTree(history.source / ".git", base), bundle, tmp_path / "scratch")
    subprocess.run(["git", "clone", "-q", str(bundle), str(tmp_path / "clone")], check=True, capture_output=True)
    clone = tmp_path / "clone"
    assert git(clone, "rev-list", "--all").split() == [name]
    assert (clone / "a.py").read_text() == "base = 1\n"
    held = git(clone, "cat-file", "--batch-all-objects", "--batch-check").splitlines()
    assert sorted(line.split()[1] for line in held) == ["blob", "blob", "blob", "commit", "tree"]
    assert not {base, human} & {line.split()[0] for line in held}
    (tmp_path / "again").mkdir()
    assert write_bundle(BaseTree(history.source / ".git", base), tmp_path / "b", tmp_path / "again") == name
