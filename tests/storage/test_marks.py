"""What carries a mark was written by a holder of the key, and what a store brings with it is not taken for ours."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from flows.engine.server import server_folder
from storage.marks import KEY_VARIABLE, KeyFault, NotOurs, is_mark, key_file, mark, own_cache_folder, own_name
from storage.store import Store


@pytest.fixture(autouse=True)
def a_new_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_a_mark_is_of_its_content_and_of_its_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = mark("result", "name", b"content")
    assert is_mark(made, "result", "name", b"content")
    for other in (("result", "name", b"content2"), ("result", "namec", b"ontent"), ("result", "name"), ()):
        assert not is_mark(made, *other)
    for claimed in ("", made[:-1], made.upper(), "ü" * 64):
        assert not is_mark(claimed, "result", "name", b"content")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody"))
    assert not is_mark(made, "result", "name", b"content")


def test_the_key_is_made_once_and_is_the_users_alone(tmp_path: Path) -> None:
    code = "from storage.marks import mark; print(mark('a'))"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        for _ in range(4)
    ]
    assert len({process.communicate(timeout=60)[0] for process in running}) == 1
    found = key_file().stat()
    assert (stat.S_IMODE(found.st_mode), found.st_size) == (0o600, 32)
    assert os.listdir(key_file().parent) == ["cache.key"]


@pytest.mark.parametrize("kind", ["readable by others", "a link", "empty", "a folder", "a pipe"])
def test_a_key_that_may_be_others_is_refused(kind: str) -> None:
    path = key_file()
    path.parent.mkdir(parents=True)
    if kind == "a link":
        (path.parent / "real").write_bytes(b"k" * 32)
        path.symlink_to(path.parent / "real")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path, 0o600)
    else:
        path.write_bytes(b"" if kind == "empty" else b"k" * 32)
        path.chmod(0o644 if kind == "readable by others" else 0o600)
    with pytest.raises(KeyFault, match=r"cache\.key"):
        mark("a")


def test_a_key_can_be_shared_and_must_be_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef")
    made = mark("a")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    assert is_mark(made, "a")
    assert not key_file().exists()
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(KeyFault, match="too short"):
        mark("a")


def test_folders_that_came_with_a_store_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither clones, whose configuration git would obey, nor environments, nor a server's database."""
    theirs = Store(tmp_path / "store")
    for name in ("clones/a__b.git", "environments/1", "checkouts/2"):
        (theirs.work / name).mkdir(parents=True)
    database = server_folder(theirs.root) / "prefect.db"
    for made in (theirs.work, database.parent):
        assert made.parent == Path(theirs.root) / ".cache"
    (Path(theirs.root) / ".cache" / "work").mkdir()  # as older releases named it
    (Path(theirs.root) / ".cache" / "prefect").mkdir()
    moved = Path(theirs.root).rename(tmp_path / "moved")
    assert [path.name for path in sorted(Store(moved).work.iterdir())] == ["checkouts", "clones", "environments"]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "somebody else"))
    assert list(Store(moved).work.iterdir()) == []
    assert not (server_folder(str(moved)) / "prefect.db").exists()
    assert own_name("work").removeprefix("work-") != own_name("prefect").removeprefix("prefect-")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_cache_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".cache").mkdir()
    os.chown(tmp_path / ".cache", 12345, 12345)
    with pytest.raises(NotOurs, match=r"uid 12345.*--store"):
        _ = Store(tmp_path).work
    with pytest.raises(NotOurs):
        server_folder(str(tmp_path))
    monkeypatch.setenv(KEY_VARIABLE, "a secret that both users know")
    assert own_cache_folder(tmp_path, "work").parent == tmp_path / ".cache"


@pytest.mark.parametrize("kind", ["a file", "a pipe", "a link", "a dangling link", "a loop"])
def test_a_cache_that_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    """A link may have come with the store, and lead anywhere."""
    cache = tmp_path / "store" / ".cache"
    cache.parent.mkdir()
    if kind == "a file":
        cache.touch()
    elif kind == "a pipe":
        os.mkfifo(cache)
    else:
        (tmp_path / "home").mkdir()
        cache.symlink_to({"a link": tmp_path / "home", "a loop": cache}.get(kind, tmp_path / "nowhere"))
    for folder in (lambda: Store(cache.parent).work, lambda: server_folder(str(cache.parent))):
        with pytest.raises(NotOurs, match="no folder"):
            folder()
    assert not (tmp_path / "home").exists() or not os.listdir(tmp_path / "home")
