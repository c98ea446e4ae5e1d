"""Fetches a pull request: its text, its discussion, the issues it closes, the gains it claims."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from configs.models import RepositoryConfig
from storage.store import Store
from storage.tables import PullRequest
from tasks.mining.models import FetchedPullRequest
from tasks.mining.pulls.github import API, GitHub

MAX_TIMELINE_CHARS = 200_000
MAX_LINKED = 5
MAX_CLAIMS = 20

_LINKED = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\b:?\s+(?:[\w.-]+/[\w.-]+)?#(\d+)", re.IGNORECASE)
_UNIT = r"(?:ns|us|µs|μs|ms|s|sec|seconds|min|minutes)"
_FASTER = r"(?:faster|slower|quicker|speed-?ups?|improvement|reduction|less|fewer|better|performance|perf)"
_CLAIM = re.compile(
    rf"\d[\d.,]*\s?{_UNIT}?\s*(?:->|→|=>|to|vs\.?)\s*\d[\d.,]*\s?{_UNIT}\b"
    rf"|\d[\d.,]*\s?(?:x|×|times)(?:\s+(?:as fast|{_FASTER}))?(?![\w×])"
    rf"|[-+~]?\d[\d.,]*\s?%\s+(?:\w+\s+)?{_FASTER}\b"
    rf"|\b{_FASTER}(?:\s\w+)?\s(?:by|of)\s[~]?\d[\d.,]*\s?(?:%|x|×)",
    re.IGNORECASE,
)


def fetch_pull_request(
    repository: RepositoryConfig, number: int, store: Store, token: str | None, api: str = API
) -> FetchedPullRequest:
    """Fetch one pull request into `pull_requests`, or learn that it has not changed since the last fetch.

    Without a token no request is sent and no row written: status `skipped`. A number that GitHub does not know gets a
    row with status `not_found`. Raises MiningError as `GitHub.get` does.
    """
    if not token:
        return FetchedPullRequest(number=number, status="skipped", reason="GHAPI_TOKEN is not set")
    name = repository.name
    known = next(iter(store.rows(PullRequest, name, number=number)), None)
    asked = GitHub(token, api)
    now = datetime.now(UTC)
    try:
        pull, etag = asked.get(f"/repos/{name}/pulls/{number}", known.etag if known else None)
    except KeyError:
        store.append([PullRequest(repo=name, number=number, status="not_found", fetched_at=now)])
        return FetchedPullRequest(number=number, status="not_found", reason=f"{name} has no pull request {number}")
    if pull is None and known is not None:
        store.append([known.model_copy(update={"fetched_at": now})])
        return FetchedPullRequest(number=number, status="unchanged")
    # an issue's timeline has its comments, reviews and references; remarks on single lines are listed elsewhere
    events = asked.pages(f"/repos/{name}/issues/{number}/timeline")
    remarks = asked.pages(f"/repos/{name}/pulls/{number}/comments")
    body = pull.get("body") or ""
    timeline = "\n\n".join(_said([*events, *remarks]))[:MAX_TIMELINE_CHARS]
    row = PullRequest(
        repo=name,
        number=number,
        status="ok",
        title=pull.get("title") or "",
        body=body,
        author=_login(pull),
        labels=[label["name"] for label in pull.get("labels") or []],
        timeline=timeline,
        linked_issues=_linked(asked, name, f"{pull.get('title') or ''}\n{body}"),
        claims=claims(f"{pull.get('title') or ''}\n{body}\n{timeline}"),
        etag=etag,
        fetched_at=now,
    )
    store.append([row])
    return FetchedPullRequest(number=number, status="fetched")


def claims(text: str) -> list[str]:
    """Gains that a text claims, in its own words, each once: `2.3x faster`, `12 ms -> 3 ms`, `35% less`."""
    found = (" ".join(match[0].split()).rstrip(".,") for match in _CLAIM.finditer(text))
    return list(dict.fromkeys(found))[:MAX_CLAIMS]


def _linked(asked: GitHub, repo: str, text: str) -> list[str]:
    found = []
    for number in list(dict.fromkeys(_LINKED.findall(text)))[:MAX_LINKED]:
        try:
            issue, _ = asked.get(f"/repos/{repo}/issues/{number}")
        except KeyError:
            continue
        found.append(f"#{number} {issue.get('title') or ''}\n{issue.get('body') or ''}".strip())
    return found


def _said(events: Iterable[dict[str, Any]]) -> list[str]:
    """Comments, reviews and remarks in the order of time: `2020-01-02 ada (approved): text`."""
    spoken = []
    for event in events:
        if event.get("body"):
            at = event.get("submitted_at") or event.get("created_at") or ""
            what = event.get("state") or event.get("path") or event.get("event") or ""
            spoken.append((at, f"{at[:10]} {_login(event)} ({what}): {event['body'].strip()}"))
    return [text for _, text in sorted(spoken, key=lambda item: item[0])]


def _login(thing: dict[str, Any]) -> str:
    return str((thing.get("user") or thing.get("actor") or {}).get("login", "ghost"))
