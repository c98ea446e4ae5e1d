"""Mining from the command line with pull requests from a loopback server, and without keywords."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.models import RepositoryConfig
from storage.store import Store
from storage.tables import Commit, Funnel, PullRequest
from tests.flows.conftest import Isobench
from tests.tasks.mining.conftest import FAST, SLOW, GitRepository
from tests.tasks.mining.hub import TOKEN, FakeHub


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, True),
        ("https://github.com/a/b", True),
        ("git@github.com:a/b.git", True),
        ("ssh://git@github.com/a/b.git", True),
        ("https://example.org/github.com/a/b", False),
        ("https://notgithub.com/a/b", False),
        ("/data/github.com/a/b", False),
    ],
)
def test_where_pull_requests_are_asked_for(url: str | None, expected: bool) -> None:
    assert RepositoryConfig(name="a/b", url=url).is_on_github is expected


@pytest.mark.slow
def test_candidates_with_what_was_said_about_them(
    isobench: Isobench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = GitRepository(tmp_path / "repo")
    repository.commit("Start", {"sums.py": SLOW})
    sha = repository.commit("Avoid the loop in total, reuse sum (#12)", {"sums.py": FAST})
    hub = FakeHub()
    hub.documents = {
        "/repos/acme/sums/pulls/12": {"title": "No loop", "body": "2.3x faster", "user": None, "labels": []},
        "/repos/acme/sums/issues/12/timeline": [],
        "/repos/acme/sums/pulls/12/comments": [],
    }
    config = tmp_path / "config.yaml"
    config.write_text(
        f"repository: {{name: acme/sums, url: {repository.path}}}\n"
        f"mining: {{min_score: 0.5, pull_requests: true}}\nstore: {tmp_path}/store\n"
    )
    monkeypatch.setenv("GITHUB_API_URL", hub.url)
    monkeypatch.setenv("GHAPI_TOKEN", TOKEN)
    done = isobench("mine", config, "--no-keywords")
    assert done.returncode == 0, done.stderr
    assert "mining: 2 done in" in done.stderr  # changes, not repositories
    store = Store(tmp_path / "store")
    (kept,) = store.rows(Commit, "acme/sums", kept=True)
    assert (kept.sha, kept.reason.split()[:2]) == (sha, ["kept:", "score"])
    (said,) = store.rows(PullRequest, "acme/sums")
    assert (said.number, said.claims) == (12, ["2.3x faster"])
    assert [(row.key, row.outcome) for row in store.rows(Funnel) if row.stage == "pull_requests"] == [("#12", "kept")]
    assert TOKEN not in done.stdout + done.stderr

    monkeypatch.delenv("GHAPI_TOKEN")
    monkeypatch.chdir(tmp_path)  # no .env of ours
    asked = len(hub.asked)
    done = isobench("mine", config, "--no-keywords", "--store", tmp_path / "other")
    hub.server.shutdown()
    hub.server.server_close()
    assert done.returncode == 0, done.stderr
    (note,) = (row for row in Store(tmp_path / "other").rows(Funnel) if row.stage == "pull_requests")
    assert (note.outcome, note.reason) == ("dropped", "GHAPI_TOKEN is not set")
    assert len(hub.asked) == asked
