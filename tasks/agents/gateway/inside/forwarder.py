"""Leads an agent's requests out of its sandbox, which has no network but its own loopback.

    python -I -S forwarder.py SOCKET PORT -- COMMAND...

Listens on 127.0.0.1:PORT, leads each connection to the unix socket, and becomes the command. It runs inside sandboxes:
standard library only, Python 3.8 and newer. It understands nothing of what it passes on: whatever an agent does to it,
the gateway on the other side of the socket decides.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys

BACKLOG = 128
CHUNK = 65536


def listen(port: int) -> socket.socket:
    """A socket on loopback, which takes every connection from now on. Raises OSError if the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(BACKLOG)
    return listening


def leave(listening: socket.socket, path: str) -> None:
    """Forward in a process of its own: no child of the command, which would wait for it, and not on its pipes."""
    if (child := os.fork()) != 0:
        os.waitpid(child, 0)
        return
    if os.fork() != 0:
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    try:
        asyncio.run(forward(listening, path))
    finally:
        os._exit(1)


async def forward(listening: socket.socket, path: str) -> None:
    """Lead every connection to the unix socket, until the sandbox ends."""

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            out_reader, out_writer = await asyncio.open_unix_connection(path)
        except OSError:  # the gateway is gone: the agent sees a connection that ends
            writer.close()
            return
        try:
            await asyncio.gather(_pass(reader, out_writer), _pass(out_reader, writer))
        finally:
            writer.close()
            out_writer.close()

    server = await asyncio.start_server(lead, sock=listening)
    async with server:
        await server.serve_forever()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Whatever one side says, to the other, as it comes; its end, too."""
    try:
        while True:
            data = await reader.read(CHUNK)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except (OSError, RuntimeError):  # whoever is left sees the connection end
        writer.close()


def main(argv: list[str]) -> None:
    """Listen, then become the command."""
    path, port, _, *command = argv
    try:
        listening = listen(int(port))
    except OSError as error:
        os.write(2, f"forwarder: port {port} of the sandbox: {error.strerror}\n".encode())
        os._exit(125)
    leave(listening, path)
    listening.close()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
