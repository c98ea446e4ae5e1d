"""The gateway of one attempt: a unix socket, an event loop in a thread, and what was seen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Self

from aiohttp import web

from configs.errors import UserError
from tasks.agents.gateway.doorway import Doorway
from tasks.agents.gateway.exchanging import Exchanger
from tasks.agents.gateway.faults import Faults
from tasks.agents.gateway.handling import Handler
from tasks.agents.gateway.models import AllowedModel, Budget, Fault, LeakSeen, Usage
from tasks.agents.gateway.prices import with_prices
from tasks.agents.gateway.protocols import call_of
from tasks.agents.gateway.recording import Exchange, Recorder
from tasks.agents.gateway.requests import Asked
from tasks.agents.gateway.spending import Ledger
from tasks.agents.gateway.upstream import new_client
from tasks.agents.gateway.watching import LeakWatch
from tasks.sandbox.ownership import private_folder

SILENCE_S = 600.0
"""Seconds without a byte after which a provider hangs; the clients of providers wait as long."""
LONGEST_PATH = 100
"""Bytes of a unix socket's path; the kernel takes 108."""
CLOSING_S = 1.0
"""Seconds in which connections must have ended that are closed with the gateway."""


class GatewayError(UserError, ValueError):
    """What was configured cannot be done; the message says what to change."""


class Gateway:
    """The one way out of a sandbox: an attempt's models, within its budget. Start it with `with`; one per attempt.

    What it says of usage, faults and leaks may be read at any time, and is whole when the block has ended.
    """

    def __init__(
        self,
        models: Sequence[AllowedModel],
        budget: Budget,
        record: Recorder | None = None,
        watch: LeakWatch | None = None,
        extra_hosts: Sequence[str] = (),
        silence_s: float = SILENCE_S,
    ) -> None:
        """`extra_hosts`: `name` (port 443) or `name:port`, reached by CONNECT. Raises GatewayError."""
        self.models = {model.asked: with_prices(model) for model in models}
        unknown = [name for name, model in self.models.items() if model.prices is None]
        if budget.usd is not None and unknown:
            raise GatewayError(
                f"{', '.join(unknown)} has no known price, so a budget in dollars cannot be kept: give its prices "
                "(0 for a model of your own), or a budget in tokens"
            )
        self._ledger, self._faults = Ledger(budget), Faults()
        self._record, self._watch = record, watch
        self._extra_hosts, self._silence_s = tuple(extra_hosts), silence_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._folder = Path()
        self.refused: list[str] = []
        """What was asked for and is not allowed (hosts, models, tools of a provider's), the first hundred."""

    @property
    def socket(self) -> Path:
        """The unix socket, alone in a folder to be mounted into the sandbox; `inside/forwarder.py` leads to it."""
        return self._folder / "door" / "gateway.sock"

    @property
    def usage(self) -> Usage:
        """So far, by the providers' own counts."""
        return self._ledger.usage

    @property
    def ended(self) -> str | None:
        """What of the budget was spent, once a request was refused or cut for it."""
        return self._ledger.ended

    @property
    def faults(self) -> list[Fault]:
        """What went wrong so far, with counts."""
        return self._faults.seen()

    @property
    def last_ok(self) -> datetime | None:
        """When a provider last answered as it should; None: never."""
        return self._faults.last_ok

    @property
    def unanswered(self) -> int:
        """Requests in a row, up to now, that no provider answered."""
        return self._faults.since_ok

    @property
    def leak(self) -> LeakSeen | None:
        """What the agent was shown of the human's diff; None without a watch."""
        return self._watch.seen if self._watch else None

    def __enter__(self) -> Self:
        self._folder = _short_folder()
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self.__exit__()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._loop is not None and self._stop is not None and self._loop.is_running():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()
        if self._watch is not None:
            self._watch.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._failure is not None and not any(exception):
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # handed over to the thread that started it
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        secrets = {
            model.provider.api_key.get_secret_value() for model in self.models.values() if model.provider.api_key
        }
        with ThreadPoolExecutor(1, "gateway records") as self._writer:
            async with new_client() as client:
                exchanger = Exchanger(client, self._ledger, self._faults, secrets, self._silence_s)
                quiet = logging.Logger("gateway", logging.CRITICAL + 1)  # no agent writes into our log
                handler = Handler(self.models, exchanger, self._keep, self._refused)
                http = web.Server(
                    handler, handler_cancellation=True, access_log=None, logger=quiet, keepalive_timeout=75.0,
                )  # fmt: skip
                door = Doorway(http, self._extra_hosts, self._refused)
                self.socket.parent.mkdir()
                server = await self._loop.create_unix_server(door, str(self.socket))
                # for whoever runs in the sandbox; nobody else gets to the folder above
                self.socket.parent.chmod(0o755)
                self.socket.chmod(0o666)
                self._started.set()
                await self._stop.wait()
                server.close()
                for tunnel in door.tunnels:
                    tunnel.cancel()
                await handler.close()
                await http.shutdown(CLOSING_S)

    def _refused(self, what: str) -> None:
        if len(self.refused) < 100:
            self.refused.append(what[:200])

    def _keep(self, exchange: Exchange, asked: Asked | None, request: bytes, answer: bytes) -> None:
        call = call_of("POST", exchange.path, {})
        if self._watch is not None and asked is not None and call is not None and exchange.ended != "refused":
            self._watch.note(call.shape, asked.body.values)
        if self._record is not None:
            self._writer.submit(self._write, exchange, asked, request, answer)

    def _write(self, exchange: Exchange, asked: Asked | None, request: bytes, answer: bytes) -> None:
        assert self._record is not None
        try:
            self._record.note(exchange, request, asked.body.cuts() if asked else [], answer)
        except OSError as error:
            self._faults.note("not_recorded", detail=error.strerror or str(error))


def _short_folder() -> Path:
    """A folder of this user's own, whose name leaves room for a socket's."""
    folder = private_folder()
    if len(os.fsencode(folder)) + len("/door/gateway.sock") <= LONGEST_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="isobench-", dir="/tmp"))
