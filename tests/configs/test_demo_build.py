"""The demo repository: the same SHAs everywhere, whole or not at all."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from configs.demo.build import HISTORY, DemoError, build_demo_repository, load_series

# Pinned here as well as in series.yaml: answers, predictions and expected.yaml name commits of exactly this history.
HEAD = "0edd3a6c34636514937078711e17f82e6adfffc2"


def git(repository: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=repository, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("demo") / "repository"
    build_demo_repository(target)
    return target


def test_head_is_pinned(demo: Path) -> None:
    assert git(demo, "rev-parse", "main").strip() == HEAD == load_series().head


def test_all_patches_are_in_the_series() -> None:
    used = [name for step in load_series().steps for name in step.apply]
    assert used == sorted(path.name for path in HISTORY.glob("*.patch"))


def test_shape_of_the_history(demo: Path) -> None:
    merges = git(demo, "log", "--merges", "--format=%s").splitlines()
    assert merges == ["Merge pull request #12 from mia/batched-sink"]
    assert len(git(demo, "log", "--first-parent", "--format=%H").split()) == 25
    assert len(git(demo, "log", "--format=%H").split()) == 27
    assert git(demo, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/main"]
    assert git(demo, "status", "--porcelain") == ""


def test_commits_hold_nothing_of_this_machine(demo: Path) -> None:
    series = load_series()
    for sha in git(demo, "log", "--format=%H").split():
        headers, _, _ = git(demo, "cat-file", "commit", sha).partition("\n\n")
        fields = dict(line.split(" ", 1) for line in headers.splitlines())
        assert (
            set(fields) == {"tree", "parent", "author", "committer"}
            or sha == git(demo, "rev-list", "--max-parents=0", "main").strip()
        )
        date = " ".join(fields["author"].split()[-2:])
        assert date.endswith("+0000")
        assert fields["committer"] == f"{series.committer.name} <{series.committer.email}> {date}"


def test_user_configuration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    hooks = home / "hooks"
    hooks.mkdir(parents=True)
    hook = hooks / "commit-msg"
    hook.write_text("#!/bin/sh\necho changed >> $1\n")
    hook.chmod(0o755)
    (home / ".gitconfig").write_text(
        "[user]\n name = Somebody\n email = else@example.org\n[commit]\n gpgsign = true\n[gpg]\n program = false\n"
        f"[core]\n autocrlf = true\n hooksPath = {hooks}\n[init]\n defaultBranch = trunk\n templateDir = {home}\n"
        "[i18n]\n commitEncoding = latin1\n[am]\n keepcr = true\n[merge]\n ff = only\n"
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    monkeypatch.setenv("GIT_DIR", str(home / "elsewhere"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2001-01-01T00:00:00")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    old = os.umask(0o077)
    try:
        assert build_demo_repository(tmp_path / "repository") == HEAD
    finally:
        os.umask(old)


def test_second_build_reuses_the_first(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no git to be found: nothing is built
    assert build_demo_repository(demo) == HEAD


def test_builders_at_the_same_time(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        heads = list(pool.map(lambda _: build_demo_repository(tmp_path / "repository"), range(3)))
    assert heads == [HEAD] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]


def test_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(DemoError, match="not a demo repository"):
        build_demo_repository(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_changed_history_is_noticed_and_leaves_nothing(tmp_path: Path) -> None:
    history = tmp_path / "history"
    shutil.copytree(HISTORY, history)
    first = history / "0001-Start-logkit-parse-and-format-log-lines.patch"
    first.write_text(first.read_text().replace("Start logkit", "Begin logkit"))
    target = tmp_path / "out" / "repository"
    with pytest.raises(DemoError, match=f"pins {HEAD}"):
        build_demo_repository(target, history)
    assert list(target.parent.iterdir()) == []
    head = build_demo_repository(target, history, verify=False)
    assert head != HEAD
    assert build_demo_repository(target) == HEAD  # an older demo is replaced


def test_broken_patch_is_an_error_with_gits_words(tmp_path: Path) -> None:
    history = tmp_path / "history"
    shutil.copytree(HISTORY, history)
    patch = history / "0007-Group-records-in-linear-time.patch"
    patch.write_text(patch.read_text().replace("-    groups = []", "-    groups = ()"))
    with pytest.raises(DemoError, match="git am failed"):
        build_demo_repository(tmp_path / "out" / "repository", history)
    assert list((tmp_path / "out").iterdir()) == []


def test_no_git_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DemoError, match="git cannot be started"):
        build_demo_repository(tmp_path / "repository")


def test_library_passes_its_own_tests_at_every_commit(demo: Path, tmp_path: Path) -> None:
    def run(sha: str) -> tuple[str, int, str]:
        tree = tmp_path / sha
        tree.mkdir()
        archive = subprocess.run(["git", "archive", sha], cwd=demo, check=True, capture_output=True).stdout
        subprocess.run(["tar", "x"], cwd=tree, check=True, input=archive)
        done = subprocess.run(
            [sys.executable, "-S", "-m", "unittest", "discover", "-s", "tests"],
            cwd=tree,
            env={"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return sha, done.returncode, done.stderr

    with ThreadPoolExecutor(2) as pool:
        for sha, code, output in pool.map(run, git(demo, "log", "--format=%H").split()):
            assert code == 0, f"{sha}: {output}"
