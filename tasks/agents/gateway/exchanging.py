"""One request of an agent, from its body to the last byte of its answer: let in, sent, passed back, counted, kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import httpx
from aiohttp import web

from tasks.agents.gateway import upstream
from tasks.agents.gateway.counting import Count
from tasks.agents.gateway.faults import Faults, kind_of
from tasks.agents.gateway.models import FaultKind, Usage
from tasks.agents.gateway.protocols import Call, refusal
from tasks.agents.gateway.requests import Asked, for_provider
from tasks.agents.gateway.spending import Admission, Ledger
from tasks.agents.gateway.streams import MEBIBYTE, Events, Scrubber, Whole
from tasks.agents.gateway.translating import translated
from tasks.agents.gateway.upstream import Answer, Unanswered

MOST_KEPT = 32 * MEBIBYTE
"""Bytes of an answer that are kept."""
OVERRUN = 1.5
"""How far an answer may go beyond its cap, by our estimate, before it is cut: there are providers that know no cap."""
SLACK = 200
"""Tokens more than that, so that no estimate of a short answer cuts it."""
SHOWN = 300
"""Bytes of an error that are told with the fault."""
BYTES_PER_TOKEN = 4
"""Of text that was made, where nobody counts it."""


@dataclass
class Passing:
    """A request under way."""

    call: Call
    asked: Asked
    body: bytes
    count: Count
    cap: int | None = None
    status: int = 0
    """HTTP status that the agent was sent."""
    begun: bool = False
    """Whether the provider took the request."""
    fault: FaultKind | None = None
    kept: bytearray = field(default_factory=bytearray)
    """The answer, as it came."""
    left_out: int = 0
    """Bytes of it that are not kept."""

    def overran(self) -> bool:
        """Whether the provider goes on beyond the cap that it was given."""
        if self.cap is None:
            return False
        said = self.count.said
        made = max(said.tokens_out if said else 0, self.count.made // BYTES_PER_TOKEN)
        return made > self.cap * OVERRUN * self.asked.wanted.answers + SLACK

    def used(self, prompt_tokens: int) -> Usage:
        """By the provider's count, where it came to say it; else what it said so far and an estimate."""
        said = self.count.said
        if not self.begun or (said is None and not self.count.made and self.fault == "nonsense"):
            return Usage()
        if said is not None and self.count.whole:
            return said
        said = said or Usage(requests=1)
        made = -(-self.count.made // BYTES_PER_TOKEN)
        return said.model_copy(
            update={
                "tokens_in": said.tokens_in or prompt_tokens,
                "tokens_out": max(said.tokens_out, made),
                "estimated_requests": 1,
            }
        )


class Exchanger:
    """Makes the requests of one attempt."""

    def __init__(
        self, client: httpx.AsyncClient, ledger: Ledger, faults: Faults, secrets: Iterable[str], silence_s: float
    ) -> None:
        self._client, self._ledger, self._faults = client, ledger, faults
        self._secrets = list(secrets)
        self._silence_s = silence_s

    async def exchange(
        self,
        request: web.BaseRequest,
        call: Call,
        asked: Asked,
        body: bytes,
        ended: Callable[[Passing, Usage], None],
    ) -> web.StreamResponse:
        """Make a request and pass its answer on. `ended` hears what became of it, in any case. Raises Spent."""
        if call.kind == "count":
            passing = Passing(call, asked, body, Count(call.shape))
            try:
                return await self._pass(request, passing)
            finally:
                ended(passing, Usage())
        admission = await self._ledger.admit(asked.model, len(body), asked.wanted)
        passing = Passing(call, asked, body, Count(call.shape), admission.cap)
        try:
            return await self._pass(request, passing)
        finally:
            ended(passing, self._book(passing, admission))

    def _book(self, passing: Passing, admission: Admission) -> Usage:
        used = passing.used(admission.prompt_tokens)
        return self._ledger.book(admission, used, passing.asked.model, len(passing.body))

    async def _pass(self, request: web.BaseRequest, passing: Passing) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        try:
            async with self._ask(request, passing) as answer:
                response = await self._begin(request, passing, answer)
                await self._go_on(response, passing, answer)
        except Unanswered as error:
            self._note(passing, error.kind, detail=str(error))
            return self._broken(request, response, passing, str(error))
        except ConnectionError:  # of the agent's: a provider's is Unanswered
            self._note(passing, "agent_left")
            return response or web.Response(status=502)
        except asyncio.CancelledError:
            self._note(passing, "agent_left")
            raise
        return response

    def _ask(self, request: web.BaseRequest, passing: Passing) -> AbstractAsyncContextManager[Answer]:
        call, asked = passing.call, passing.asked
        model, provider = asked.model, asked.model.provider
        body = for_provider(call, asked, passing.cap)
        if provider.translate is not None:
            return translated(call, model, body, asked.streams, self._silence_s)
        url = upstream.url_for(provider, call, model.upstream, request.rel_url.raw_query_string)
        headers = upstream.headers_for(provider, request.headers.items())
        return upstream.asked(self._client, url, headers, body, self._silence_s)

    async def _begin(self, request: web.BaseRequest, passing: Passing, answer: Answer) -> web.StreamResponse:
        kind = kind_of(answer.status)
        if kind == "redirected":  # the key goes where the configuration says, and nowhere else
            raise Unanswered("redirected", f"the provider answered {answer.status}, which leads elsewhere")
        passing.status, passing.begun = answer.status, kind is None
        cleaned = Scrubber(self._secrets)
        headers = [(name, cleaned.text(value)) for name, value in answer.headers]
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        return response

    async def _go_on(self, response: web.StreamResponse, passing: Passing, answer: Answer) -> None:
        reader = Events(passing.count, passing.asked.hides_usage) if answer.events else Whole(passing.count)
        passing.count = answer.count or passing.count
        scrubber = Scrubber(self._secrets)
        async for piece in answer.pieces:
            await self._give(response, passing, reader.feed(scrubber.feed(piece)))
            if passing.overran():
                self._ledger.end("budget: an answer went on beyond what the rest of the budget holds, and was cut")
                raise Unanswered("cut", "the answer went on beyond its cap")
        await self._give(response, passing, reader.feed(scrubber.end()) + reader.end())
        self._judge(passing, answer)  # the answer's end is written when all is booked

    async def _give(self, response: web.StreamResponse, passing: Passing, data: bytes) -> None:
        if not data:
            return
        room = MOST_KEPT - len(passing.kept)
        passing.kept += data[:room]
        passing.left_out += max(0, len(data) - room)
        await response.write(data)

    def _judge(self, passing: Passing, answer: Answer) -> None:
        """Whether what came was an answer."""
        count, kind = passing.count, kind_of(answer.status)
        if kind is not None:
            said = " ".join(passing.kept[:SHOWN].decode("utf-8", "replace").split())
            self._note(passing, kind, answer.status, said)
        elif count.failed:
            self._note(passing, "overloaded" if "overload" in count.failed else "server_error", detail=count.failed)
        elif count.whole:
            self._faults.ok()
        elif answer.events and (count.made or count.said):
            self._note(passing, "cut", detail="the stream ended before the answer did")
        else:
            self._note(passing, "nonsense", detail="status 200, and no answer of the protocol")

    def _broken(
        self, request: web.BaseRequest, response: web.StreamResponse | None, passing: Passing, message: str
    ) -> web.StreamResponse:
        """The agent sees what we saw: a connection that ends in the middle, or that there is no answer."""
        if response is not None:
            if request.transport is not None:
                request.transport.close()
            return response
        passing.status = 504 if passing.fault == "hang" else 502
        text = Scrubber(self._secrets).text(f"the provider gave no answer: {message}")
        return web.Response(
            status=passing.status,
            body=refusal(passing.call.protocol, passing.status, text),
            content_type="application/json",
        )

    def _note(self, passing: Passing, kind: FaultKind, status: int | None = None, detail: str = "") -> None:
        passing.fault = kind
        self._faults.note(kind, status, Scrubber(self._secrets).text(detail))
