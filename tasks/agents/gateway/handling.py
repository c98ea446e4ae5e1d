"""What agents ask of the gateway: read, allowed or refused in their protocol's own form, and handed on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web

from tasks.agents.gateway.bodies import BadBody
from tasks.agents.gateway.exchanging import Exchanger, Passing
from tasks.agents.gateway.models import AllowedModel, Protocol, Usage
from tasks.agents.gateway.protocols import Call, Shape, call_of, models_listed, refusal, speaker
from tasks.agents.gateway.recording import Exchange
from tasks.agents.gateway.requests import Asked, NotAllowed, UnknownModel, read
from tasks.agents.gateway.spending import Spent
from tasks.agents.gateway.streams import MEBIBYTE

LARGEST_BODY = 32 * MEBIBYTE
"""Bytes of a request; Anthropic takes as many."""
BODY_S = 120.0
"""Seconds in which a body must have come."""
MOST_AT_ONCE = 16
"""Requests under way; further ones wait."""
FINAL: dict[Shape, int] = {"responses": 400}
"""HTTP status of a refusal that no further try mends, where it is not 403: Codex tries that five times."""
Keep = Callable[[Exchange, Asked | None, bytes, bytes], None]
"""Keeps an exchange: with the request as it was read, if it could be, its bytes, and its answer's."""


class TooLarge(Exception):
    """A body that is larger than the gateway takes."""


class Handler:
    """Answers one attempt's requests, whatever they are."""

    def __init__(
        self, models: dict[str, AllowedModel], exchanger: Exchanger, keep: Keep, refused: Callable[[str], None]
    ) -> None:
        """`refused` is told what was asked for in vain."""
        self._models, self._exchanger, self._keep, self._refused = models, exchanger, keep, refused
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._under_way: set[asyncio.Task[object]] = set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer."""
        call = call_of(request.method, request.rel_url.raw_path, request.headers)
        beside = self._beside(request, call)
        if beside is not None:
            return beside
        task = asyncio.current_task()
        assert call is not None
        assert task is not None
        self._under_way.add(task)
        try:
            async with self._turns:
                return await self._ask(request, call)
        finally:
            self._under_way.discard(task)

    async def close(self) -> None:
        """End what is under way, and wait until it is booked."""
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _beside(self, request: web.BaseRequest, call: Call | None) -> web.Response | None:
        """The answer to all that is no request to a model."""
        path, raw = request.rel_url.raw_path, request.raw_path
        protocol = speaker(path, request.headers)
        if not raw.startswith("/") or raw.startswith("//"):
            return _no(protocol, 403, f"{raw[:200]} is not allowed: further hosts are reached by CONNECT, for https")
        if "upgrade" in request.headers:
            return _no(protocol, 426, "there are no websockets here: use HTTP")
        if request.method in ("GET", "HEAD") and path == "/":
            return web.Response(text="isobench gateway\n")
        if call is None:
            return _no(protocol, 404, f"{request.method} {path[:200]} is not allowed: only requests to models are")
        return self._list(call) if call.kind == "models" else None

    def _list(self, call: Call) -> web.Response:
        listed = models_listed(call.protocol, list(self._models), call.model)
        if listed is None:
            return _no(call.protocol, 404, "there is no such model in this attempt")
        return web.Response(body=listed, content_type="application/json")

    async def _ask(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        began = datetime.now(UTC)
        body, asked = b"", None
        status, code = 400, None
        try:
            body = await _body(request)
            asked = read(call, body, self._models)
            if call.kind == "count" and asked.model.provider.translate is not None:
                raise NotAllowed("tokens of this provider cannot be counted beforehand")

            def ended(passing: Passing, usage: Usage) -> None:
                exchange = _exchange(began, request, passing.status, passing.fault or "whole", usage, passing)
                self._keep(exchange, asked, body, bytes(passing.kept))

            return await self._exchanger.exchange(request, call, asked, body, ended)
        except TooLarge as error:
            status, reason = 413, str(error)
        except BadBody as error:
            reason = str(error)
        except UnknownModel as error:
            status, code, reason = 404, "model_not_found", str(error)
            self._refused(reason)
        except NotAllowed as error:
            status, reason = FINAL.get(call.shape, 403), str(error)
            self._refused(reason)
        except Spent as error:
            status, code, reason = FINAL.get(call.shape, 403), "insufficient_quota", f"the attempt is over: {error}"
        told = refusal(call.protocol, status, f"isobench gateway: {reason}", code)
        self._keep(_exchange(began, request, status, "refused", Usage()), asked, body, told)
        return web.Response(status=status, body=told, content_type="application/json")


def _no(protocol: Protocol, status: int, reason: str) -> web.Response:
    body = refusal(protocol, status, f"isobench gateway: {reason}")
    return web.Response(status=status, body=body, content_type="application/json")


def _exchange(
    began: datetime, request: web.BaseRequest, status: int, ended: str, usage: Usage, passing: Passing | None = None
) -> Exchange:
    return Exchange(
        number=0,
        began=began,
        seconds=(datetime.now(UTC) - began).total_seconds(),
        path=request.rel_url.raw_path[:500],
        model=passing.asked.model.asked if passing else "",
        status=status,
        ended=ended,
        usage=usage,
        left_out=passing.left_out if passing else 0,
    )


async def _body(request: web.BaseRequest) -> bytes:
    """Raises TooLarge, BadBody."""
    found = bytearray()
    if (request.content_length or 0) > LARGEST_BODY:
        raise TooLarge(f"the request is larger than {LARGEST_BODY // MEBIBYTE} MiB")
    if request.headers.get("expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(BODY_S):
            async for piece in request.content.iter_any():
                found += piece
                if len(found) > LARGEST_BODY:
                    raise TooLarge(f"the request is larger than {LARGEST_BODY // MEBIBYTE} MiB")
    except TimeoutError:
        raise BadBody(f"the body did not come within {BODY_S:g} s") from None
    except web.RequestPayloadError as error:
        raise BadBody(f"the body cannot be read: {error}") from None
    return bytes(found)
