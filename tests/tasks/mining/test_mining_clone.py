"""Synchronising the clone, and the ways in which it can go wrong."""

from __future__ import annotations

import threading

import pytest

from configs.models import RepositoryConfig
from storage.store import Store
from tasks.mining.errors import MiningError
from tasks.mining.git.clone import sync_repository


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def config(repository, **fields):
    return RepositoryConfig(name="acme/sums", **{"url": str(repository.path), **fields})


def test_clones_then_fetches(repository, store):
    clone = sync_repository(config(repository), store)
    assert (store.work / clone.path / "HEAD").is_file()
    assert clone.path == "clones/acme__sums.git"
    assert (clone.head_sha, clone.branch, clone.rewritten) == (repository.head(), "main", False)
    new = repository.commit("More", {"a.py": "x = 1\n"})
    assert sync_repository(config(repository), store).head_sha == new


def test_branches(repository, store):
    start = repository.head()
    repository.git("checkout", "-q", "-b", "side")
    side = repository.commit("Side", {"a.py": "x = 1\n"})
    repository.git("checkout", "-q", "main")
    assert sync_repository(config(repository), store).head_sha == start
    assert sync_repository(config(repository, branch="side"), store).head_sha == side
    with pytest.raises(MiningError, match=r"no branch 'nope'; set repository.branch to one of: main, side"):
        sync_repository(config(repository, branch="nope"), store)


def test_detached_head(repository, store):
    first = repository.head()
    repository.commit("More", {"a.py": "x = 1\n"})
    repository.git("checkout", "-q", first)
    clone = sync_repository(config(repository), store)
    assert (clone.head_sha, clone.branch) == (first, None)


def test_force_push_is_noticed_and_old_commits_stay(repository, store):
    first = repository.head()
    old = repository.commit("Old", {"a.py": "x = 1\n"})
    sync_repository(config(repository), store)
    repository.git("reset", "-q", "--hard", first)
    new = repository.commit("New", {"a.py": "x = 2\n"})
    clone = sync_repository(config(repository), store)
    assert clone.rewritten
    assert clone.head_sha == new
    import git

    assert git.Repo(store.work / clone.path).commit(old).hexsha == old


def test_no_such_folder_is_the_users_mistake(tmp_path, store):
    with pytest.raises(MiningError, match="is not a folder") as caught:
        sync_repository(RepositoryConfig(name="a/b", url=str(tmp_path / "nowhere")), store)
    assert not caught.value.outside


def test_a_folder_without_a_repository(tmp_path, store):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MiningError, match=r"check repository\.") as caught:
        sync_repository(RepositoryConfig(name="a/b", url=str(tmp_path / "empty")), store)
    assert not caught.value.outside


def test_a_repository_without_commits(tmp_path, store):
    import git

    git.Repo.init(tmp_path / "bare", bare=True)
    with pytest.raises(MiningError, match="has no commits"):
        sync_repository(RepositoryConfig(name="a/b", url=str(tmp_path / "bare")), store)


def test_an_unreachable_server_is_an_outside_fault(store):
    with pytest.raises(MiningError) as caught:
        sync_repository(RepositoryConfig(name="a/b", url="git://127.0.0.1:1/a/b.git"), store)
    assert caught.value.outside


def test_many_at_once_make_one_clone(repository, store):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(sync_repository(config(repository), store))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {clone.head_sha for clone in found} == {repository.head()}
    assert len(found) == 4
    assert sorted(path.name for path in (store.work / "clones").iterdir()) == ["acme__sums.git", "acme__sums.git.lock"]
