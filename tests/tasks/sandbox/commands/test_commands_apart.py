"""A server tries to reach whoever measures it, by every road that leads from one process to another."""

import json
from pathlib import Path

import pytest

from configs.models import CommandConfig, SandboxConfig
from tasks.sandbox import Environment, open_sandbox
from tasks.sandbox.commands.session import CommandSession
from tests.tasks.sandbox.commands.workload import arm

SERVER = '''
import ctypes, json, os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer

FORGED = b'\\n{"qps": 123456789, "forged": 1}\\n'
LIBC = ctypes.CDLL(None, use_errno=True)
MINE = {os.getpid(), os.getppid()}
POISON = "import os; os.write(1, %r)" % FORGED

def words(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""

def reach(pid):
    """How many ways to another process work: its files, its memory, its descriptors, tracing, signals."""
    found = []
    for name in ("fd/1", "fd/2", "fd/3", "mem"):
        try:
            with open(f"/proc/{pid}/{name}", "r+b" if name == "mem" else "wb", buffering=0) as file:
                found.append(name)
                if name != "mem":
                    file.write(FORGED)
        except OSError:
            pass
    try:
        pidfd = os.pidfd_open(pid)
        found += ["pidfd"]
        found += ["getfd"] * (LIBC.syscall(438, pidfd, 1, 0) >= 0)
        os.close(pidfd)
    except (OSError, AttributeError):
        pass
    if LIBC.ptrace(16, pid, 0, 0) == 0:
        found.append("ptrace")
    return found

def clients():
    """Processes that are no descendants of the server's runner: found by /proc and by trying every number."""
    numbers = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    for pid in range(2, 3000):
        try:
            os.kill(pid, 0)
            numbers.add(pid)
        except OSError:
            pass
    return [pid for pid in numbers if b"MEASURE" in words(pid) and b"SERVES" not in words(pid)]

def poison():
    """Files that a Python may pick up, wherever they can be written."""
    for folder in ("/tmp", "/work", "/dev/shm", os.getcwd(), "/arm", "/env", "/run", "/var/tmp", *sys.path):
        for name in ("sitecustomize.py", "usercustomize.py", "json.py", "poison.py"):
            try:
                with open(os.path.join(folder, name), "w") as file:
                    file.write(POISON)
            except OSError:
                pass

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        poison()
        seen = clients()
        body = json.dumps({"clients": len(seen), "ways": sum(len(reach(pid)) for pid in seen)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
'''
CLIENT = """
import json, os, sys, urllib.request
MEASURE = 1
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
told = json.load(open_url(f"http://127.0.0.1:{sys.argv[1]}/"))
folders = ("/tmp", "/work", "/dev/shm", os.getcwd(), "/run", "/var/tmp", *sys.path)
told["poisoned"] = sum(os.path.exists(os.path.join(folder, "poison.py")) for folder in folders)
processes = [pid for pid in os.listdir("/proc") if pid.isdigit()]
told["others"] = sum(b"SERVES" in open(f"/proc/{pid}/cmdline", "rb").read() for pid in processes)
told["qps"] = 7
print(json.dumps(told))
"""
SPEC = CommandConfig(
    name="apart", server="exec python3 server.py {port} SERVES", command="exec python3 client.py {port} MEASURE",
    ready={"port": "{port}"}, parser="json", metrics=["qps"], better={"qps": "higher"}, timeout_s=60,
)  # fmt: skip


@pytest.mark.parametrize("kind", ["local", pytest.param("docker", marks=pytest.mark.docker)])
def test_a_server_reaches_nothing_of_its_client_but_its_port(kind, tmp_path: Path, request: pytest.FixtureRequest):
    environment = None
    if kind == "docker":
        image = request.getfixturevalue("docker_image")
        environment = Environment(env_id="image", kind="docker", python="python3", image=image)
    base = arm(tmp_path, "base", {"client.py": CLIENT}, environment)
    patched = arm(tmp_path, "patch:x", {"server.py": SERVER, "client.py": "print('{\"qps\": 9}')"}, environment)
    opened = open_sandbox(SandboxConfig(kind=kind))
    with opened as sandbox, CommandSession(sandbox, patched, base, tmp_path, SPEC) as running:
        running.start_server()
        output = running.run_client(1).output
    assert json.loads(output) == {"clients": 0, "ways": 0, "poisoned": 0, "others": 0, "qps": 7}


def test_the_same_server_does_reach_a_client_that_it_shares_a_sandbox_with(tmp_path: Path):
    """Else the test above would tell nothing."""
    both = "(exec python3 server.py {port} SERVES) & sleep 2; exec python3 client.py {port} MEASURE"
    alone = SPEC.model_copy(update={"server": None, "ready": None, "command": both})
    one = arm(tmp_path, "base", {"server.py": SERVER, "client.py": CLIENT})
    with open_sandbox(SandboxConfig()) as sandbox, CommandSession(sandbox, one, one, tmp_path, alone) as running:
        output = running.run_client(1).output
    told = json.loads(output.splitlines()[-1])
    assert told["clients"] >= 1
    assert told["ways"] >= 1
    assert told["poisoned"] >= 1
    assert "forged" in output
