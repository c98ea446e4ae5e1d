"""Commits of which a few objects stand for more files, or larger ones, than this machine can hold."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tasks.environments import trees
from tasks.environments.trees import TreeError, read_files, refuse_bombs, write_tree


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "clone.git")], check=True)
    return tmp_path / "clone.git"


def git(clone: Path, *arguments: str, stdin: bytes = b"") -> str:
    argv = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(argv, cwd=clone, input=stdin, check=True, capture_output=True).stdout.decode().strip()


def commit(clone: Path, tree: str) -> str:
    return git(clone, "commit-tree", tree, "-m", "x")


def nested(clone: Path, levels: int) -> str:
    """A commit of 10 ** levels files, in as many objects as it has levels."""
    what, found = "100644 blob", git(clone, "hash-object", "-w", "--stdin", stdin=b"x")
    for _ in range(levels):
        found = git(clone, "mktree", stdin="".join(f"{what} {found}\t{n}\n" for n in range(10)).encode())
        what = "040000 tree"
    return commit(clone, found)


def test_files_without_number_are_counted_no_further_than_they_may_be(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "MAX_TREE_FILES", 20_000)
    sha = nested(clone, 12)
    with pytest.raises(TreeError, match="more than 20000 files"):
        write_tree(clone, sha, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    refuse_bombs(clone, nested(clone, 4))


def test_large_files_are_known_before_they_are_written(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = git(clone, "hash-object", "-w", "--stdin", stdin=bytes(20 << 20))
    names = "".join(f"100644 blob {blob}\t{name}\n" for name in ("pyproject.toml", "x"))
    sha = commit(clone, git(clone, "mktree", stdin=names.encode()))
    refuse_bombs(clone, sha)
    monkeypatch.setattr(trees, "MAX_TREE_BYTES", 30 << 20)
    with pytest.raises(TreeError, match="take more than"):
        write_tree(clone, sha, tmp_path / "out")
    with pytest.raises(TreeError, match="is larger than 16 MiB"):
        read_files(clone, sha, re.compile("pyproject.toml"))
