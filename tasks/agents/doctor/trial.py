"""One run of an agent against the scripted model: a small repository, two commands, one changed line."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.agent_files import AgentFile
from tasks.agents.gateway.inside import forwarder
from tasks.agents.installed.installing import Installed
from tasks.agents.installed.launching import Launch, Words, launch
from tasks.agents.installed.reading import read
from tasks.agents.installed.told import Told
from tasks.agents.scripted import Script, ScriptedModel, Seen, Turn
from tasks.git_environment import quiet
from tasks.sandbox import foreign
from tasks.sandbox.foreign_folders import remove
from tasks.sandbox.models import Command, Completed, Limits, Mount, Sandbox

MODEL = "scripted"
SMALL_MODEL = "scripted-small"
PORT = 47_831
"""Of the forwarder, on the loopback of the sandbox."""
WORKSPACE, HOME, OUT = "/workspace", "/home/agent", "/out"
FILE = "greeting.py"
BEFORE = 'def greet():\n    return "hello"\n'
AFTER = 'def greet():\n    return "goodbye"\n'
TASK = f"In {FILE}, greet() returns hello. Make it return goodbye instead."
SCRIPTS = (
    Script(
        turns=(
            Turn(run=f"cat {FILE}", say="I read the file first."),
            Turn(run=f"sed -i s/hello/goodbye/ {FILE} && git diff --stat"),
            Turn(finish="greet() returns goodbye now."),
        )
    ),
)
"""What the model says in a trial. The agent's own tool runs the commands."""
LIMITS = Limits(memory_mb=6000, pids=1024, tmp_mb=1024, output_mb=16, timeout_s=180)
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FORWARDER = "/opt/forwarder.py"
_MODEL_DIR = "/model"
_LOG = "printed.log"


@dataclass(frozen=True)
class Trial:
    """What was seen."""

    done: Completed
    text: str | None
    """The file at the end."""
    told: Told
    seen: tuple[Seen, ...]
    wrote: tuple[str, ...]
    """Files that it left in its out folder and its home."""


def try_agent(
    agent: AgentFile,
    installed: Installed,
    sandbox: Sandbox,
    image: str | None = None,
    scripts: Sequence[Script] = SCRIPTS,
    limits: Limits = LIMITS,
) -> Trial:
    """Let the agent work once. Raises SandboxError if the sandbox itself fails; the result holds the agent's faults."""
    folder = Path(tempfile.mkdtemp(prefix="isobench-trial-"))
    try:
        for name in ("workspace", "home", "out", "model"):
            (folder / name).mkdir()
            (folder / name).chmod(0o777)  # in a container it is another user's
        words = Words(
            prompt=TASK, prompt_file=f"{OUT}/task.md", model=MODEL, small_model=SMALL_MODEL,
            base_url=f"http://127.0.0.1:{PORT}", home=HOME, workspace=WORKSPACE, out=OUT,
        )  # fmt: skip
        started = launch(agent, words)
        _fill(folder, started, words)
        with ScriptedModel(scripts, path=folder / "model" / "socket") as model:
            command = _command(folder, started, installed, sandbox.kind, image, limits)
            done = sandbox.run(command, started.stdin)
        if sandbox.other_user:
            argv = ("/bin/sh", "-c", f"chmod -R a+rwX {WORKSPACE} {HOME} {OUT}; exit 0")
            sandbox.run(command.model_copy(update={"argv": argv, "variables": {}}))
        (folder / _LOG).write_bytes(done.stdout)
        return Trial(
            done=done,
            text=foreign.text(folder / "workspace", FILE),
            told=read(agent, folder / "out", folder / _LOG),
            seen=tuple(model.requests_seen),
            wrote=tuple(f"{{{name}}}/{file}" for name in ("out", "home") for file in _files(folder / name)),
        )
    finally:
        remove(folder)


def _files(folder: Path) -> list[str]:
    try:
        return list(foreign.files(folder))
    except OSError:  # deeper or more than anybody lists
        return []


def _fill(folder: Path, started: Launch, words: Words) -> None:
    (folder / "workspace" / FILE).write_text(BEFORE)
    (folder / "out" / "task.md").write_text(words.prompt)
    variables = {**os.environ, **quiet(), **{f"GIT_{who}_{what}": "isobench" for who in ("AUTHOR", "COMMITTER")
                                             for what in ("NAME", "EMAIL")}}  # fmt: skip
    for argv in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "base"]):
        subprocess.run(["git", "-C", str(folder / "workspace"), *argv], env=variables, check=True, timeout=60)
    for path, content in started.files.items():
        place = next(name for name, at in (("out", OUT), ("home", HOME)) if path.startswith(f"{at}/"))
        foreign.write(
            folder / place, path.removeprefix({"out": OUT, "home": HOME}[place]).lstrip("/"), content.encode()
        )
    for made in folder.rglob("*"):
        made.chmod(0o777 if made.is_dir() or os.access(made, os.X_OK) else 0o666)


def _command(
    folder: Path, started: Launch, installed: Installed, kind: str, image: str | None, limits: Limits
) -> Command:
    own = f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    python = own if kind == "local" else "python3"
    return Command(
        argv=(python, "-I", "-S", _FORWARDER, f"{_MODEL_DIR}/socket", str(PORT), "--", *started.argv),
        mounts=(
            *installed.mounts,
            Mount(source=Path(forwarder.__file__), target=_FORWARDER),
            Mount(source=folder / "model", target=_MODEL_DIR),
            *[Mount(source=folder / name, target=target, read_only=False)
              for name, target in (("workspace", WORKSPACE), ("home", HOME), ("out", OUT))],
        ),
        variables={
            **started.variables, "PATH": ":".join([*installed.path, _SYSTEM]), "HOME": HOME,
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        },
        cwd=WORKSPACE,
        image=image,
        limits=limits,
    )  # fmt: skip
