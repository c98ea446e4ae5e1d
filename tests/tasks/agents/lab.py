"""A small repository with an instance, and small agents in shell that try it for real: sandbox, gateway, clock."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from configs.agent_files import AgentFile
from configs.attempts import AttemptConfig
from configs.models import EnvironmentConfig, SandboxConfig
from storage.tables import Instance
from tasks.agents.attempt import AgentUsed, run_attempt
from tasks.agents.base_tree import BaseTree
from tasks.agents.gateway.models import AllowedModel, Budget, Prices, Provider
from tasks.agents.gateway.server import Gateway
from tasks.agents.installed.installing import Installed
from tasks.agents.models import Attempt, AttemptTask
from tasks.environments.arms.checking_out import check_out
from tasks.environments.patches.patching import apply_patch
from tasks.environments.trees import write_tree
from tasks.sandbox.models import Arm, Environment
from tests.tasks.environments.conftest import History

SLOW = """def unique(items):
    found = []
    for item in items:
        if item not in found:
            found.append(item)
    return found
"""
FAST = """def unique(items):
    already_met = set()
    found = []
    for item in items:
        if item not in already_met:
            already_met.add(item)
            found.append(item)
    return found
"""
TEST = "from tinylib.core import unique\n\n\ndef test_unique():\n    assert unique([1, 2, 1]) == [1, 2]\n"
PERF_TEST = """from tinylib.core import unique


def setup(seed):
    return list(range(300 + seed)) * 2


def experiment(state):
    return unique(state)


def check_equivalence(reference, candidate):
    assert reference == candidate
"""
FILES = {
    "src/tinylib/__init__.py": "", "src/tinylib/core.py": SLOW, "tests/test_core.py": TEST, "tools.sh": "echo hello\n",
    ".gitignore": "*.log\n/build/\n", "data.bin": bytes(range(256)), "latin.txt": b"caf\xe9\nbar\n",
    "crlf.txt": b"one\r\ntwo\r\n",
}  # fmt: skip
QUICK = AttemptConfig(minutes=1, memory_mb=1024, pids=128, tmp_mb=256, disk_mb=64, output_mb=1)


@dataclass
class Lab:
    """The repository, and how agents are let at it."""

    history: History
    kind: str
    arm: Arm
    base: BaseTree
    instance: Instance
    kept: list[Path] = field(default_factory=list)

    def run(self, agent: AgentFile | str, settings: AttemptConfig = QUICK, gateway: Gateway | None = None) -> Attempt:
        """One attempt; a text is a script of a shell."""
        if isinstance(agent, str):
            agent = shell(agent)
        self.kept.append(self.history.work.parent / "kept" / str(len(self.kept)))
        used = AgentUsed(agent, Installed(name=agent.name, key="", mounts=(), path=()), "main")
        task = AttemptTask(self.instance, self.arm, self.base)
        gateway = gateway or gateway_to(nobody())
        return run_attempt(
            task, used, gateway, settings, SandboxConfig(kind=self.kind), self.history.work, self.kept[-1]
        )

    def printed(self) -> str:
        """What the last agent printed."""
        return (self.kept[-1] / "stdout.txt").read_text()

    def applied(self, patch: str) -> Path:
        """Base with a patch, as our own reader of patches applies it, without having to forgive anything."""
        folder = self.history.work.parent / f"applied{len(list(self.history.work.parent.glob('applied*')))}"
        write_tree(self.base.clone, self.base.sha, folder)
        assert apply_patch(folder, patch) == []
        return folder


def make_lab(root: Path, kind: str, image: str | None = None) -> Lab:
    """A lab in a new folder."""
    history = History(root)
    base = history.commit(FILES)
    human = history.commit({"src/tinylib/core.py": FAST})
    python = f"{sys.base_prefix}/bin/python3" if kind == "local" else "python3"
    environment = Environment(env_id="bare", kind=kind, python=python, image=image)
    sandbox = SandboxConfig(kind=kind)
    made = check_out(history.repository, EnvironmentConfig(), environment, sandbox, base, "base", None, history.work)
    assert made.arm is not None, made.reason
    return Lab(history, kind, made.arm, BaseTree(history.source / ".git", base), instance_of(history, base, human))


def instance_of(history: History, base: str, human: str, **more: object) -> Instance:
    """Its row."""
    return Instance.model_validate(
        {
            "instance_id": f"someone__tinylib-{human[:7]}", "repo": "someone/tinylib", "repo_url": str(history.source),
            "created_at": None, "base_commit": base, "head_commit": human, "patch": history.diff(base, human),
            "api": "tinylib.core.unique", "efficiency_test": [PERF_TEST], "dialects": ["isobench"],
            "test_functions": ["tinylib.core.unique"],
            "problem_statement": "`unique` is slow for long lists\n\nThe time grows with the square of the length.",
            **more,
        }
    )  # fmt: skip


def shell(script: str, **more: object) -> AgentFile:
    """An agent that is a script."""
    return AgentFile.model_validate(
        {"name": "script", "install": {"kind": "none"}, "argv": ["sh", "-c", script], "protocol": "openai", **more}
    )


def nobody() -> str:
    """The address of a server that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def gateway_to(url: str, budget: Budget | None = None) -> Gateway:
    """A gateway for the model `main` of one server."""
    provider = Provider(protocol="openai", base_url=url)
    return Gateway([AllowedModel(asked="main", upstream="main", provider=provider, prices=Prices(input=0, output=0))],
                   budget or Budget())  # fmt: skip


ASKING = """
import json, subprocess, sys, time, urllib.request
said = [{"role": "user", "content": sys.argv[1]}]
tool = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
while True:
    tools = [{"type": "function", "function": {"name": "bash", "parameters": tool}}]
    body = {"model": "main", "messages": said, "tools": tools}
    request = urllib.request.Request(sys.argv[2] + "/v1/chat/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json", "authorization": "Bearer none"})
    try:
        message = json.load(urllib.request.urlopen(request))["choices"][0]["message"]
    except OSError as error:
        if sys.argv[3] == "once":
            sys.exit(f"the model says {error}")
        time.sleep(0.1)
        continue
    said.append(message)
    if not message.get("tool_calls"):
        break
    for call in message["tool_calls"]:
        command = json.loads(call["function"]["arguments"])["command"]
        done = subprocess.run(command, shell=True, capture_output=True, text=True)
        print(command, done.stdout, done.stderr, flush=True)
        said.append({"role": "tool", "tool_call_id": call["id"], "content": done.stdout + done.stderr})
"""
"""A small agent: asks its model, runs what it says, tells it what came out."""


def asking(patience: str = "once") -> AgentFile:
    """The small agent. `patience`: `once` gives up at the first fault, `ever` never does."""
    argv = ["python3", "-c", ASKING, "{prompt}", "{base_url}", patience]
    return AgentFile.model_validate({"name": "asking", "install": {"kind": "none"}, "argv": argv, "protocol": "openai"})
