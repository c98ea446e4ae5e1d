"""Reverts mark both sides; what lands twice is one candidate."""

from __future__ import annotations

import subprocess

import pytest

from storage.tables import Commit
from tasks.mining.functions.patch_id import patch_ids
from tasks.mining.git.diff_parser import FileDiff
from tasks.mining.git.diff_stream import Differ
from tasks.mining.git.history import read_changes
from tasks.mining.git.process import open_repository

SLOW = "def total(xs):\n    result = 0\n    for x in xs:\n        result = result + x\n    return result\n"
FAST = "def total(xs):\n    return sum(xs)\n"
NAME = "acme/sums"


@pytest.mark.parametrize(
    "message",
    [
        'Revert "Make total faster (#12)" (#13)',
        "Revert #12",
        "Revert it\n\nReverts acme/sums#12",
        'REV: revert "Make total faster (#12)"\n\nIt broke.',
        "Reverted, it broke",  # by what it does
    ],
)
def test_reverts_are_understood(mining, repository, message):
    sha = repository.commit("Make total faster (#12)", {"sums.py": FAST})
    repository.commit("Add", {"other.py": "x = 1\n"})
    revert = repository.commit(message, {"sums.py": SLOW})
    assert mining.mine().kept == []
    assert mining.row(sha).reason == f"reverted: by {revert[:12]}"
    if mining.row(revert).reason != "no_keyword":
        assert mining.row(revert).reason == f"revert: of {sha[:12]}"


def test_a_partial_revert_found_by_its_title(mining, repository):
    sha = repository.commit("Make total faster (#12)", {"sums.py": FAST})
    revert = repository.commit('Revert "Make total faster (#12)"', {"sums.py": SLOW + "# but not all\n"})
    assert mining.mine().kept == []
    assert mining.row(revert).reason == f"revert: of {sha[:12]}"


def test_a_revert_of_something_else_marks_nothing(mining, repository):
    sha = repository.commit("Make total faster (#12)", {"sums.py": FAST})
    repository.commit("Add x (#13)", {"other.py": "x = 1\n"})
    revert = repository.commit('Revert "Add x (#13)"', {"other.py": None})
    assert mining.mine().kept == [sha]
    assert mining.row(revert).reason == "revert"


def test_what_comes_back_is_a_candidate_again(mining, repository):
    first = repository.commit("Make total faster (#12)", {"sums.py": FAST})
    repository.commit('Revert "Make total faster (#12)"', {"sums.py": SLOW})
    again = repository.commit("Make total faster, again (#14)", {"sums.py": FAST})
    assert mining.mine().kept == [again]
    assert mining.row(first).reason.startswith("reverted: by ")
    assert mining.mine().kept == [again]


def test_the_same_patch_twice_is_one_candidate(mining, repository):
    first = repository.commit("Make total faster", {"sums.py": FAST})
    assert mining.mine().kept == [first]
    repository.commit("Rewrite", {"sums.py": SLOW})
    second = repository.commit("Backport: make total faster", {"sums.py": FAST})
    assert mining.mine().kept == [first]
    assert mining.row(second).reason == f"duplicate: {first}"
    assert not mining.row(second).kept
    assert mining.mine().kept == [first]


def test_a_merge_of_one_commit_is_reverted_by_that_commits_sha(mining, repository):
    repository.git("checkout", "-q", "-b", "work")
    inner = repository.commit("Faster total", {"sums.py": FAST})
    repository.git("checkout", "-q", "main")
    repository.commit("Meanwhile", {"other.py": "x = 1\n"})
    merge = repository.merge("Merge pull request #7 from bob/faster", "work")
    repository.commit(f"Revert it\n\nThis reverts commit {inner}.", {"sums.py": SLOW + "# x\n"})
    assert mining.mine().kept == []
    assert mining.row(merge).reason.startswith("reverted: by ")


def test_patch_ids_agree_with_git(mining, repository):
    """Equal where `git patch-id --stable` says equal, on changes that share context and on ones that do not."""
    body = "".join(f"x{n} = {n}\n" for n in range(40))
    repository.commit("Table", {"a.py": body, "b.py": body})
    shas = []
    for branch, extra in (("one", "\n\n\n"), ("two", "# far away\n"), ("three", "")):
        repository.git("checkout", "-q", "-b", branch, "main")
        repository.commit("Shift", {"a.py": extra + body, "c.py": extra})
        changed = body.replace("x20 = 20", "x20 = 21" if branch != "three" else "x20 =  22")
        shas.append(repository.commit("Faster", {"a.py": extra + changed, "d.bin": b"\0" + branch.encode()[:1] * 0}))
    repository.git("checkout", "-q", "main")
    names = {}
    with open_repository(repository.path) as repo, Differ(repo) as differ:
        for change in read_changes(differ, shas):
            names[change.sha] = patch_ids(change)
    theirs = {
        sha: subprocess.run(
            f"git -C {repository.path} show {sha} | git -C {repository.path} patch-id --stable",
            shell=True, check=True, capture_output=True, text=True,
        ).stdout.split()[0]
        for sha in shas
    }  # fmt: skip
    one, two, three = shas
    assert theirs[one] == theirs[two] != theirs[three]
    assert names[one] == names[two] != names[three]
    assert all(len({does, undoes}) == 2 for does, undoes in names.values())


def test_the_opposite_of_the_opposite(repository):
    there = repository.commit("There", {"sums.py": FAST, "new.py": "x = 1\n"})
    back = repository.commit("Back", {"sums.py": SLOW, "new.py": None})
    repository.git("mv", "sums.py", "totals.py")
    moved = repository.commit("Move")
    repository.git("mv", "totals.py", "sums.py")
    home = repository.commit("Move back")
    with open_repository(repository.path) as repo, Differ(repo) as differ:
        names = [patch_ids(change) for change in read_changes(differ, [there, back, moved, home])]
    for one, other in ((0, 1), (2, 3)):
        assert names[one] == names[other][::-1]
    assert len({name for pair in names for name in pair}) == 4


def test_no_diff_no_name(mining, repository):
    repository.commit("Nothing")
    mining.mine()
    assert {row.patch_id for row in mining.store.rows(Commit, NAME)} == {""}
    assert FileDiff("M", "a", "a", "1", "2", "100644", "100755", b"").line_counts() == (0, 0)
