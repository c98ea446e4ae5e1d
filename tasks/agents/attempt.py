"""One attempt from its workspace to its patch: an agent in a sandbox, a gateway as its way out, a clock of ours."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from configs.agent_files import AgentFile
from configs.attempts import AttemptConfig
from configs.models import SandboxConfig
from tasks.agents.base_tree import BaseTreeError
from tasks.agents.installed.installing import Installed
from tasks.agents.installed.launching import Launch, Words, launch
from tasks.agents.installed.reading import read
from tasks.agents.installed.told import Told
from tasks.agents.models import Attempt, AttemptTask, ModelGateway
from tasks.agents.outcomes import Asked, outcome_of
from tasks.agents.patches import TakenPatch, take_patch
from tasks.agents.prompt import PromptError, write_prompt
from tasks.agents.running import Bounds, Ended, run_agent
from tasks.agents.workspace import (
    FORWARDER,
    HOME_DIR,
    OUT_DIR,
    REPOSITORY_DIR,
    Workspace,
    WorkspaceError,
    make_workspace,
    take_back,
)
from tasks.sandbox import foreign, open_sandbox
from tasks.sandbox.foreign import MEBIBYTE, Budget, is_host_fault
from tasks.sandbox.foreign_folders import copy_files
from tasks.sandbox.models import ABANDONED, Command, Limits, Mount, SandboxError

PORT = 47_831
"""Of the forwarder, on the loopback of the agent's own network."""
BASE_URL = f"http://127.0.0.1:{PORT}"
"""Where the model is, as an agent sees it: the paths of all protocols are below."""
GATEWAY_DIR = "/gateway"
PROMPT_FILE = f"{HOME_DIR}/task.md"
OUT = "out"
"""Below the folder where an attempt is kept: the agent's out folder."""
LOG = "stdout.txt"
ERRORS = "stderr.txt"
TRAJECTORY = "trajectory.json"
KEPT_BYTES = 1024 * MEBIBYTE
KEPT_FILES = 5000
_NOT_ISOLATED = (
    "agents run only where they are confined: install bubblewrap (`apt install bubblewrap`) or use the docker sandbox; "
    "`isobench doctor` says what this machine has"
)


@dataclass(frozen=True)
class AgentUsed:
    """An agent, installed, and the models that it asks."""

    file: AgentFile
    installed: Installed
    model: str
    """Its name of the main model."""
    small_model: str = ""
    """Its name of the model for small things; empty: the same."""


def run_attempt(
    task: AttemptTask,
    agent: AgentUsed,
    gateway: ModelGateway,
    settings: AttemptConfig,
    sandbox: SandboxConfig,
    work: Path,
    keep: Path,
) -> Attempt:
    """Let an agent try an instance. Whatever it does, the result is an `Attempt` with a status and a reason.

    `keep` is a new folder for its out folder, what it printed, and its trajectory; `gateway` is entered here. Raises
    SandboxError only if this process is ending: then nothing was found out. A machine or a sandbox that fails is
    `setup_failed`, with what failed.
    """
    run = _Run(task, agent, settings, gateway, keep)
    try:
        keep.mkdir(parents=True)
        return run.through(sandbox, work)
    except (PromptError, WorkspaceError) as error:
        return run.failed(str(error))
    except SandboxError as error:
        if str(error) == ABANDONED:
            raise
        return run.failed(f"the sandbox failed: {error}")
    except BaseTreeError as error:
        return run.failed(f"the clone of {task.instance.repo} failed: {error}")
    except OSError as error:
        what = "this machine failed" if is_host_fault(error) else "the attempt's files cannot be had"
        return run.failed(f"{what}: {error.strerror or error}")


class _Run:
    """What is known of an attempt while it goes on."""

    def __init__(
        self, task: AttemptTask, agent: AgentUsed, settings: AttemptConfig, gateway: ModelGateway, keep: Path
    ) -> None:
        self.task, self.agent, self.settings, self.gateway, self.keep = task, agent, settings, gateway, keep
        self.started_at = datetime.now(UTC)
        self.notes: list[str] = []
        self.prompt_sha = ""
        self.ended: Ended | None = None

    def through(self, sandbox: SandboxConfig, work: Path) -> Attempt:
        """From the prompt to the result."""
        prompt = write_prompt(self.task.instance, self.settings)
        self.notes += prompt.notes
        self.prompt_sha = prompt.sha
        started = launch(self.agent.file, _words(self.agent, prompt.text))
        files = {**started.files, PROMPT_FILE: prompt.text}
        shown = {test.name: test.text for test in prompt.perf_tests}
        with open_sandbox(sandbox) as opened:
            if not opened.isolated:
                return self.failed(_NOT_ISOLATED)
            with make_workspace(self.task.arm, self.task.base, work, opened, shown, files) as workspace:
                with self.gateway as gateway:
                    command = _command(workspace, self.agent, started, gateway.socket, self.settings, opened.kind)
                    bounds = _bounds(workspace, self.settings)
                    log = self.keep / LOG
                    ended = run_agent(opened, command, started.stdin, log, bounds, lambda: gateway.ended)
                self.ended = ended
                foreign.replace(self.keep, ERRORS, ended.stderr)
                take_back(workspace, opened)
                self.keep_out(workspace)
                return self.concluded(ended, _taken(workspace), read(self.agent.file, self.keep / OUT, self.keep / LOG))

    def keep_out(self, workspace: Workspace) -> None:
        """Keep the regular files of its out folder, as far as there is room."""
        out = self.keep / OUT
        out.mkdir()
        try:
            copy_files(workspace.out, out, Budget(KEPT_BYTES, KEPT_FILES))
        except OSError as error:
            if is_host_fault(error):
                raise
            self.notes.append(f"not all of its out folder is kept: {error.strerror or error}")

    def failed(self, reason: str) -> Attempt:
        """No result."""
        return self.attempt("setup_failed", reason, TakenPatch(patch="", files=0), Told())

    def concluded(self, ended: Ended, taken: TakenPatch | str, told: Told) -> Attempt:
        """The result; `taken` is a text where no patch could be taken, which says why."""
        if isinstance(taken, str):
            return self.attempt("crashed", f"its files cannot be read: {taken}", TakenPatch(patch="", files=0), told)
        gateway = self.gateway
        asked = Asked(gateway.usage, gateway.ended, gateway.faults, gateway.last_ok, gateway.refused)
        status, reason = outcome_of(ended, taken, asked, len(told.denied), told.failed or told.stopped or "")
        return self.attempt(status, reason, taken, told)

    def attempt(self, status: str, reason: str, taken: TakenPatch, told: Told) -> Attempt:
        """The result, with all that is known."""
        gateway, ended = self.gateway, self.ended
        dropped = [f"{ended.dropped_bytes} bytes that it printed are not kept"] if ended and ended.dropped_bytes else []
        if told.trajectory is not None:
            foreign.replace(self.keep, TRAJECTORY, json.dumps(told.trajectory).encode())
        paths = {"log": LOG, "errors": ERRORS, "trajectory": TRAJECTORY}
        if told.original is not None:
            paths["original"] = f"{OUT}/{told.original}"
        return Attempt.model_validate(
            {
                "status": status, "reason": reason, "patch": taken.patch, "files": taken.files,
                "notes": [*self.notes, *taken.notes, *dropped], "started_at": self.started_at,
                "seconds": ended.seconds if ended else 0.0, "exit_code": ended.returncode if ended else None,
                "usage": gateway.usage, "faults": gateway.faults, "leak": gateway.leak, "prompt_sha": self.prompt_sha,
                "told": told.model_copy(update={"trajectory": None}),
                **{name: path for name, path in paths.items() if foreign.is_file(self.keep, path)},
            }
        )  # fmt: skip


def _words(agent: AgentUsed, prompt: str) -> Words:
    return Words(
        prompt=prompt, prompt_file=PROMPT_FILE, model=agent.model, small_model=agent.small_model or agent.model,
        base_url=BASE_URL, home=HOME_DIR, workspace=REPOSITORY_DIR, out=OUT_DIR,
    )  # fmt: skip


def _bounds(workspace: Workspace, settings: AttemptConfig) -> Bounds:
    return Bounds(
        seconds=settings.minutes * 60,
        folder=workspace.inside,
        disk_bytes=settings.disk_mb * MEBIBYTE,
        output_bytes=settings.output_mb * MEBIBYTE,
    )


def _command(
    workspace: Workspace, agent: AgentUsed, started: Launch, socket: Path, settings: AttemptConfig, kind: str
) -> Command:
    """The forwarder, which becomes the agent."""
    limits = Limits(memory_mb=settings.memory_mb, pids=settings.pids, tmp_mb=settings.tmp_mb, output_mb=1)
    argv = (_python(workspace, kind), "-I", "-S", FORWARDER, f"{GATEWAY_DIR}/{socket.name}", str(PORT), "--")
    path = ":".join([*agent.installed.path, workspace.path])
    return workspace.command(
        [*argv, *started.argv],
        mounts=[*agent.installed.mounts, Mount(source=socket.parent, target=GATEWAY_DIR)],
        variables={**started.variables, "PATH": path, "PWD": REPOSITORY_DIR},
        limits=limits,
    )


def _python(workspace: Workspace, kind: str) -> str:
    """A Python for the forwarder: locally the one that runs this, as an environment's may be too old."""
    if kind == "local":
        return os.path.join(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    return workspace.arm.environment.python


def _taken(workspace: Workspace) -> TakenPatch | str:
    """The patch, or why there is none. Raises OSError if this machine fails."""
    shown = {name: text.encode("utf-8", "surrogateescape") for name, text in workspace.shown.items()}
    try:
        with tempfile.TemporaryDirectory(prefix="patch-", dir=workspace.folder) as scratch:
            return take_patch(workspace.repository, workspace.base, Path(scratch), workspace.built, shown)
    except (BaseTreeError, OSError) as error:
        if isinstance(error, OSError) and is_host_fault(error):
            raise
        return str(error)
