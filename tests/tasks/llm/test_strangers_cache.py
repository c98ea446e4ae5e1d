"""Replies and requests in a store from elsewhere: links lead nowhere, pipes make nobody wait."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage.store import Store, StoreError
from tasks.llm.cache import Reply, ReplyCache
from tasks.llm.folder import cache_folder
from tasks.llm.requests import Request, Requests

KEY = "a" * 40
REPLY = Reply("blue", 1, 1, 0.0)
REQUEST = Request(KEY, "m", ({"role": "user", "content": "?"},), 10, None, "o/r", "test", "item", "p v1", "5a")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "llm").mkdir()
    return tmp_path / "llm"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    return tmp_path / "home"


def test_forgetting_what_waits_empties_no_folder_of_the_users(folder: Path, precious: Path) -> None:
    (folder / "open").symlink_to(precious)
    Requests(folder).forget_open()
    assert os.listdir(precious) == ["thesis.txt"]
    with pytest.raises(OSError, match=r".+"):
        Requests(folder).leave_open(REQUEST)
    assert os.listdir(precious) == ["thesis.txt"]


def test_a_link_in_the_place_of_a_file_is_replaced_or_removed(folder: Path, precious: Path) -> None:
    target = precious / "thesis.txt"
    names = (f"{KEY[:2]}/{KEY}.json", f"requests/{KEY[:2]}/{KEY}.json", f"open/{KEY}")
    for name in names:
        (folder / name).parent.mkdir(parents=True)
        (folder / name).symlink_to(target)
    assert ReplyCache(folder).get(KEY) is None
    ReplyCache(folder).put(KEY, REPLY)
    Requests(folder).leave_open(REQUEST)
    assert not any((folder / name).is_symlink() for name in names)
    assert (ReplyCache(folder).get(KEY), Requests(folder).waiting()) == (REPLY, [REQUEST])
    (folder / "open" / ("b" * 40)).symlink_to(target)
    Requests(folder).forget_open()
    assert Requests(folder).waiting() == []
    assert target.read_text() == "years of work"


def keep(folder: Path) -> None:
    with ReplyCache(folder).claim(KEY):
        Requests(folder).save(REQUEST)
        ReplyCache(folder).put(KEY, REPLY)


@pytest.mark.parametrize("name", [KEY[:2], f"requests/{KEY[:2]}", "locks"])
def test_nothing_is_written_through_a_linked_folder(folder: Path, precious: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(precious)
    with pytest.raises(OSError, match=r".+"):
        keep(folder)
    assert os.listdir(precious) == ["thesis.txt"]


def test_a_pipe_is_no_request(folder: Path) -> None:
    (folder / "requests" / KEY[:2]).mkdir(parents=True)
    os.mkfifo(folder / "requests" / KEY[:2] / f"{KEY}.json")
    os.mkdir(folder / "open")
    (folder / "open" / KEY).touch()
    assert Requests(folder).waiting() == []


def test_the_folder_itself_is_no_link(tmp_path: Path, precious: Path) -> None:
    store = Store(tmp_path / "store")
    (store.work.parent / "llm").symlink_to(precious)
    with pytest.raises(StoreError, match="is a link"):
        cache_folder(store)
