"""One attempt from its workspace to its patch: an agent in a sandbox, a gateway as its way out, a clock of ours."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from configs.attempts import AttemptConfig
from configs.models import SandboxConfig
from tasks.agents.base_tree import BaseTreeError
from tasks.agents.judging import Asked, judge
from tasks.agents.models import Attempt, AttemptTask, Launch, ModelGateway, Told
from tasks.agents.patches import TakenPatch, take_patch
from tasks.agents.prompt import AgentPrompt, PromptError, write_prompt
from tasks.agents.running import Bounds, Ended, run_agent
from tasks.agents.workspace import (
    FORWARDER,
    REPOSITORY_DIR,
    Workspace,
    WorkspaceError,
    make_workspace,
    take_back,
)
from tasks.sandbox import open_sandbox
from tasks.sandbox.foreign import MEBIBYTE, is_host_fault
from tasks.sandbox.models import ABANDONED, Command, Limits, Mount, Sandbox, SandboxError

PORT = 47_831
"""Of the forwarder, on the loopback of the agent's own network."""
BASE_URL = f"http://127.0.0.1:{PORT}"
"""Where the model is, as an agent sees it: the paths of all protocols are below."""
GATEWAY_DIR = "/gateway"
LOG = "printed.log"
ERRORS = "errors.log"
_NOT_ISOLATED = (
    "agents run only where they are confined: install bubblewrap (`apt install bubblewrap`) or use the docker sandbox; "
    "`isobench doctor` says what this machine has"
)

Launcher = Callable[[Workspace, AgentPrompt], Launch]
"""Writes what the agent wants to find, and says how it is started."""
Reader = Callable[[Workspace, Path], Told]
"""Reads what the agent left in its folders and printed (a file), and keeps its trajectory."""


def run_attempt(
    task: AttemptTask,
    launch: Launcher,
    gateway: ModelGateway,
    settings: AttemptConfig,
    sandbox: SandboxConfig,
    work: Path,
    keep: Path,
    read: Reader | None = None,
) -> Attempt:
    """Let an agent try an instance. Whatever it does, this is an `Attempt` with a status and a reason.

    `keep` is a new folder for what it printed; `gateway` is entered here. Raises SandboxError only if this process is
    ending: then nothing was found out. A machine or sandbox that fails is `setup_failed`, whose reason says so.
    """
    run = _Run(task, settings, gateway, keep)
    keep.mkdir(parents=True)
    try:
        prompt = write_prompt(task.instance, settings)
        run.notes += prompt.notes
        run.prompt_sha = prompt.sha
        with open_sandbox(sandbox) as opened:
            if not getattr(opened, "isolated", True):
                return run.failed(_NOT_ISOLATED)
            shown = {test.name: test.text for test in prompt.perf_tests}
            with gateway, make_workspace(task.arm, task.base, work, opened, shown) as workspace:
                started = launch(workspace, prompt)
                run.ended = ended = _run(opened, workspace, started, gateway, settings, keep)
                (keep / ERRORS).write_bytes(ended.stderr)
                take_back(workspace, opened)
                taken = _taken(workspace)
                told = read(workspace, keep / LOG) if read is not None else Told()
                return run.judged(ended, taken, told)
    except (PromptError, WorkspaceError) as error:
        return run.failed(str(error))
    except (SandboxError, BaseTreeError) as error:
        if str(error) == ABANDONED:
            raise
        return run.failed(f"the sandbox failed: {error}")
    except OSError as error:
        what = "this machine failed" if is_host_fault(error) else "the attempt's files cannot be had"
        return run.failed(f"{what}: {error.strerror or error}")


class _Run:
    """What is known of an attempt while it goes on."""

    def __init__(self, task: AttemptTask, settings: AttemptConfig, gateway: ModelGateway, keep: Path) -> None:
        self.started_at = datetime.now(UTC)
        self.notes: list[str] = []
        self.prompt_sha = ""
        self.ended: Ended | None = None
        self._gateway, self._keep = gateway, keep

    def failed(self, reason: str) -> Attempt:
        """No result."""
        return self._attempt("setup_failed", reason, TakenPatch(patch="", files=0))

    def judged(self, ended: Ended, taken: TakenPatch | str, told: Told) -> Attempt:
        """The result; `taken` is a text where no patch could be taken, which says why."""
        if isinstance(taken, str):
            return self._attempt("crashed", f"its files cannot be read: {taken}", TakenPatch(patch="", files=0))
        gateway = self._gateway
        asked = Asked(gateway.usage, gateway.ended, gateway.faults, gateway.last_ok, getattr(gateway, "refused", ()))
        status, reason = judge(ended, taken, asked, told.denied, told.reason)
        return self._attempt(status, reason, taken)

    def _attempt(self, status: str, reason: str, taken: TakenPatch) -> Attempt:
        gateway, ended = self._gateway, self.ended
        dropped = (
            [f"{ended.dropped_bytes} bytes that it printed were not kept"] if ended and ended.dropped_bytes else []
        )
        return Attempt.model_validate(
            {
                "status": status, "reason": reason, "patch": taken.patch, "files": taken.files,
                "notes": [*self.notes, *taken.notes, *dropped], "started_at": self.started_at,
                "seconds": ended.seconds if ended else 0.0, "exit_code": ended.returncode if ended else None,
                "usage": gateway.usage, "faults": gateway.faults, "leak": gateway.leak, "prompt_sha": self.prompt_sha,
                "log": LOG if (self._keep / LOG).exists() else None,
                "errors": ERRORS if (self._keep / ERRORS).exists() else None,
            }
        )  # fmt: skip


def _run(
    sandbox: Sandbox, workspace: Workspace, launch: Launch, gateway: ModelGateway, settings: AttemptConfig, keep: Path
) -> Ended:
    bounds = Bounds(
        seconds=settings.minutes * 60,
        folder=workspace.inside,
        disk_bytes=settings.disk_mb * MEBIBYTE,
        output_bytes=settings.output_mb * MEBIBYTE,
    )
    command = _command(workspace, launch, gateway.socket, settings, sandbox.kind)
    stdin = (launch.stdin or "").encode("utf-8", "surrogateescape")
    return run_agent(sandbox, command, stdin, keep / LOG, bounds, lambda: gateway.ended)


def _command(workspace: Workspace, launch: Launch, socket: Path, settings: AttemptConfig, kind: str) -> Command:
    """The forwarder, which becomes the agent."""
    limits = Limits(memory_mb=settings.memory_mb, pids=settings.pids, tmp_mb=settings.tmp_mb, output_mb=1)
    argv = (_python(workspace, kind), "-I", "-S", FORWARDER, f"{GATEWAY_DIR}/{socket.name}", str(PORT), "--")
    path = ":".join([*launch.path, workspace.path])
    return workspace.command(
        [*argv, *launch.argv],
        mounts=[*launch.mounts, Mount(source=socket.parent, target=GATEWAY_DIR)],
        variables={**launch.variables, "PATH": path, "PWD": REPOSITORY_DIR},
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
