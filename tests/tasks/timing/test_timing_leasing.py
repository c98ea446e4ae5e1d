"""Core leases exclude each other, between threads, processes, sizes, and where only a server is shared."""

import multiprocessing
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tasks.timing import core_leases
from tasks.timing.core_leases import Busy, core_groups, leased_cores, machine_name, pinning


def test_groups_are_disjoint_and_use_every_core():
    assert core_groups([0, 1], 2) == [(0, 1)]
    assert core_groups([0, 1, 2, 3, 4], 2) == [(0, 1), (2, 3, 4)]
    assert core_groups([3], 2) == [(3,)]


def test_sets_of_processes_move_over_the_leased_cores():
    assert [pinning((4, 5), index, 1) for index in range(3)] == [(4,), (5,), (4,)]
    assert pinning((4, 5), 1, 2) == (4, 5)
    assert pinning((4,), 1, 3) == (4,)


def test_a_second_session_waits_for_the_first(tmp_path: Path):
    order = []

    def second() -> None:
        with leased_cores(1000, tmp_path):
            order.append("second")

    with leased_cores(1000, tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def _hold(folder: str, held) -> None:
    with leased_cores(1000, Path(folder)):
        held.set()
        time.sleep(60)


def test_a_killed_holder_gives_its_cores_back(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), held))
    process.start()
    assert held.wait(30)
    process.kill()
    process.join()
    with leased_cores(1000, tmp_path) as cores:
        assert cores


def test_an_8_core_machine_has_four_sessions_and_a_wide_one_excludes_those_it_overlaps(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(core_leases.os, "sched_getaffinity", lambda _: set(range(8)))
    with leased_cores(2, tmp_path) as one, leased_cores(2, tmp_path) as two, leased_cores(4, tmp_path) as wide:
        assert (one, two, wide) == ((0, 1), (2, 3), (4, 5, 6, 7))
        started, got = threading.Event(), []

        def narrow() -> None:
            started.set()
            with leased_cores(2, tmp_path) as cores:
                got.append(cores)

        thread = threading.Thread(target=narrow)
        thread.start()
        assert started.wait(10)
        time.sleep(0.2)
        assert got == []
    thread.join(10)
    assert len(got[0]) == 2


class Server:
    """Slots by name, one each, as a server keeps them; `/tmp` is not shared."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    @contextmanager
    def reserve(self, names: Sequence[str]) -> Iterator[None]:
        if self.taken & set(names):
            raise Busy(names[0])
        self.taken |= set(names)
        try:
            yield
        finally:
            self.taken -= set(names)


def test_workers_that_share_only_a_server_use_different_cores_and_one_device_at_a_time(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(core_leases.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    server, folders = Server(), [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with leased_cores(2, folders[0], server.reserve) as one, leased_cores(2, folders[1], server.reserve) as two:
        assert (one, two) == ((0, 1), (2, 3))
        assert f"{machine_name()}-core-3" in server.taken
    assert server.taken == set()
    with leased_cores(2, folders[0], server.reserve, ["isobench-gpu-1"]):
        assert "isobench-gpu-1" in server.taken
        with pytest.raises(Busy, match="isobench"):
            core_leases._take(ExitStack(), (2, 3), folders[1], server.reserve, ["isobench-gpu-1"])
    assert server.taken == set()
