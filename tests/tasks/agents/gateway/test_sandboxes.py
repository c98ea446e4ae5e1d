"""From inside a sandbox: the gateway is reached, and nothing else; no key is anywhere inside."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.agents.gateway.inside import forwarder
from tasks.agents.scripted import Script, ScriptedModel, Turn
from tasks.sandbox import Command, Completed, Limits, Mount, Sandbox
from tasks.sandbox.docker.sandbox import DockerSandbox
from tasks.sandbox.local.sandbox import LocalSandbox
from tests.tasks.agents.gateway.wire import KEY, allowed, body, noted, wired

PORT = 8931
ASKS = """
import http.client, json, os, sys
def ask(stream):
    connection = http.client.HTTPConnection("127.0.0.1", %d, timeout=20)
    connection.request("POST", "/v1/messages", %r, {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()
asked = [ask(False) for _ in range(3)]
places = ["/gateway/" + name for name in os.listdir("/gateway")]
places += ["/proc/%%s/%%s" %% (pid, name) for pid in os.listdir("/proc") for name in ("environ", "cmdline")]
found = ""
for place in places:
    try:
        with open(place, "rb") as file:
            found += file.read().decode("latin-1")
    except OSError:
        pass
said = {"status": [status for status, _ in asked], "found": found + str(asked), "gateway": os.listdir("/gateway")}
print(json.dumps({**said, "stdin": sys.stdin.read()}))
sys.exit(7)
"""


@pytest.fixture(scope="module", params=["local", "docker"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if request.param == "docker":
        request.getfixturevalue("docker_image")
    with DockerSandbox() if request.param == "docker" else LocalSandbox(use_bubblewrap=True) as sandbox:
        yield sandbox


def python(sandbox: Sandbox) -> str:
    return "python3" if sandbox.kind == "docker" else str(Path(sys.executable).resolve())


def run(sandbox: Sandbox, socket: Path, *argv: str, stdin: bytes = b"") -> Completed:
    mounts = (
        Mount(source=socket.parent, target="/gateway"),
        Mount(source=Path(forwarder.__file__), target="/opt/forwarder.py"),
    )
    way = (python(sandbox), "-I", "-S", "/opt/forwarder.py", "/gateway/gateway.sock", str(PORT), "--")
    return sandbox.run(Command(argv=(*way, *argv), mounts=mounts, limits=Limits(timeout_s=60)), stdin)


def test_an_agent_reaches_its_model_from_a_sandbox(sandbox: Sandbox) -> None:
    with (
        ScriptedModel([Script(turns=(Turn(run="ls"),))]) as model,
        wired([allowed("messages", model.url)]) as wire,
    ):
        script = ASKS % (PORT, json.dumps(body("messages")).encode())
        done = run(sandbox, wire.gateway.socket, python(sandbox), "-c", script, stdin=b"a prompt")
        assert (done.returncode, done.stderr) == (7, b"")
        said = json.loads(done.stdout)
        assert said["status"] == [200, 200, 200]
        assert said["gateway"] == ["gateway.sock"]
        assert said["stdin"] == "a prompt"
        assert "forwarder.py" in said["found"]
        assert KEY not in said["found"]
        assert noted(model, 3)[0].headers["x-api-key"] == KEY
        assert wire.gateway.usage.requests == 3


@pytest.fixture(scope="module")
def local() -> Iterator[Sandbox]:
    with LocalSandbox(use_bubblewrap=True) as sandbox:
        yield sandbox


def test_a_command_that_is_not_there_says_so(local: Sandbox) -> None:
    with wired([allowed("messages", "http://127.0.0.1:1")]) as wire:
        done = run(local, wire.gateway.socket, "no-such-agent")
        assert (done.returncode, done.stderr) == (127, b"no-such-agent: No such file or directory\n")


def test_an_agent_that_waits_for_all_its_children_does_not_wait_for_the_forwarder(local: Sandbox) -> None:
    waits = "import os\ntry:\n    print(os.wait())\nexcept ChildProcessError:\n    print('none')"
    with wired([allowed("messages", "http://127.0.0.1:1")]) as wire:
        done = run(local, wire.gateway.socket, python(local), "-c", waits)
        assert (done.returncode, done.stdout) == (0, b"none\n")


def test_a_port_that_is_taken_is_told(local: Sandbox) -> None:
    with wired([allowed("messages", "http://127.0.0.1:1")]) as wire:
        inner = [python(local), "/opt/forwarder.py", "/gateway/gateway.sock", str(PORT), "--", "true"]
        done = run(local, wire.gateway.socket, *inner)
        assert (done.returncode, done.stderr) == (125, b"forwarder: port 8931 of the sandbox: Address already in use\n")
