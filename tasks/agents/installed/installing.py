"""An agent installed once, into a folder named by its content, for all attempts that want the same."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from configs.agent_files import AgentFile
from configs.models import SandboxConfig
from storage.ids import content_hash
from tasks.agents.installed import recipes
from tasks.agents.installed.inside import relocate
from tasks.agents.installed.pythons import Interpreter, interpreter
from tasks.agents.installed.sources import fetch
from tasks.registry import registry
from tasks.sandbox import open_sandbox
from tasks.sandbox.foreign_folders import make_harmless, remove
from tasks.sandbox.local.sandbox import LocalSandbox
from tasks.sandbox.models import Command, Limits, Mount, Sandbox
from tasks.sandbox.streams import Tail, drain

AGENT_DIR = "/agent"
"""Where an agent's folder is mounted: while it is installed, and read-only in attempts."""
PYTHON_DIR = "/agent-python"
"""Where the interpreter of an agent in Python is mounted, read-only."""
BUILD_DIR = "/agent-build"
"""While it is installed: home, temporary files, downloads."""
TIMEOUT_S = 1800.0
_RECORD = "installed.json"
_LOG = "log.txt"
_FORM = 1
"""Of what is in the folder; another number makes all agents be installed anew."""
_LIMITS = Limits(memory_mb=16_384, pids=8192, tmp_mb=32 * 1024, timeout_s=TIMEOUT_S)
_LAST_BYTES = 40_000
_ENDING_S = 60.0
"""From the last output of the steps to their end."""
_HANDED_BACK = ("/bin/sh", "-c", f"chmod -R a+rwX {AGENT_DIR} {BUILD_DIR}; exit 0")
"""Ran in the container, to whose user the files belong."""
Kind = Literal["local", "docker"]


class NotInstalled(Exception):
    """The agent cannot be installed here; the message says why and what to do. Attempts with it are `setup_failed`."""


class Installed(BaseModel):
    """An agent that is ready to run."""

    model_config = ConfigDict(frozen=True)

    name: str
    key: str
    """Hash of all that decides what is installed."""
    mounts: tuple[Mount, ...]
    """Its folder, and its interpreter if it has one; all read-only."""
    path: tuple[str, ...]
    """Folders for PATH, before those of the environment. They hold the agent's programs alone, and never a `python`."""
    version: str = ""
    """What it says of its version; empty if its file names no command for that."""
    seconds: float = 0
    """What installing took, when it was installed."""
    megabytes: float = 0


def install(agent: AgentFile, work: Path, kind: Kind = "local") -> Installed:
    """The agent, installed below `work` (`Store.work`) unless it is there already.

    It is built as environments are, in a sandbox with the network that sees nothing of the user's: in bubblewrap, and
    where that is missing in a container, if `kind` says that attempts are made in containers, too. Several processes
    may ask for the same at once: one installs, the others wait. Raises NotInstalled; OSError if this machine is full.
    """
    if agent.install.kind == "none":
        return Installed(name=agent.name, key="", mounts=(), path=())
    python = interpreter(agent.install.python) if agent.install.kind in ("pypi", "git") else None
    if isinstance(python, str):
        raise NotInstalled(f"{agent.name}: {python}")
    key = content_hash(
        _FORM, agent.install.model_dump(mode="json"), agent.programs, agent.version_argv, platform.machine(),
        python.version if python else "", recipes.script(agent, PYTHON_DIR if python else None), length=20,
    )  # fmt: skip
    top = work / "agents"
    top.mkdir(parents=True, exist_ok=True)
    folder = top / f"{agent.name}-{key}"
    with FileLock(top / f"{folder.name}.lock"):
        if not (folder / _RECORD).exists():
            _install(agent, folder, python, kind)
    record = json.loads((folder / _RECORD).read_text())
    mounts = [Mount(source=folder / "agent", target=AGENT_DIR)]
    if python is not None:
        mounts.append(Mount(source=python.home, target=PYTHON_DIR))
    return Installed(name=agent.name, key=key, mounts=tuple(mounts), path=(f"{AGENT_DIR}/bin",), **record)


def _install(agent: AgentFile, folder: Path, python: Interpreter | None, kind: Kind) -> None:
    for left in folder.parent.glob(f".{folder.name}.*"):  # of an installation that was killed; we hold the lock
        remove(left)
    remove(folder)
    building = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}"
    started = time.monotonic()
    try:
        for name in ("agent", "build/home", "build/tmp", "build/source"):
            (building / name).mkdir(parents=True)
        if agent.install.kind == "git" and (problem := fetch(agent.install, building / "build" / "source")):
            raise NotInstalled(f"{agent.name}: {problem}")
        version = _run(agent, building, python, kind)
        make_harmless(building / "agent")
        remove(building / "build")
        record = {
            "version": version, "seconds": round(time.monotonic() - started, 1),
            "megabytes": _size(building / "agent"),
        }  # fmt: skip
        (building / _RECORD).write_text(json.dumps(record))
        building.rename(folder)
    except BaseException:
        remove(building)
        raise


def _size(folder: Path) -> float:
    """Millions of bytes that a folder takes on the disk; 0 where nobody counts."""
    done = subprocess.run(["du", "-s", "-k", "--", str(folder)], capture_output=True, text=True, check=False)
    said = done.stdout.split()
    return round(int(said[0]) * 1024 / 1e6, 1) if said and said[0].isdigit() else 0


def _builder(agent: AgentFile, kind: Kind) -> Sandbox:
    """Where the steps run. Raises NotInstalled."""
    local = LocalSandbox()
    if local.isolated:
        return local
    local.close()
    if kind == "docker":
        return open_sandbox(SandboxConfig(kind="docker"))
    raise NotInstalled(
        f"{agent.name}: agents are installed in bubblewrap, which is missing or may not make namespaces here: see "
        "`isobench doctor`. With the docker sandbox a container does, too"
    )


def _run(agent: AgentFile, building: Path, python: Interpreter | None, kind: Kind) -> str:
    """Run the steps; returns what the agent says of its version. Raises NotInstalled."""
    found = registry()
    (building / "build" / "uv.toml").write_text(found.uv_settings)
    shutil.copy2(recipes.uv_program(), building / "build" / "uv")
    shutil.copy2(relocate.__file__, building / "build" / "relocate.py")
    mounts = [
        *found.files,
        Mount(source=building / "agent", target=AGENT_DIR, read_only=False),
        Mount(source=building / "build", target=BUILD_DIR, read_only=False),
    ]
    if python is not None:
        mounts.append(Mount(source=python.home, target=PYTHON_DIR))
    script = recipes.script(
        agent, f"{PYTHON_DIR}/bin/{python.program}" if python else None, f"{python.home}/lib" if python else ""
    )
    command = Command(
        argv=("/bin/sh", "-c", f"exec 2>&1\n{script}"), mounts=tuple(mounts), cwd=BUILD_DIR, network=True,
        limits=_LIMITS, variables={**found.variables, **recipes.variables(found)},
    )  # fmt: skip
    with _builder(agent, kind) as sandbox:
        if sandbox.other_user:
            subprocess.run(["chmod", "-R", "a+rwX", "--", str(building)], check=False)  # which follows no link
        process = sandbox.start(command)
        said = Tail(_LAST_BYTES)
        try:
            process.stdin.close()
            drain(process.stdout, said)
            done = process.close(timeout_s=_ENDING_S)
        finally:
            process.close(timeout_s=0)
            if sandbox.other_user:
                sandbox.run(command.model_copy(update={"argv": _HANDED_BACK, "network": False}))
    output = said.value().decode(errors="replace")
    if done.timed_out or done.returncode != 0:
        what = f"out of time after {TIMEOUT_S:.0f} s" if done.timed_out else _reason(output, done.returncode)
        raise NotInstalled(f"{agent.name}: could not be installed: {what}")
    return recipes.version_in(output)


def _reason(output: str, code: int | None) -> str:
    """The lines that say what went wrong: the step, and the last ones that a program printed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    step = next((line for line in reversed(lines) if line.startswith(recipes.STEP)), "").removeprefix(recipes.STEP)
    said = [line for line in lines if not line.startswith(recipes.STEP)][-3:]
    return f"{step or 'start'} ended with exit code {code}: {' | '.join(said)[-600:] or 'nothing was printed'}"
