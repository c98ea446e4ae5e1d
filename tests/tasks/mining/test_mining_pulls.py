"""Pull requests from a loopback server that speaks enough of GitHub's API."""

from __future__ import annotations

import time
from typing import Any

import pytest

from configs.models import RepositoryConfig
from storage.store import Store
from storage.tables import PullRequest
from tasks.mining import stage
from tasks.mining.errors import MiningError
from tasks.mining.pulls import github
from tasks.mining.pulls.fetch import claims, fetch_pull_request
from tasks.mining.pulls.github import GitHub
from tests.tasks.mining.hub import TOKEN, FakeHub

REPO = RepositoryConfig(name="acme/sums")


@pytest.fixture
def hub():
    made = FakeHub()
    made.documents = {
        "/repos/acme/sums/pulls/12": {
            "title": "Make total 2.3x faster", "body": "Fixes #7 and closes #8.\n12.5 ms -> 3 ms",
            "user": {"login": "ada"},
            "labels": [{"name": "perf"}],
        },
        "/repos/acme/sums/issues/12/timeline": [
            *({"event": "labeled", "created_at": "2020-01-01"} for _ in range(120)),
            {"event": "reviewed", "state": "approved", "body": "40% faster here", "user": {"login": "bob"},
             "submitted_at": "2020-01-03T00:00:00Z"},
            {"event": "commented", "body": "Nice", "actor": {"login": "eve"}, "created_at": "2020-01-02T00:00:00Z"},
        ],
        "/repos/acme/sums/pulls/12/comments": [
            {"body": "Why?", "path": "sums.py", "user": None, "created_at": "2020-01-01T00:00:00Z"}
        ],
        "/repos/acme/sums/issues/7": {"title": "total is slow", "body": None},
    }  # fmt: skip
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def fetch(hub, store, number=12, token: str | None = TOKEN):
    return fetch_pull_request(REPO, number, store, token, hub.url)


def test_everything_that_was_said(hub, store):
    assert fetch(hub, store).status == "fetched"
    (row,) = store.rows(PullRequest, "acme/sums")
    assert (row.number, row.status, row.author, row.labels) == (12, "ok", "ada", ["perf"])
    assert row.timeline.split("\n\n") == [
        "2020-01-01 ghost (sums.py): Why?",
        "2020-01-02 eve (commented): Nice",
        "2020-01-03 bob (approved): 40% faster here",
    ]
    assert row.linked_issues == ["#7 total is slow"]  # 8 does not exist
    assert row.claims == ["2.3x faster", "12.5 ms -> 3 ms", "40% faster"]
    assert row.etag == '"v1"'


def test_what_has_not_changed_is_not_fetched_again(hub, store):
    fetch(hub, store)
    (before,) = store.rows(PullRequest, "acme/sums")
    hub.asked.clear()
    assert fetch(hub, store).status == "unchanged"
    assert hub.asked == ["/repos/acme/sums/pulls/12"]
    (after,) = store.rows(PullRequest, "acme/sums")
    assert after == before.model_copy(update={"fetched_at": after.fetched_at})
    assert after.fetched_at > before.fetched_at
    hub.version = '"v2"'
    hub.documents["/repos/acme/sums/pulls/12"]["title"] = "Other"
    assert fetch(hub, store).status == "fetched"
    assert store.rows(PullRequest, "acme/sums")[0].title == "Other"


def test_no_token_no_question(hub, store):
    fetched = fetch(hub, store, token=None)
    assert (fetched.status, fetched.reason) == ("skipped", "GHAPI_TOKEN is not set")
    assert hub.asked == []
    assert store.rows(PullRequest) == []


def test_an_unknown_number_is_recorded(hub, store):
    assert fetch(hub, store, 99).status == "not_found"
    assert store.rows(PullRequest)[0].status == "not_found"


def test_a_rate_limit_that_resets_soon_is_waited_for(hub, store):
    soon = str(int(time.time()) + 1)
    hub.refusals = [
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": soon}, '{"message": "API rate limit exceeded"}'),
        (429, {"Retry-After": "0"}, '{"message": "secondary rate limit"}'),
    ]
    assert fetch(hub, store).status == "fetched"


def test_a_long_rate_limit_ends_all_questions(hub, store):
    reset = str(int(time.time()) + 3600)
    hub.refusals = [(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}, '{"message": "exceeded"}')]
    for _ in range(2):
        with pytest.raises(MiningError, match=r"rate limit is used up until .* UTC") as caught:
            fetch(hub, store)
        assert not caught.value.outside
    assert len(hub.asked) == 1


@pytest.mark.parametrize(
    ("refusal", "outside", "text"),
    [
        ((502, {}, "<html>bad gateway"), True, "answers 502"),
        ((403, {}, '{"message": "Resource not accessible"}'), False, "Resource not accessible"),
        ((401, {}, "{}"), False, "GHAPI_TOKEN"),
        ((200, {}, "no json"), True, "no JSON"),
    ],
)
def test_faults_are_told_apart(hub, store, refusal, outside, text):
    hub.refusals = [refusal]
    with pytest.raises(MiningError, match=text) as caught:
        fetch(hub, store)
    assert caught.value.outside is outside
    assert TOKEN not in str(caught.value)
    assert store.rows(PullRequest) == []


def test_an_unreachable_server_is_an_outside_fault(monkeypatch):
    monkeypatch.setattr(github, "TIMEOUT_S", 2)
    with pytest.raises(MiningError, match="cannot be reached") as caught:
        GitHub(TOKEN, "http://127.0.0.1:1").get("/x")
    assert caught.value.outside


def test_the_door(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no .env of ours
    monkeypatch.setenv("GITHUB_API_URL", hub.url)
    monkeypatch.delenv("GHAPI_TOKEN", raising=False)
    door: Any = stage.fetch_pull_request
    parameters = {"repository": REPO, "number": 12, "store": str(tmp_path / "store"), "refresh": ""}
    without = door.cache_key_fn(None, parameters)
    assert door.fn(REPO, 12, parameters["store"]).status == "skipped"
    monkeypatch.setenv("GHAPI_TOKEN", TOKEN)
    key = door.cache_key_fn(None, parameters)
    assert key != without
    assert TOKEN not in key
    assert door.cache_key_fn(None, {**parameters, "store": "/elsewhere"}) == key
    assert door.cache_key_fn(None, {**parameters, "refresh": "2024-01-01"}) != key
    assert door.fn(REPO, 12, parameters["store"]).status == "fetched"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is 3x faster, honestly 3x faster", ["3x faster"]),
        ("from 1.2 s to 300 ms", ["1.2 s to 300 ms"]),
        ("reduces time by 35 %: 35 % less", ["35 % less"]),
        ("a speedup of 1.5x", ["speedup of 1.5x"]),
        ("version 3.11, 100% covered, see #12", []),
    ],
)
def test_claims(text, found):
    assert claims(text) == found
