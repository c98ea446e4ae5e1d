"""Mining whole histories, nasty ones too: every change gets its row and its reason, and patches apply."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.models import MiningConfig
from storage.tables import Commit
from tasks.mining.errors import MiningError
from tasks.mining.git import diff_parser
from tasks.mining.git import diff_stream as differ_module
from tasks.mining.git.diff_stream import Differ
from tasks.mining.git.history import read_changes
from tasks.mining.git.process import open_repository
from tasks.mining.mine import mine_repository

SLOW = "def total(xs):\n    result = 0\n    for x in xs:\n        result = result + x\n    return result\n"
FAST = "def total(xs):\n    return sum(xs)\n"
NAME = "acme/sums"


def test_a_kept_change_has_everything(mining, repository, tmp_path):
    sha = repository.commit(
        "Make total 3x faster (#12)\n\nUse sum().",
        {"sums.py": FAST, "tests/test_sums.py": "def test_total():\n    assert 1\n", "CHANGES.md": "faster\n"},
    )
    mined = mining.mine()
    assert (mined.considered, mined.kept, mined.new) == (2, [sha], 2)
    row = mining.row(sha)
    assert row.kept
    assert row.reason == "kept: keyword 'faster'"
    assert row.pr_number == 12
    assert row.parent_sha == repository.git("rev-parse", "HEAD^")
    assert row.subject == "Make total 3x faster (#12)"
    assert row.message.endswith("Use sum().")
    assert row.author == "Ada"
    assert row.author_date == datetime.fromtimestamp(repository.clock, UTC)
    assert row.functions_changed == ["sums.py::total"]
    assert sorted(row.files) == ["CHANGES.md", "sums.py", "tests/test_sums.py"]
    assert (row.additions, row.deletions) == (4, 4)
    assert "tests/test_sums.py" in row.test_patch
    assert "sums.py" not in row.test_patch.replace("test_sums.py", "")
    assert "CHANGES.md" in row.patch
    assert "test_sums.py" not in row.patch
    assert "+2.2 keyword in title" in row.score_features
    assert "+0.5 loops removed" in row.score_features
    mining.apply_and_compare(sha, tmp_path)


def test_every_filter_names_itself(mining, repository):
    commit = repository.commit
    commit("Add a mean", {"sums.py": SLOW + "\n\ndef mean(xs):\n    return total(xs) / len(xs)\n"})
    commit("docs: describe performance", {"docs/speed.md": "fast\n", "README.md": "Sums, fast.\n"})
    commit("Make the tests faster", {"tests/test_sums.py": "import sums\n", "pkg/conftest.py": "\n"})
    commit("Speed up the build", {"setup.cfg": "[x]\n"})
    commit("Optimize imports", {"sums.py": "import os\n" + SLOW})
    commit("Call optimize() in total", {"sums.py": SLOW.replace("0", "optimize()")})
    commit("Rename `faster` and fast.path and 'cache'", {"sums.py": SLOW.replace("0", "1")})
    commit("Speed up by comments", {"sums.py": '"""Sums."""\nimport sys\n' + SLOW.replace("0", "1  # one")})
    commit("Nothing, but faster")
    commit("ci: faster", {"sums.py": SLOW})
    commit("Faster numbers", {"sums.py": SLOW.replace("0", "0.0")}, GIT_AUTHOR_NAME="dependabot[bot]")
    commit('Revert "Faster numbers"', {"sums.py": SLOW})
    commit("Add a fast median", {"median.py": "def median(xs):\n    return sorted(xs)[len(xs) // 2]\n"})
    commit("Speed up all", {f"m{n}.py": "x = 1\n" for n in range(4)})
    commit("Speed up lines", {"m0.py": "x = 1\n" * 50})
    mining.mine(max_files=3, max_changed_lines=40)
    assert mining.reasons() == {
        "Start": "root_commit",
        "Add a mean": "no_keyword",
        "docs: describe performance": "docs_only",
        "Make the tests faster": "tests_only",
        "Speed up the build": "no_code_files: setup.cfg",
        "Optimize imports": "no_keyword",
        "Call optimize() in total": "no_keyword",
        "Rename `faster` and fast.path and 'cache'": "no_keyword",
        "Speed up by comments": "cosmetic: imports/comments/docstrings/whitespace only",
        "Nothing, but faster": "empty",
        "ci: faster": "message_type: ci",
        "Faster numbers": "bot: dependabot[bot]",
        'Revert "Faster numbers"': "revert",
        "Add a fast median": "no_keyword",
        "Speed up all": "too_many_files: 4",
        "Speed up lines": "too_many_lines: 49",
    }
    for row in mining.store.rows(Commit, NAME):
        assert not row.patch
        assert not row.kept


def test_new_code_only_unless_asked_for(mining, repository):
    sha = repository.commit("Faster median", {"median.py": "def median(xs):\n    return sorted(xs)[0]\n"})
    assert mining.mine().kept == []
    assert mining.row(sha).reason == "new_code_only: median"
    assert mining.mine(keep_new_code=True).kept == [sha]


def test_without_keywords_the_diff_decides(mining, repository):
    loops = "def f(xs):\n    out = []\n    for x in xs.copy():\n        if x in list(xs):\n            out += [x]\n"
    repository.commit("Add f", {"f.py": loops})
    better = "from functools import lru_cache\n\n@lru_cache\ndef f(xs):\n    seen = set(xs)\n    return [*seen]\n"
    sha = repository.commit("Rework f", {"f.py": better})
    repository.commit("Rename x", {"sums.py": SLOW.replace("result + x", "x + result")})
    assert mining.mine(use_keywords=False, min_score=2).kept == [sha]
    assert mining.row(sha).reason.startswith("kept: score ")
    assert mining.reasons()["Rename x"] == "low_score: -1.1"


def test_merge_is_one_change_against_its_first_parent(mining, repository, tmp_path):
    repository.git("checkout", "-q", "-b", "work")
    first = repository.commit("Begin", {"sums.py": FAST})
    second = repository.commit("Make it faster still", {"sums.py": FAST.replace("sum(xs)", "sum(xs, 0)")})
    repository.git("checkout", "-q", "main")
    repository.commit("Meanwhile", {"other.py": "x = 1\n"})
    sha = repository.merge("Merge pull request #7 from bob/faster-sums", "work")
    assert mining.mine().kept == [sha]
    row = mining.row(sha)
    assert row.pr_number == 7
    assert row.inner_shas == [second, first]
    assert row.reason == f"kept: keyword 'faster' in inner commit {second[:9]}"
    assert row.files == ["sums.py"]
    assert {first, second}.isdisjoint(row.sha for row in mining.store.rows(Commit, NAME))
    mining.apply_and_compare(sha, tmp_path)


def test_octopus_merge_and_nested_branches(mining, repository, tmp_path):
    for name in ("a", "b"):
        repository.git("checkout", "-q", "-b", name, "main")
        repository.commit(f"Add {name}", {f"{name}.py": "def f():\n    return 1\n"})
    repository.git("checkout", "-q", "a")
    repository.git("checkout", "-q", "-b", "c")
    deep = repository.commit("Fast path in c", {"sums.py": FAST})
    repository.git("checkout", "-q", "b")
    repository.merge("Merge c into b", "c")
    repository.git("checkout", "-q", "main")
    repository.commit("Meanwhile", {"other.py": "x = 1\n"})
    sha = repository.merge("Merge a and b", "a", "b")
    assert mining.mine().kept == [sha]
    row = mining.row(sha)
    assert deep in row.inner_shas
    assert len(row.inner_shas) == 4
    assert sorted(row.files) == ["a.py", "b.py", "sums.py"]
    mining.apply_and_compare(sha, tmp_path)


def test_merge_of_the_main_branch_into_a_fork_is_dropped(mining, repository):
    repository.git("checkout", "-q", "-b", "upstream")
    repository.commit("Faster", {"sums.py": FAST})
    repository.git("checkout", "-q", "main")
    repository.commit("Mine", {"mine.py": "x = 1\n"})
    repository.merge("Merge branch 'master' of https://example.org/acme/sums", "upstream")
    mining.mine()
    assert mining.reasons()["Merge branch 'master' of https://example.org/acme/sums"] == "sync_merge"


def test_awkward_content_survives(mining, repository, tmp_path):
    repository.write({"data.bin": bytes(range(256)), "latin.py": "# caf\xe9\nx = 1\n".encode("latin-1")})
    repository.commit("Add", {"crlf.py": "def f():\r\n    return [1]\r\n", "late.py": b"#" * 9000 + b"\nx = '\0'\n"})
    sha = repository.commit(
        "Faster \u2014 much",
        {
            "sums.py": FAST,
            "data.bin": bytes(reversed(range(256))),
            "latin.py": "# caf\xe9 cr\xe8me\nx = 2\n".encode("latin-1"),
            "crlf.py": "def f():\r\n    return (1,)\r\n",
            "late.py": b"#" * 9000 + b"\nx = '\0\0'\n",
            "na\u00efve \t name.py": "def g():\n    return 1",
            "tests/data.bin": b"\0\1\2",
        },
    )
    mining.mine()
    row = mining.row(sha)
    assert row.kept
    assert row.subject == "Faster \u2014 much"
    assert "na\u00efve \t name.py" in row.files
    assert "    return (1,)\r\n" in row.patch
    assert "GIT binary patch" in row.test_patch
    assert {"crlf.py::f", "sums.py::total", "na\u00efve \t name.py::g"} <= set(row.functions_changed)
    mining.apply_and_compare(sha, tmp_path)


def test_renames_links_and_modes(mining, repository, tmp_path):
    repository.commit("Add", {"a.py": SLOW * 3, "run.py": "x = 1\n", "link.py": "sums.py"})
    repository.git("mv", "a.py", "pkg.py")
    (repository.path / "link.py").unlink()
    (repository.path / "link.py").symlink_to("sums.py")
    (repository.path / "run.py").chmod(0o755)
    sha = repository.commit("Faster", {"pkg.py": SLOW * 2 + FAST})
    mining.mine()
    row = mining.row(sha)
    assert row.functions_changed == ["pkg.py::total"]
    assert "rename from a.py" in row.patch
    assert (row.additions, row.deletions) == (2, 5)
    mining.apply_and_compare(sha, tmp_path)


def test_submodule_moves_are_no_code(mining, repository):
    for number in (1, 2):
        repository.git("update-index", "--add", "--cacheinfo", f"160000,{str(number) * 40},lib.py")
        repository.git("commit", "-q", "-m", f"Faster lib {number}")
    mining.mine()
    assert mining.reasons()["Faster lib 1"] == "no_code_files: submodules only"
    assert mining.reasons()["Faster lib 2"] == "no_code_files: submodules only"


def test_odd_messages(mining, repository):
    repository.commit("Subject\n\n\x1e\ndiff --git a/x b/x\n:100644 100644 a b M\tx", {"a.py": "x = 1\n"})
    broken = repository.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "caf\u00e9")
    raw = repository.git("cat-file", "commit", broken).replace("caf\u00e9", "caf\udce9")
    path = repository.path / "raw-commit"
    path.write_bytes(raw.encode("utf-8", "surrogateescape"))
    sha = repository.git("hash-object", "-t", "commit", "-w", str(path))
    path.unlink()
    repository.git("update-ref", "refs/heads/main", sha)
    mined = mining.mine()
    assert mined.considered == 3
    assert mining.row(sha).subject == "caf\ufffd"
    assert (
        "diff --git a/x b/x" in next(row for row in mining.store.rows(Commit, NAME) if row.subject == "Subject").message
    )


def test_huge_diff_is_dropped_and_mining_goes_on(mining, repository, monkeypatch):
    monkeypatch.setattr(diff_parser, "MAX_RECORD_BYTES", 50_000)
    monkeypatch.setattr(diff_parser.split_records, "__defaults__", (50_000,))
    huge = repository.commit("Faster table", {"table.py": "".join(f"row({n})\n" for n in range(100_000))})
    after = repository.commit("Faster total", {"sums.py": FAST})
    assert mining.mine().kept == [after]
    assert mining.row(huge).reason.startswith("huge_diff: 1.")
    assert mining.row(huge).files == ["table.py"]


def test_patches_have_context_though_the_first_reading_has_none(mining, repository):
    lines = [f"def f{n}(xs):\n    return [x for x in xs][{n}]\n" for n in range(9)]
    repository.commit("Add", {"sums.py": "".join(lines)})
    lines[4] = "def f4(xs):\n    return xs[4]\n"
    sha = repository.commit("Faster f4", {"sums.py": "".join(lines)})
    lines[4] = "def f4(xs):\n    return [x for x in xs][4]\n"
    revert = repository.commit("Revert what came last", {"sums.py": "".join(lines)})
    mining.mine()
    row = mining.row(sha)
    hunk = row.patch[row.patch.index("\n@@") + 1 :].splitlines()
    assert [line for line in hunk if line.startswith(" ")] == [
        " def f3(xs):", "     return [x for x in xs][3]", " def f4(xs):",
        " def f5(xs):", "     return [x for x in xs][5]", " def f6(xs):",
    ]  # fmt: skip
    assert (row.additions, row.deletions) == (1, 1)
    assert row.reason == f"reverted: by {revert[:12]}"  # known by what it does, context included


def test_a_patch_that_is_too_long_with_its_context_is_dropped(mining, repository, monkeypatch):
    monkeypatch.setattr(diff_parser.split_records, "__defaults__", (100_000,))
    lines = [f"a{n} = '{'x' * 20_000}'\n" for n in range(9)]
    repository.commit("Add", {"table.py": "".join(lines)})
    lines[4] = "a4 = 1\n"
    sha = repository.commit("Faster table", {"table.py": "".join(lines)})
    after = repository.commit("Faster total", {"sums.py": FAST})
    assert mining.mine().kept == [after]
    assert mining.row(sha).reason.startswith("huge_diff: 0.1 MiB")


def test_missing_objects_drop_their_change_only(mining, repository, tmp_path):
    lost = "def lost():\n    return 'this blob goes away'\n"
    first = repository.commit("Faster one", {"sums.py": FAST})
    second = repository.commit("Faster two", {"lost.py": lost, "sums.py": SLOW})
    third = repository.commit("Faster three", {"lost.py": None, "sums.py": FAST})
    fourth = repository.commit("Faster four", {"sub/deep.py": "x = 1\n", "sums.py": SLOW})
    fifth = repository.commit("Faster five", {"sums.py": FAST.replace("sum(xs)", "sum(xs, 0)")})
    for thing in (f"{second}:lost.py", f"{fourth}:sub"):
        oid = repository.git("rev-parse", thing)
        (repository.path / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    mined = mining.mine()
    assert mined.considered == 6
    reasons = mining.reasons()
    assert reasons["Faster one"].startswith("kept")
    for subject in ("Faster two", "Faster three", "Faster four"):
        assert reasons[subject].startswith("missing_object: "), subject
    assert set(mined.kept) == {first, fifth}  # the last one has the lost folder on both sides: nothing to read
    assert mining.row(second).parent_sha == first
    assert mining.row(third).author_date.year == 2020


def test_a_git_that_dies_does_not_take_the_change_before_with_it(repository):
    """It may have printed that one whole; and it says nothing of a commit that is not there."""
    shas = [repository.head()]
    shas += [repository.commit(f"Faster {n}", {"sums.py": f"x = {n}\n", "deep/er.py": f"{n}\n"}) for n in range(5)]
    oid = repository.git("rev-parse", f"{shas[3]}:deep")
    (repository.path / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    with open_repository(repository.path) as repo, Differ(repo) as differ:
        for order in (shas, shas[::-1]):
            found = list(read_changes(differ, order))
            assert [change.sha for change in found] == order
            assert {change.subject for change in found if change.problem} == {"Faster 2", "Faster 3"}
            assert all(len(change.files) == 2 for change in found if change.subject in ("Faster 1", "Faster 4"))
        with pytest.raises(MiningError, match=f"commit {'1' * 40} cannot be read"):
            list(read_changes(differ, [shas[0], "1" * 40, shas[1]]))
        with pytest.raises(MiningError, match="cannot be read"):
            list(read_changes(differ, [shas[0], "1" * 40]))
        assert [change.sha for change in read_changes(differ, shas[:2])] == shas[:2]


def test_a_git_process_is_renewed_and_blocks_follow_each_other(repository, monkeypatch):
    monkeypatch.setattr(differ_module, "BLOCK", 3)
    monkeypatch.setattr(differ_module, "RENEW", 6)
    shas = [repository.commit(f"%{n}\n\n%", {"sums.py": f"% {n}\n"}) for n in range(10)]
    with open_repository(repository.path) as repo, Differ(repo) as differ:
        for _ in range(2):
            assert [change.sha for change in read_changes(differ, shas)] == shas


def test_incremental_reads_only_what_is_new(mining, repository):
    first = repository.commit("Faster", {"sums.py": FAST})
    assert mining.mine().new == 2
    again = mining.mine()
    assert (again.considered, again.kept, again.new) == (2, [first], 0)
    second = repository.commit("Slow no more", {"sums.py": SLOW})
    more = mining.mine()
    assert (more.considered, more.new) == (3, 1)
    assert set(more.kept) == {first, second}
    assert mining.mine(keywords=["nothing"]).new == 3  # other filters judge anew
    assert mining.mine(max_commits=1).kept == [second]


def test_a_revert_marks_both(mining, repository):
    sha = repository.commit("Faster", {"sums.py": FAST})
    assert mining.mine().kept == [sha]
    repository.git("revert", "--no-edit", "HEAD")
    revert = repository.head()
    assert mining.mine().kept == []
    assert mining.row(sha).reason == f"reverted: by {revert[:12]}"
    assert mining.row(revert).reason == f"revert: of {sha[:12]}"
    assert mining.mine().kept == []


def test_dates_and_number(mining, repository):
    shas = [
        repository.commit(
            f"Faster {year}", {"sums.py": f"{FAST}# {year}\n\ny = {year}\n"}, GIT_AUTHOR_DATE=f"{year}-06-01T00:00Z"
        )
        for year in (2019, 2020, 2021)
    ]
    assert set(mining.mine(since="2020-01-01").kept) == set(shas[1:])
    assert mining.mine(since="2020-01-01", until="2020-12-31").kept == [shas[1]]
    newest = mining.mine(max_commits=2)
    assert newest.considered == 2
    assert set(newest.kept) == set(shas[1:])


def test_shallow_clone_ends_at_its_boundary(mining, repository, tmp_path):
    repository.commit("Faster", {"sums.py": FAST})
    last = repository.commit("Slow path gone", {"sums.py": SLOW})
    repository.git("clone", "-q", "--depth", "2", "--bare", f"file://{repository.path}", str(tmp_path / "shallow.git"))
    mining.config = mining.config.model_copy(update={"url": str(tmp_path / "shallow.git")})
    mined = mining.mine()
    assert (mined.considered, mined.kept) == (2, [last])
    assert mining.reasons()["Faster"] == "shallow_boundary: the clone ends here"


def test_the_users_git_configuration_changes_nothing(mining, repository, tmp_path, monkeypatch):
    config = tmp_path / "gitconfig"
    config.write_text(
        "[diff]\n noprefix = true\n external = false\n[color]\n ui = always\n[log]\n showSignature = true\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    sha = repository.commit("Faster", {"sums.py": FAST})
    mining.mine()
    assert mining.row(sha).patch.startswith("diff --git a/sums.py b/sums.py\n")


def test_no_clone_and_no_commit_are_clear_errors(mining, repository):
    mining.mine()
    shutil.rmtree(mining.store.work / "clones")
    with pytest.raises(MiningError, match="synchronise the repository first"):
        mine_repository(mining.config, MiningConfig(), "0" * 40, mining.store)
    mining.mine()
    with pytest.raises(MiningError, match="run again"):
        mine_repository(mining.config, MiningConfig(), "1" * 40, mining.store)


def test_two_runs_give_equal_rows(mining, repository, tmp_path: Path):
    repository.commit("Faster", {"sums.py": FAST})
    mining.mine()
    other = type(mining)(repository, tmp_path / "store2")
    other.mine()
    assert mining.store.rows(Commit, NAME) == other.store.rows(Commit, NAME)


def test_named_commits_are_kept_whatever_they_say(mining, repository):
    slow = repository.commit("Rework total", {"sums.py": FAST})
    repository.git("checkout", "-q", "-b", "side")
    other = repository.commit("ci: by a bot", {"sums.py": SLOW.replace("0", "0.0")}, GIT_AUTHOR_NAME="dependabot[bot]")
    repository.git("checkout", "-q", "main")
    docs = repository.commit("Faster docs", {"README.md": "fast\n"})
    repository.commit("Speed up total again", {"sums.py": SLOW})
    mined = mining.mine(commits=[slow[:7], other, docs[:12], "0123abc"], since="2100-01-01")
    assert sorted(mined.kept) == sorted([slow, other])
    assert (mined.considered, mined.unknown) == (3, ["0123abc"])
    assert mining.row(slow).reason == "kept: named in mining.commits"
    assert mining.row(docs).reason == "docs_only"
    assert mining.row(other).parent_sha == slow
    assert mining.mine(commits=[other[:9]]).new == 0, "what was judged for one list holds for another"
