"""The way to providers: one request, its headers with the real key, and the answer as it comes."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache

import httpx

from tasks.agents.gateway.counting import Count
from tasks.agents.gateway.models import FaultKind, Provider
from tasks.agents.gateway.protocols import Call

CONNECT_S = 30.0
"""Seconds until a provider takes a connection."""
_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "content-length", "expect",
})  # fmt: skip
_OURS = frozenset({
    "authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "accept-encoding", "content-encoding",
    "openai-organization", "openai-project", "anthropic-organization", "x-goog-user-project", "forwarded", "via",
})  # fmt: skip
"""What an agent may not say to a provider: who pays, and where it came from."""
_TOLD = frozenset({"content-encoding", "set-cookie", "alt-svc", "strict-transport-security"})
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
    count: Count | None = None
    """What was counted where the answer came from, if that was not in its own bytes: a translation leaves out some."""


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
    client: httpx.AsyncClient, url: str, headers: list[tuple[str, str]], body: bytes, silence_s: float
) -> AsyncIterator[Answer]:
    """Send a request. `silence_s`: seconds without a byte after which a provider hangs. Raises Unanswered."""
    timeout = httpx.Timeout(silence_s, connect=CONNECT_S).as_dict()
    try:
        # made by hand: a client's own requests say things that the agent did not
        request = httpx.Request("POST", url, headers=headers, content=body, extensions={"timeout": timeout})
        response = await client.send(request, stream=True, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise _unanswered(error, silence_s, begun=False) from None
    try:
        events = response.headers.get("content-type", "").startswith("text/event-stream")
        yield Answer(response.status_code, told(response.headers), events, _pieces(response, silence_s))
    finally:
        await response.aclose()


async def _pieces(response: httpx.Response, silence_s: float) -> AsyncIterator[bytes]:
    try:
        async for piece in response.aiter_bytes():
            yield piece
    except (httpx.HTTPError, ValueError) as error:
        raise _unanswered(error, silence_s, begun=True) from None


def _unanswered(error: Exception, silence_s: float, begun: bool) -> Unanswered:
    if isinstance(error, httpx.ConnectTimeout):
        return Unanswered("unreachable", f"no connection within {CONNECT_S:g} s")
    if isinstance(error, httpx.TimeoutException):
        return Unanswered("hang", f"nothing came for {silence_s:g} s")
    if isinstance(error, httpx.ConnectError | httpx.ProxyError | httpx.UnsupportedProtocol | httpx.InvalidURL):
        return Unanswered("unreachable", f"no connection: {error}")
    if begun or isinstance(error, httpx.NetworkError) or "disconnected" in str(error):
        return Unanswered("cut", f"the connection ended: {error}")
    return Unanswered("nonsense", f"no HTTP came: {error}")


def new_client() -> httpx.AsyncClient:
    """A client that keeps connections and no cookies, goes through the user's proxy, and knows no netrc."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=30)
    certificates = _certificates()
    direct = httpx.AsyncHTTPTransport(verify=certificates, limits=limits)
    mounts: dict[str, httpx.AsyncBaseTransport] = {}
    for scheme in ("http", "https"):
        proxies = urllib.request.getproxies()
        proxy = proxies.get(scheme) or proxies.get("all")
        if proxy and proxy.startswith("http"):
            mounts[f"{scheme}://"] = _Proxied(direct, httpx.AsyncHTTPTransport(proxy=proxy, verify=certificates))
    return httpx.AsyncClient(transport=direct, mounts=mounts, trust_env=False)


class _Proxied(httpx.AsyncBaseTransport):
    """The user's proxy; none for this machine itself, and for what the user says."""

    def __init__(self, direct: httpx.AsyncHTTPTransport, proxy: httpx.AsyncHTTPTransport) -> None:
        self._direct, self._proxy = direct, proxy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        ours = host in ("localhost", "127.0.0.1", "::1") or urllib.request.proxy_bypass(host)
        return await (self._direct if ours else self._proxy).handle_async_request(request)

    async def aclose(self) -> None:
        await self._proxy.aclose()


@lru_cache
def _certificates() -> ssl.SSLContext:
    """The system's, and those that Python's clients bring along where a system has none."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
