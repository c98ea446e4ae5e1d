"""Runs inside a sandbox, over a server or over its clients: starts, awaits, times and ends them for the driver outside.

Standard library only, Python 3.8 and newer; sent as the interpreter's `-c` argument, like the probe. It speaks JSON
lines and repeats the random id of every request in its answer. Whatever it started is its descendant (it adopts
orphans), and all descendants are killed when it is told to stop or when its pipe closes.
"""

from __future__ import annotations  # Python 3.8 evaluates no `dict[str, Any]`

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

KEPT = 4 * 1024 * 1024
GRACE_S = 5.0
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER


class Failed(Exception):
    """What was asked for did not happen; `kind` is `exit`, `timeout` or `start`."""

    def __init__(self, kind: str, message: str, output: str = "") -> None:
        super().__init__(message)
        self.kind, self.output = kind, output


class Output:
    """The end of what a process prints, read in the background so that it never blocks; and whether it said a text."""

    def __init__(self, stream: Any, awaited: str | None = None) -> None:
        self.data, self.awaited, self.seen, self.cut = bytearray(), (awaited or "").encode(), threading.Event(), False
        self.thread = threading.Thread(target=self.read, args=(stream,), daemon=True)
        self.thread.start()

    def read(self, stream: Any) -> None:
        """To the end of the stream."""
        searched = 0
        while True:
            piece = os.read(stream.fileno(), 65536)
            if not piece:
                return
            self.data += piece
            if self.awaited and not self.seen.is_set():
                if self.data.find(self.awaited, max(0, searched - len(self.awaited))) >= 0:
                    self.seen.set()
                searched = len(self.data)
            if len(self.data) > 2 * KEPT:
                del self.data[:-KEPT]
                self.cut, searched = True, len(self.data)

    def text(self, limit: int = KEPT) -> str:
        """The last `limit` bytes."""
        return bytes(self.data[-limit:]).decode(errors="replace")


class Runner:
    """One server at most, or clients one after another."""

    def __init__(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # without it the sandbox's end is the orphans' end
            ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
        self.server: Any = None
        self.log: Any = None

    def ping(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def port(self) -> dict[str, Any]:
        """A free TCP port of the sandbox's own network."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return {"port": probe.getsockname()[1]}

    def start(self, command: str, cwd: str, variables: dict[str, str], ready: dict[str, Any]) -> dict[str, Any]:
        """Start the server and wait until it is ready; the seconds that took."""
        begin = time.monotonic()
        self.server = spawn(command, cwd, variables)
        self.log = Output(self.server.stdout, ready.get("line"))
        while not self.is_ready(ready):
            if self.server.poll() is not None:
                self.log.thread.join(1)
                code = self.server.returncode
                self.stop()
                raise Failed("start", f"the server ended with code {code} before it was ready", self.log.text(4000))
            if time.monotonic() - begin > ready["timeout_s"]:
                self.stop()
                message = "the server was not ready within {:g} s".format(ready["timeout_s"])
                raise Failed("timeout", message, self.log.text(4000))
            time.sleep(0.05)
        return {"ready_s": time.monotonic() - begin}

    def is_ready(self, ready: dict[str, Any]) -> bool:
        """Whether every check that is given says so."""
        if ready.get("line") and not self.log.seen.is_set():
            return False
        if ready.get("port"):
            try:
                socket.create_connection(("127.0.0.1", ready["port"]), timeout=1).close()
            except OSError:
                return False
        if ready.get("url"):
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                opener.open(ready["url"], timeout=5).close()
            except (urllib.error.URLError, OSError, ValueError):
                return False
        return True

    def client(self, command: str, cwd: str, variables: dict[str, str], timeout_s: float) -> dict[str, Any]:
        """Run a client to its end: what it printed, and how long it took."""
        begin = time.perf_counter_ns()
        process = spawn(command, cwd, variables, errors=subprocess.PIPE)
        output, errors = Output(process.stdout), Output(process.stderr)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            kill([*descendants(process.pid), process.pid])
            process.wait()
            raise Failed("timeout", f"the command took longer than {timeout_s:g} s", errors.text(4000)) from None
        wall_ns = time.perf_counter_ns() - begin
        for one in (output, errors):
            one.thread.join(2)  # a child that lives on may hold the pipe
        if code != 0:
            said = errors.text(4000) or output.text(4000)
            raise Failed("exit", f"the command ended with code {code}", said)
        return {"output": output.text(), "cut": output.cut, "wall_ns": wall_ns}

    def alive(self) -> dict[str, Any]:
        """Whether the server still runs, if one was started."""
        if self.server is not None and self.server.poll() is not None:
            message = f"the server ended with code {self.server.returncode} while the command ran"
            raise Failed("exit", message, self.log.text(4000))
        return {}

    def stop(self) -> dict[str, Any]:
        """End the server and whatever else is left: first asked, then killed."""
        if self.server is not None and self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.server.wait(GRACE_S)
        left = descendants(os.getpid())
        while left:
            kill(left)
            reap()
            left = descendants(os.getpid())
        self.server = None
        return {}


def spawn(command: str, cwd: str, variables: dict[str, str], errors: int = subprocess.STDOUT) -> Any:
    """A shell that runs the command in a session of its own."""
    try:
        return subprocess.Popen(
            ["/bin/sh", "-c", command], cwd=cwd, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise Failed("start", str(error)) from None


def descendants(root: int) -> list[int]:
    """Processes below `root` that have not ended, by /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            if state != "Z":
                children.setdefault(int(parent), []).append(int(name))
    found: list[int] = []
    todo = [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def kill(processes: list[int]) -> None:
    """Kill what still lives."""
    for process in processes:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)


def reap() -> None:
    """Adopted orphans that have ended."""
    time.sleep(0.02)
    with contextlib.suppress(OSError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Take the pipes away from file descriptors 0 and 1, and answer until the pipe closes."""
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    runner = Runner()
    with os.fdopen(requests, "rb") as lines:
        for line in lines:
            request = json.loads(line)
            try:
                answer = {"ok": True, **getattr(runner, request["op"])(**request["args"])}
            except Failed as failure:
                answer = {"ok": False, "kind": failure.kind, "message": str(failure), "output": failure.output}
            data = json.dumps({"id": request["id"], **answer}).encode() + b"\n"
            while data:
                data = data[os.write(answers, data) :]
    runner.stop()


if __name__ == "__main__":
    main()
    sys.exit(0)
