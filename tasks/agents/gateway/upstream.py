"""The way to providers: one request, its headers with the real key, and the answer as it comes."""

from __future__ import annotations

import contextlib
import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import aiohttp

from tasks.agents.gateway.models import FaultKind, Provider
from tasks.agents.gateway.protocols import Call

CONNECT_S = 30.0
"""Seconds until a provider takes a connection."""
_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade "
    "host content-length expect".split()
)
_OURS = frozenset(
    "authorization x-api-key x-goog-api-key api-key cookie accept-encoding content-encoding openai-organization "
    "openai-project anthropic-organization x-goog-user-project forwarded via".split()
)
"""What an agent may not say to a provider: who pays, and where it came from."""
_TOLD = frozenset("content-encoding set-cookie alt-svc strict-transport-security".split())
"""What a provider says that is for us alone, beside whose account it is."""
_KEYS = ("key", "api_key", "access_token", "oauth_token")


class Unanswered(Exception):
    """No answer came; the message says why."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        super().__init__(message)
        self.kind: FaultKind = kind


@dataclass(frozen=True)
class Answer:
    """What a provider sends. `pieces` may raise Unanswered when it breaks off."""

    status: int
    headers: list[tuple[str, str]]
    events: bool
    """Whether it is a stream of events."""
    pieces: AsyncIterator[bytes]


def url_for(provider: Provider, call: Call, upstream_model: str, query: str) -> str:
    """Where a call goes. What an agent's query says of keys is left out."""
    base = provider.base_url.rstrip("/")
    for version in ("/v1beta", "/v1"):
        base = base.removesuffix(version)
    kept = [piece for piece in query.split("&") if piece and piece.split("=")[0].lower() not in _KEYS]
    return base + call.path.replace("{model}", upstream_model) + ("?" + "&".join(kept) if kept else "")


def headers_for(provider: Provider, theirs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The agent's headers without what is between two hosts and without any key, and with ours."""
    pairs = list(theirs)
    named = {name.strip().lower() for key, value in pairs if key.lower() == "connection" for name in value.split(",")}
    kept = [
        (name, value)
        for name, value in pairs
        if name.lower() not in _HOP | _OURS | named and not name.lower().startswith("x-forwarded")
    ]
    kept.append(("Accept-Encoding", "identity"))
    if provider.api_key is not None:
        key = provider.api_key.get_secret_value()
        own = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}.get(provider.protocol)
        kept.append((own, key) if own else ("Authorization", f"Bearer {key}"))
    return kept


def told(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What of a provider's headers goes on to the agent."""
    return [
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _HOP | _TOLD and "organization" not in name.lower() and "project" not in name.lower()
    ]


@asynccontextmanager
async def asked(
    session: aiohttp.ClientSession, url: str, headers: list[tuple[str, str]], body: bytes, silence_s: float
) -> AsyncIterator[Answer]:
    """Send a request. `silence_s`: seconds without a byte after which a provider hangs. Raises Unanswered."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, connect=CONNECT_S, sock_read=silence_s)
    async with contextlib.AsyncExitStack() as stack:
        try:
            response = await stack.enter_async_context(
                session.post(
                    url, data=body, headers=headers, timeout=timeout, allow_redirects=False, proxy=_proxy_for(url),
                    skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
                )
            )  # fmt: skip
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _unanswered(error, silence_s, begun=False) from None
        kind = response.headers.get("Content-Type", "")
        yield Answer(
            response.status,
            told(response.headers),
            kind.startswith("text/event-stream"),
            _pieces(response, silence_s),
        )


async def _pieces(response: aiohttp.ClientResponse, silence_s: float) -> AsyncIterator[bytes]:
    try:
        async for piece in response.content.iter_any():
            yield piece
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise _unanswered(error, silence_s, begun=True) from None


def _unanswered(error: Exception, silence_s: float, begun: bool) -> Unanswered:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Unanswered("unreachable", f"no connection within {CONNECT_S:g} s")
    if isinstance(error, TimeoutError):
        return Unanswered("hang", f"nothing came for {silence_s:g} s")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
        return Unanswered("unreachable", str(error))
    if begun or isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return Unanswered("cut", f"the connection ended: {error}")
    return Unanswered("nonsense", f"no HTTP came: {error}")


def new_session() -> aiohttp.ClientSession:
    """A session that keeps connections, no cookies, and knows no netrc. Call it in the event loop."""
    connector = aiohttp.TCPConnector(limit=0, ssl=_certificates())
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


@lru_cache
def _certificates() -> ssl.SSLContext:
    """The system's, and those that Python's clients bring along where a system has none."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _proxy_for(url: str) -> str | None:
    """The user's proxy; none for this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "127.0.0.1", "::1") or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return found if found and found.startswith("http") else None
