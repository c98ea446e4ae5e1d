"""How a command in a sandbox is led to the gateway outside."""

from __future__ import annotations

from pathlib import Path

from tasks.sandbox import Command, Mount

INSIDE = Path(__file__).with_name("inside")
FORWARDER = "forwarder.py"
SOCKET = "gateway.sock"
GATEWAY_DIR = "/gateway"
"""Where the folder of the socket is mounted."""


def led_out(command: Command, socket: Path, port: int, python: str) -> Command:
    """The same command, with the gateway listening on `http://127.0.0.1:<port>` of its sandbox.

    `python` is an interpreter inside the sandbox, 3.8 or newer; it starts the forwarder, and then the command takes its
    place: exit code, signals and pipes are the command's own. The forwarder is one process more. Where the sandbox has
    no network of its own (locally, without bubblewrap), the port must be free on this machine.
    """
    forwarder = (python, "-I", "-S", f"{GATEWAY_DIR}/{FORWARDER}", f"{GATEWAY_DIR}/{SOCKET}", str(port), "--")
    mount = Mount(source=socket.parent, target=GATEWAY_DIR)
    return command.model_copy(update={"argv": (*forwarder, *command.argv), "mounts": (*command.mounts, mount)})
