"""Ranges of history in worker processes: the same rows as in one process, and clear errors when one dies."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import psutil
import pytest

from configs.models import MiningConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Commit
from tasks.code.clones import clone_path
from tasks.mining.errors import MiningError
from tasks.mining.filters.rules import Rules
from tasks.mining.git.clone import sync_repository
from tasks.mining.git.history import first_parent_chain
from tasks.mining.git.process import open_repository
from tasks.mining.mine import mine_repository
from tasks.mining.workers import pool
from tasks.mining.workers.pool import Regions, filter_all
from tasks.mining.workers.process import Range, Setup
from tasks.progress import heard_by

NAME = "acme/sums"


@pytest.fixture
def small_ranges(monkeypatch):
    monkeypatch.setattr(pool, "MIN_CHANGES", 5)
    monkeypatch.setattr(pool, "RANGE", 4)


@pytest.fixture
def history(repository):
    for number in range(20):
        repository.commit(f"Faster {number}", {"sums.py": f"def total(xs):\n    return sum(xs, {number})\n"})
    repository.git("checkout", "-q", "-b", "side")
    inner = repository.commit("Speed up the side", {"side.py": "def f():\n    return 1\n"})
    repository.git("checkout", "-q", "main")
    repository.commit("Other", {"other.py": "x = 1\n"})
    repository.merge("Merge side", "side")
    return inner


def setup_of(repository, store: Store) -> tuple[Setup, list[str]]:
    config = RepositoryConfig(name=NAME, url=str(repository.path))
    clone = sync_repository(config, store)
    path = store.work / clone_path(NAME)
    with open_repository(path) as repo:
        chain = list(first_parent_chain(repo, clone.head_sha))
    return Setup(path, NAME, Rules.of(MiningConfig(), config.languages), "v1"), chain


def test_the_rows_do_not_depend_on_the_number_of_processes(repository, history, small_ranges, tmp_path):
    tables = []
    for processes in (1, 3):
        store = Store(tmp_path / f"store{processes}")
        config = RepositoryConfig(name=NAME, url=str(repository.path))
        clone = sync_repository(config, store)
        mined = mine_repository(config, MiningConfig(), clone.head_sha, store, processes=processes)
        assert (mined.considered, mined.new) == (23, 23)
        tables.append(({row.sha: row for row in store.rows(Commit, NAME)}, mined))
    assert tables[0] == tables[1]
    assert any(row.inner_shas == [history] for row in tables[0][0].values())


def test_each_change_comes_once(repository, history, small_ranges, tmp_path):
    setup, chain = setup_of(repository, Store(tmp_path / "store"))
    rows = [row.sha for batch in filter_all(setup, chain, dict, processes=2) for row in batch]
    assert sorted(rows) == sorted(chain)


@pytest.fixture
def started(monkeypatch):
    """The processes that became workers, with their lines."""
    found = []
    start = pool._start
    monkeypatch.setattr(pool, "_start", lambda count: found.append(start(count)) or found[-1])
    return found


def test_stopping_early_ends_the_workers(repository, history, small_ranges, tmp_path, started):
    setup, chain = setup_of(repository, Store(tmp_path / "store"))
    found = filter_all(setup, chain, dict, processes=2)
    assert next(found)
    ((process, lines),) = started
    found.close()
    assert process.poll() is not None
    assert all(line.answers.closed for line in lines)


def test_workers_end_when_they_are_told_to():
    process, lines = pool._start(2)
    deadline = time.monotonic() + 20
    while len(children := psutil.Process(process.pid).children()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=20) == 1
    assert len(children) == 2
    assert not any(child.is_running() for child in children)
    for line in lines:
        line.close()


def test_workers_end_with_their_parent(repository, history, small_ranges, tmp_path, started):
    """However it ended: nobody holds the other end of their pipes then."""
    setup, _ = setup_of(repository, Store(tmp_path / "store"))
    process, lines = pool._start(2)
    pickle.dump(setup, lines[0].questions)
    for line in lines:
        line.close()
    assert process.wait(timeout=20) == 0


@pytest.mark.parametrize("victim", ["all", "one"])
def test_a_worker_that_dies_is_an_outside_fault(repository, history, small_ranges, tmp_path, monkeypatch, victim):
    start = pool._start

    def doomed(count):
        process, lines = start(count)
        if victim == "all":
            process.kill()
        else:
            # it takes this for a question, and cannot read it
            os.write(lines[0].questions.fileno(), b"nonsense")
        return process, lines

    monkeypatch.setattr(pool, "_start", doomed)
    setup, chain = setup_of(repository, Store(tmp_path / "store"))
    with pytest.raises(MiningError, match="ended before its work was done; run again") as caught:
        list(filter_all(setup, chain, dict, processes=2))
    assert caught.value.outside


def test_an_error_in_a_worker_is_the_parents_error(repository, history, small_ranges, tmp_path):
    setup, chain = setup_of(repository, Store(tmp_path / "store"))
    with pytest.raises(MiningError, match="cannot be read") as caught:
        list(filter_all(setup, [*chain, "f" * 40], dict, processes=2))
    assert not caught.value.outside


def test_a_folder_called_tasks_where_the_user_stands_is_not_ours(
    repository, history, small_ranges, tmp_path, monkeypatch
):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("raise SystemExit('wrong tasks')\n")
    setup, chain = setup_of(repository, Store(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    assert sum(len(batch) for batch in filter_all(setup, chain, dict, processes=2)) == len(chain)


def test_messages_travel(tmp_path: Path):
    job = Range(["a" * 40])
    assert pickle.loads(pickle.dumps(job)) == job


@pytest.mark.parametrize("processes", [1, 2])
def test_mining_tells_how_many_changes_were_read(repository, history, small_ranges, tmp_path, processes):
    store = Store(tmp_path / "store")
    config = RepositoryConfig(name=NAME, url=str(repository.path))
    clone = sync_repository(config, store)
    told: list[tuple[int, int]] = []
    with heard_by(lambda done, total: told.append((done, total))):
        mine_repository(config, MiningConfig(), clone.head_sha, store, processes=processes)
    assert told == sorted(told)
    assert told[-1] == (23, 23)
    told.clear()
    mine_repository(config, MiningConfig(), clone.head_sha, store, processes=processes)
    assert told == []


def test_every_worker_has_a_region_and_who_is_through_helps_from_the_far_end():
    shas = [f"{number:04}" for number in range(2000)]
    regions = Regions(shas, 2)
    first = [regions.take(0), regions.take(1)]
    assert [found[0] for found in first if found] == ["0000", "1000"]
    rest = []
    while found := regions.take(0):
        rest.append(found)
    own = [found for found in rest if found[0] < "1000"]
    assert rest[: len(own)] == own
    assert rest[len(own)][-1] == "1999"
    assert sorted(sha for found in first + rest for sha in found or []) == shas
    assert regions.take(1) is None
