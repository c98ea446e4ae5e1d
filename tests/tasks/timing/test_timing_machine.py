"""Core leases exclude each other, between threads and processes; the fingerprint is stable."""

import multiprocessing
import threading
import time
from pathlib import Path

from tasks.timing.machine import core_groups, fingerprint, leased_cores, pinning


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


def test_the_fingerprint_names_the_machine():
    machine = fingerprint()
    assert machine == fingerprint()
    assert machine.cores >= 1
    assert len(machine.machine_id) == 12
