"""Asks GitHub's REST API through PyGithub: conditional requests, pages, the rate limit respected, faults told apart."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import Any

import github
import requests
from github.Requester import Requester

from tasks.mining.errors import MiningError

API = "https://api.github.com"
TIMEOUT_S = 30
MAX_PAGES = 10
MAX_WAIT_S = 60
"""A rate limit that resets within this time, in seconds, is waited for; a longer one ends the run's questions."""

_blocked: dict[str, float] = {}
_lock = threading.Lock()


class GitHub:
    """Read access to the API at one address with one token."""

    def __init__(self, token: str, api: str = API, max_wait_s: float = MAX_WAIT_S) -> None:
        self._api = api.rstrip("/")
        self._max_wait_s = max_wait_s
        client = github.Github(
            base_url=self._api,
            auth=github.Auth.Token(token),
            timeout=TIMEOUT_S,
            retry=None,
            seconds_between_requests=0.1,
        )
        self._requester: Requester = client.requester

    def get(self, path: str, etag: str | None = None, **parameters: Any) -> tuple[Any, str]:
        """(content of the path, its ETag); (None, etag) if the content has not changed since `etag`.

        Raises KeyError if the path does not exist or this token may not see it. Raises MiningError otherwise: with
        `outside` for a fault of the server or the network; without it if the token is refused, or if the rate limit is
        used up for longer than this call waits. After that no request is sent until the limit resets.
        """
        while True:
            self._respect_limit()
            status, headers, body = self._ask(path, etag, parameters)
            if status == 304:
                return None, etag or ""
            if status == 200:
                try:
                    return json.loads(body), headers.get("etag", "")
                except ValueError as error:
                    raise MiningError(f"GitHub's answer to {path} is no JSON", outside=True) from error
            if status in (404, 410):
                raise KeyError(path)
            if status == 401:
                raise MiningError("GitHub refuses the token in GHAPI_TOKEN: renew it, or unset it to do without")
            if status in (403, 429) and self._note_limit(headers, body):
                continue
            raise MiningError(f"GitHub answers {status} to {path}: {_message(body)}", outside=status >= 500)

    def pages(self, path: str) -> list[Any]:
        """All entries of a list, up to 1,000. Raises as `get` does."""
        found: list[Any] = []
        for page in range(1, MAX_PAGES + 1):
            entries, _ = self.get(path, per_page=100, page=page)
            found += entries or []
            if len(entries or []) < 100:
                break
        return found

    def _ask(self, path: str, etag: str | None, parameters: dict[str, Any]) -> tuple[int, dict[str, Any], str]:
        try:
            return self._requester.requestJson(
                "GET", path, parameters, {"If-None-Match": etag} if etag else None, follow_302_redirect=True
            )
        except (requests.RequestException, OSError, github.GithubException) as error:
            raise MiningError(f"{self._api} cannot be reached now: {type(error).__name__}", outside=True) from error

    def _respect_limit(self) -> None:
        with _lock:
            until = _blocked.get(self._api, 0.0)
        wait = until - time.time()
        if wait > self._max_wait_s:
            reset = datetime.fromtimestamp(until, UTC)
            raise MiningError(f"GitHub's rate limit is used up until {reset:%Y-%m-%d %H:%M} UTC; run again then")
        if wait > 0:
            time.sleep(wait)

    def _note_limit(self, headers: dict[str, Any], body: str) -> bool:
        """Whether a refusal is the rate limit; then until when is remembered, for all of this process."""
        now = time.time()
        if "retry-after" in headers:
            until = now + _number(headers["retry-after"], 60)
        elif headers.get("x-ratelimit-remaining") == "0":
            until = _number(headers.get("x-ratelimit-reset"), now + 60)
        elif "rate limit" in body.lower():
            until = now + 60
        else:
            return False
        with _lock:
            # a second more: clocks differ, and a reset in the past must not be asked again at once
            _blocked[self._api] = max(until, now) + 1
        return True


def _number(text: Any, otherwise: float) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return otherwise


def _message(body: str) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.strip()[:200] or "nothing"
