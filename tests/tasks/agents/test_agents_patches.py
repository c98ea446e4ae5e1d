"""The patch that is taken from a workspace, whatever was done there: it applies to base; notes say what is left out."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.agents.base_tree import BaseTree
from tasks.agents.comparing import PATCH_CHARACTERS
from tasks.agents.patches import TakenPatch, take_patch
from tasks.environments.trees import write_tree
from tests.tasks.agents.lab import FAST, FILES, PERF_TEST, SLOW, Lab, make_lab
from tests.tasks.environments.conftest import History


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return make_lab(tmp_path_factory.mktemp("lab"), "local")


Take = Callable[[], TakenPatch]


@pytest.fixture
def workspace(lab: Lab, tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    write_tree(lab.base.clone, lab.base.sha, folder)
    lab.base.write_history(folder / ".git", ["src/tinylib/made.py"])
    return folder


@pytest.fixture
def take(lab: Lab, workspace: Path, tmp_path: Path) -> Take:
    def taken() -> TakenPatch:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        shown = {"perf_test_1.py": PERF_TEST.encode()}
        return take_patch(workspace, lab.base, scratch, ["src/tinylib/made.py"], shown)

    return taken


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def same(one: Path, other: Path) -> bool:
    """Whether two files have the same content and the same right to be executed."""
    return one.read_bytes() == other.read_bytes() and bool(one.stat().st_mode & 0o100) == bool(
        other.stat().st_mode & 0o100
    )


def test_an_untouched_workspace_has_no_patch(workspace: Path, take: Take) -> None:
    assert git(workspace, "status", "--porcelain") == ""
    for path in workspace.rglob("*"):  # times say nothing
        if path.is_file():
            os.utime(path)
    assert take() == TakenPatch(patch="", files=0, notes=[])


def test_binary_files_modes_renames_links_and_odd_names_are_in_it(lab: Lab, workspace: Path, take: Take) -> None:
    (workspace / "src/tinylib/core.py").write_text(FAST)
    (workspace / "data.bin").write_bytes(bytes(range(255, -1, -1)) * 3)
    (workspace / "latin.txt").write_bytes(b"caf\xe9\nbaz\xff\n")
    (workspace / "crlf.txt").write_bytes(b"one\r\n2\r\n")
    (workspace / "tools.sh").chmod(0o755)
    (workspace / "tests/test_core.py").rename(workspace / "tests/test_unique.py")
    (workspace / "new one").mkdir()
    (workspace / "new one" / 'quo"te\té\n.py').write_text("x = 1")
    (workspace / "empty.py").touch()
    (workspace / "link.py").symlink_to("src/tinylib/core.py")
    taken = take()
    assert taken.notes == []
    assert "rename from tests/test_core.py" in taken.patch
    made = lab.applied(taken.patch)
    for path in workspace.rglob("*"):
        name = path.relative_to(workspace)
        if path.is_symlink():
            assert (made / name).readlink() == path.readlink()
        elif path.is_file() and ".git" not in name.parts:
            assert same(path, made / name), name
    assert not (made / "tests/test_core.py").exists()


def test_a_file_becomes_a_folder_and_a_folder_a_link(lab: Lab, workspace: Path, take: Take) -> None:
    (workspace / "tools.sh").unlink()
    (workspace / "tools.sh").mkdir()
    (workspace / "tools.sh" / "inner.py").write_text("x = 1\n")
    shutil.rmtree(workspace / "tests")
    (workspace / "tests").symlink_to("src")
    made = lab.applied(take().patch)
    assert (made / "tools.sh/inner.py").read_text() == "x = 1\n"
    assert (made / "tests").readlink() == Path("src")


def test_what_does_not_count_stays_out_with_a_note(
    lab: Lab, workspace: Path, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "src/tinylib/core.py").write_text(FAST)
    for name, content in {
        "debug.log": "x", "build/lib/core.py": "x", "src/tinylib/__pycache__/core.pyc": "x",
        "src/tinylib/fast.cpython-311-x86_64-linux-gnu.so": "x", "src/tinylib/made.py": "x = 2", "perf_test_1.py": "x",
        "bench.py": PERF_TEST, "vendored/lib.py": "x", "sub/.git": "gitdir: /elsewhere", "src/.GIT/hooks/pre": "x",
    }.items():  # fmt: skip
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(content)
    git(workspace / "vendored", "init", "-q")
    (workspace / "passwords").symlink_to("/etc/passwd")
    (workspace / "above").symlink_to("../../x")
    (workspace / "latin.txt").unlink()
    (workspace / "latin.txt").symlink_to("/etc/hostname")
    os.mkfifo(workspace / "pipe")
    (workspace / "tools.sh").unlink()
    with socket.socket(socket.AF_UNIX) as bound:
        monkeypatch.chdir(workspace)  # a socket's path must be short
        bound.bind("tools.sh")
    taken = take()
    assert taken.files == 1
    made = lab.applied(taken.patch)
    assert {path.name for path in made.iterdir()} == {"src", "tests", *(name for name in FILES if "/" not in name)}
    assert (made / "src/tinylib/core.py").read_text() == FAST
    assert sorted(note.partition(" (")[0] for note in taken.notes) == [
        "left out: 1 what belongs to git", "left out: 2 copies of the perf tests",
        "left out: 2 files of a repository within the repository", "left out: 2 files that the repository ignores",
        "left out: 2 pipes, sockets and devices", "left out: 3 build products",
        "left out: 3 links that lead out of the repository",
    ]  # fmt: skip


@pytest.mark.parametrize("games", ["commit", "rebase", "delete", "ignore", "config"])
def test_git_of_the_workspace_decides_nothing(games: str, lab: Lab, workspace: Path, take: Take) -> None:
    (workspace / "src/tinylib/core.py").write_text(FAST)
    if games == "commit":
        git(workspace, "commit", "-qam", "done")
        git(workspace, "checkout", "-qb", "other")
    elif games == "rebase":
        git(workspace, "checkout", "-q", "--orphan", "new")
        git(workspace, "commit", "-qam", "all anew")
        git(workspace, "branch", "-D", "main")
    elif games == "delete":
        shutil.rmtree(workspace / ".git")
    elif games == "ignore":
        (workspace / ".git/info/exclude").write_text("*\n")
        git(workspace, "update-index", "--assume-unchanged", "src/tinylib/core.py")
    else:
        (workspace / ".git/config").write_text('[core]\n\tfsmonitor = "false"\n[include]\n\tpath = /dev/full\n')
        (workspace / ".gitattributes").write_text("* filter=x diff=y text eol=crlf\n")
    taken = take()
    assert (lab.applied(taken.patch) / "src/tinylib/core.py").read_text() == FAST
    assert taken.notes == (["its .git was removed, which changes nothing"] if games == "delete" else [])


def test_ignore_files_of_the_agent_add_to_those_of_base(workspace: Path, take: Take) -> None:
    (workspace / ".gitignore").write_text("/scratch/\n!wanted.log\n")
    for name in ("scratch/a.py", "wanted.log", "other.log"):
        (workspace / name).parent.mkdir(exist_ok=True)
        (workspace / name).write_text("x\n")
    taken = take()
    assert taken.notes == ["left out: 2 files that the repository ignores (other.log, scratch/a.py)"]
    assert "b/wanted.log" in taken.patch
    assert "b/.gitignore" in taken.patch


def test_a_patch_has_room_for_what_a_prediction_may_hold(
    lab: Lab, workspace: Path, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.agents.patches.PATCH_CHARACTERS", 500_000)
    (workspace / "src/tinylib/core.py").write_text(FAST)
    (workspace / "huge.bin").touch()
    os.truncate(workspace / "huge.bin", PATCH_CHARACTERS + 1)
    (workspace / "noise.bin").write_bytes(os.urandom(1_000_000))
    taken = take()
    assert len(taken.patch) < 500_000
    assert taken.notes == ["left out: 2 files that are too large for a patch (huge.bin, noise.bin)"]
    assert (lab.applied(taken.patch) / "src/tinylib/core.py").read_text() == FAST


def test_folders_without_end_are_left_out(lab: Lab, workspace: Path, take: Take) -> None:
    (workspace / "src/tinylib/core.py").write_text(FAST)
    here = os.open(workspace, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d" * 100, dir_fd=here)
        here, above = os.open("d" * 100, os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)
    taken = take()
    assert taken.files == 1
    assert len(taken.notes) == 1
    assert taken.notes[0].startswith("left out: 1 files in folders that are too deep")
    assert lab.applied(taken.patch)


def test_submodules_stay_as_they_are(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.commit({"core.py": SLOW, "keep.py": ""})
    history.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendored")
    history.git("commit", "-q", "-m", "a submodule")
    base = BaseTree(history.source / ".git", history.git("rev-parse", "HEAD").strip())
    workspace, scratch = tmp_path / "workspace", tmp_path / "scratch"
    write_tree(base.clone, base.sha, workspace)
    base.write_history(workspace / ".git", [])
    scratch.mkdir()
    (workspace / "vendored").mkdir(exist_ok=True)
    (workspace / "vendored/lib.py").write_text("x = 1\n")
    (workspace / "core.py").write_text(FAST)
    taken = take_patch(workspace, base, scratch)
    assert taken.files == 1
    assert "vendored" not in taken.patch
    assert taken.notes == ["left out: 1 files of a repository within the repository (vendored)"]
