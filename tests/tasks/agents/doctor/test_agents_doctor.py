"""What a trial says of agents that work badly: shell scripts, each with one fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.agent_files import AgentFile
from tasks.agents.doctor.examining import Diagnosis, examine
from tasks.agents.doctor.trial import LIMITS
from tasks.sandbox.local.sandbox import LocalSandbox
from tasks.sandbox.models import Limits

ASK = """
import json, os, urllib.request
def ask(model, messages):
    tools = [{"type": "function", "function": {"name": "bash", "parameters": {"properties": {"command": {}}}}}]
    body = json.dumps({"model": model, "messages": messages, "tools": tools}).encode()
    request = urllib.request.Request(os.environ["URL"] + "/chat/completions", body)
    return json.load(urllib.request.urlopen(request))["choices"][0]["message"]
"""
WORK = """
messages = [{"role": "user", "content": "the task"}]
while True:
    message = ask("scripted", messages)
    if not message.get("tool_calls"):
        break
    call = message["tool_calls"][0]
    command = json.loads(call["function"]["arguments"])["command"]
    messages += [message, {"role": "tool", "tool_call_id": call["id"], "content": os.popen(command).read()}]
"""


def diagnose(tmp_path: Path, program: str, limits: Limits = LIMITS, **more: object) -> Diagnosis:
    agent = AgentFile.model_validate(
        {
            "name": "script", "argv": ["python3", "-c", program], "protocol": "openai", "install": {"kind": "none"},
            "variables": {"URL": "{base_url}/v1"}, **more,
        }
    )  # fmt: skip
    with LocalSandbox() as sandbox:
        return examine(agent, tmp_path, sandbox, limits=limits)


def details(found: Diagnosis) -> dict[str, tuple[bool | None, str]]:
    return {check.name: (check.ok, check.detail) for check in found.checks}


def test_an_agent_that_works_is_said_to_work(tmp_path: Path) -> None:
    found = diagnose(tmp_path, ASK + WORK)
    said = details(found)
    assert found.ok
    assert said["installed"] == (True, "nothing is to be installed")
    assert said["asked the model"] == (True, "3 requests (openai-chat), 3 of 3 turns")
    assert said["edited"] == (True, "changed greeting.py as the model said")
    assert said["told"][0] is None
    assert "exit code 0" in said["ran"][1]


@pytest.mark.parametrize(
    ("program", "check", "detail"),
    [
        ("print('done')", "asked the model", "never asked the model: see its base URL"),
        ("print('done')", "edited", "greeting.py is not changed"),
        ("import sys; sys.exit('no such flag')", "ran", "exit code 1; it said last: no such flag"),
        (ASK + "ask('gpt-5', [])", "asked the model", "asks for models that it was not given: gpt-5"),
        (ASK + "os.environ['URL'] += '/v9'\nask('scripted', [])", "asked the model", "the last one at /v1/v9/chat"),
    ],
)
def test_what_is_wrong_is_named(program: str, check: str, detail: str, tmp_path: Path) -> None:
    found = diagnose(tmp_path, program)
    assert not found.ok
    ok, said = details(found)[check]
    assert ok is False
    assert detail in said


def test_an_agent_that_never_ends_is_ended(tmp_path: Path) -> None:
    found = diagnose(tmp_path, "import time; time.sleep(600)", LIMITS.model_copy(update={"timeout_s": 1}))
    assert details(found)["ran"] == (False, "did not end within 1 s")


def test_what_cannot_be_installed_is_a_check(tmp_path: Path) -> None:
    install = {"kind": "pypi", "package": "x", "version": "1", "python": "3.99"}
    found = diagnose(tmp_path, "", install=install)
    assert [check.name for check in found.checks] == ["installed"]
    assert not found.ok
    assert "Python 3.99" in found.checks[0].detail
