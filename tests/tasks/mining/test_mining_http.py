"""Clones over HTTP, from git's own server on loopback: in steps, cut off, with a token, refused."""

from __future__ import annotations

import os
import random

import git
import pytest
from pydantic import ValidationError

from configs.models import Config, RepositoryConfig
from storage.store import Store
from tasks.mining.errors import MiningError
from tasks.mining.faults import is_outside_fault
from tasks.mining.git import missing_objects, transfer
from tasks.mining.git.clone import remote_state, sync_repository
from tasks.mining.git.missing_objects import promisor
from tasks.progress import heard_by
from tests.tasks.mining.githttp import GitHttp

FILES, BYTES = 60, 4000
TOKEN = "ghp-not-to-be-seen"


@pytest.fixture
def server(repository, tmp_path, monkeypatch):
    """A remote with 60 files that do not compress; asked for 20 blobs at a time. No configuration of the user's."""
    rng = random.Random(2)
    repository.write({f"data/{number}.bin": rng.randbytes(BYTES) for number in range(FILES)})
    repository.commit("Data")
    repository.git("config", "uploadpack.allowFilter", "true")
    monkeypatch.setattr(missing_objects, "BATCH", 20)
    for name, value in {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": os.devnull, "no_proxy": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GHAPI_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)  # no .env
    server = GitHttp(repository.path.parent)
    yield server
    server.close()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def config(server) -> RepositoryConfig:
    return RepositoryConfig(name="acme/sums", url=f"{server.url}/origin")


def assert_whole(store, repository) -> None:
    path = store.work / "clones" / "acme__sums.git"
    with git.Repo(path) as repo:
        assert promisor(repo) is None
        assert not missing_objects.missing_objects(repo, "--all")
        assert repo.head.commit.hexsha == repository.head()


def test_blobs_come_in_batches_then_what_is_new(server, store, repository, monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_WORD_S", 0.0)
    monkeypatch.setattr(transfer, "EVERY_S", 0.0)
    told: list[tuple[int, int]] = []
    with heard_by(lambda done, total: told.append((done, total))):
        clone = sync_repository(config(server), store)
    assert (clone.head_sha, clone.partial, clone.branch) == (repository.head(), False, "main")
    assert_whole(store, repository)
    assert sum(size > BYTES * 15 for size in server.sent) == 3
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > FILES
    before = remote_state(config(server), store)
    new = repository.commit("More", {"a.py": "x = 1\n"})
    assert remote_state(config(server), store) != before
    assert sync_repository(config(server), store).head_sha == new
    assert_whole(store, repository)
    assert server.sent[-1] < BYTES


def test_a_cut_connection_goes_on_where_it_stopped(server, store, repository):
    server.after = {2: BYTES * 10}
    with pytest.raises(MiningError, match="cannot be reached now") as caught:
        sync_repository(config(server), store)
    assert is_outside_fault(caught.value)
    first = len(server.sent)
    server.after = {}
    sync_repository(config(server), store)
    assert_whole(store, repository)
    # the batch that had come is not asked for again; the one that broke off is
    assert sum(size > BYTES for size in server.sent[first:]) == 2


def test_the_token_is_told_to_github_alone_and_written_nowhere(server, store, repository, monkeypatch, capfd):
    monkeypatch.setenv("GHAPI_TOKEN", TOKEN)
    server.password = TOKEN
    with pytest.raises(MiningError) as caught:
        sync_repository(config(server), store)  # asks for a password, but is not GitHub
    assert set(server.seen) == {""}
    assert not is_outside_fault(caught.value)
    assert "it asks for credentials" in str(caught.value)

    monkeypatch.setattr(transfer, "GITHUB", server.url)
    sync_repository(config(server), store)
    assert_whole(store, repository)
    assert TOKEN in server.seen
    held = [
        path for path in (store.work / "clones").rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]
    assert held == []

    monkeypatch.setenv("GHAPI_TOKEN", "expired-one")
    with pytest.raises(MiningError) as refused:
        sync_repository(config(server), store)
    assert "expired-one" in server.seen
    assert not is_outside_fault(refused.value)
    printed = "".join(capfd.readouterr())
    for secret in (TOKEN, "expired-one"):
        assert secret not in f"{caught.value} {refused.value} {printed}"


@pytest.mark.parametrize(
    ("status", "outside", "said"),
    [
        (401, False, "it asks for credentials"),
        (403, False, "it asks for credentials"),
        (404, False, "check repository.name and repository.url"),
        (429, True, "cannot be reached now"),
        (500, True, "cannot be reached now"),
        (503, True, "cannot be reached now"),
    ],
)
def test_what_the_server_answers(server, store, repository, status, outside, said):
    server.refuse = status
    # words in the name must not be taken for faults of the network
    asked = RepositoryConfig(name="acme/tls-connection", url=f"{server.url}/tls-connection-timeout.git")
    with pytest.raises(MiningError, match=said) as caught:
        sync_repository(asked, store)
    assert is_outside_fault(caught.value) is outside
    assert str(caught.value).startswith("acme/tls-connection: ")
    assert asked.url in str(caught.value)


def test_a_server_that_fails_on_the_way(server, store, repository):
    server.refuse_fetch = {1: 503}
    with pytest.raises(MiningError) as caught:
        sync_repository(config(server), store)
    assert is_outside_fault(caught.value)
    server.refuse_fetch = {}
    sync_repository(config(server), store)
    assert_whole(store, repository)


@pytest.mark.parametrize("prefix", [f"https://ada:{TOKEN}@", f"https://{TOKEN}@", f"ssh://ada:{TOKEN}@"])
def test_a_password_in_the_url_is_refused_and_not_repeated(prefix):
    with pytest.raises(ValidationError, match="GHAPI_TOKEN") as caught:
        Config.model_validate({"repository": {"name": "acme/sums", "url": f"{prefix}github.com/acme/sums.git"}})
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["git@github.com:acme/sums.git", "ssh://git@host/sums.git", "https://host/a@b.git", "/a"]
)
def test_other_urls_are_as_they_were(url):
    assert RepositoryConfig(name="acme/sums", url=url).clone_url == url
