"""Connections from a sandbox, few at once, led to the gateway's HTTP or to an extra host that is allowed.

An extra host is reached by CONNECT, as every client does it that is given a proxy for https. Nothing else leads out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence

MOST_CONNECTIONS = 64
"""At once; further ones are closed at once."""
FIRST_LINE_S = 30.0
"""Seconds in which a connection must have said what it wants."""
LONGEST_HEAD = 16_384
CHUNK = 65_536
_CONNECT = re.compile(rb"CONNECT ([A-Za-z0-9.\-]+):(\d{1,5}) HTTP/1\.[01]\r?\n")
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
HttpFactory = Callable[[], asyncio.Protocol]


class Doorway:
    """Makes a protocol for each connection."""

    def __init__(self, http: HttpFactory, extra_hosts: Sequence[str], refused: Callable[[str], None]) -> None:
        """`extra_hosts`: `name` (port 443) or `name:port`. `refused` is told what was asked in vain."""
        self.http = http
        self.refused = refused
        self.hosts = {host if ":" in host else f"{host}:443" for host in map(str.lower, extra_hosts)}
        self.open = 0
        self.tunnels: set[asyncio.Task[None]] = set()

    def __call__(self) -> asyncio.Protocol:
        """The first protocol of a connection."""
        return _Knock(self)


class _Knock(asyncio.Protocol):
    """Waits for what a connection wants, then makes room for who can do it."""

    def __init__(self, door: Doorway) -> None:
        self._door = door
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._next: asyncio.Protocol | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._door.open += 1
        if self._door.open > MOST_CONNECTIONS:
            transport.abort()
            return
        self._patience = asyncio.get_running_loop().call_later(FIRST_LINE_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._next is not None:
            self._next.data_received(data)
            return
        self._head += data
        is_connect = b"CONNECT ".startswith(self._head[:8]) or self._head.startswith(b"CONNECT ")
        if is_connect and b"\r\n\r\n" not in self._head and len(self._head) <= LONGEST_HEAD:
            return
        assert self._transport is not None
        if self._patience is not None:
            self._patience.cancel()
        if is_connect:
            self._connect(self._transport)
            return
        self._next = self._door.http()
        self._next.connection_made(self._transport)
        head, self._head = self._head, b""
        self._next.data_received(head)

    def eof_received(self) -> bool | None:
        return self._next.eof_received() if self._next is not None else None

    def pause_writing(self) -> None:
        if self._next is not None:
            self._next.pause_writing()

    def resume_writing(self) -> None:
        if self._next is not None:
            self._next.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.open -= 1
        if self._patience is not None:
            self._patience.cancel()
        if self._next is not None:
            self._next.connection_lost(exc)

    def _connect(self, transport: asyncio.Transport) -> None:
        match = _CONNECT.match(self._head)
        target = f"{match[1].decode().lower()}:{int(match[2])}" if match else ""
        if target not in self._door.hosts:
            what = target or "a CONNECT that is none"
            self._door.refused(what)
            text = f"{what} is not allowed: an attempt reaches its models, and hosts that its configuration names\n"
            transport.write(FORBIDDEN % (len(text), text.encode()))
            transport.close()
            return
        reader = asyncio.StreamReader()
        self._next = asyncio.StreamReaderProtocol(reader)
        self._next.connection_made(transport)
        rest = self._head.split(b"\r\n\r\n", 1)[1]
        if rest:
            reader.feed_data(rest)
        writer = asyncio.StreamWriter(transport, self._next, reader, asyncio.get_running_loop())
        task = asyncio.get_running_loop().create_task(_tunnel(target, reader, writer))
        self._door.tunnels.add(task)
        task.add_done_callback(self._door.tunnels.discard)


async def _tunnel(target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    host, _, port = target.rpartition(":")
    try:
        async with asyncio.timeout(FIRST_LINE_S):
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
    except (OSError, ValueError) as error:
        text = f"{target} cannot be reached: {error}\n".encode()
        writer.write(FORBIDDEN.replace(b"403 Forbidden", b"502 Bad Gateway") % (len(text), text))
        writer.close()
        return
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    try:
        await asyncio.gather(_pass(reader, far_writer), _pass(far_reader, writer))
    finally:
        writer.close()
        far_writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()
