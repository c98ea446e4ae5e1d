"""Says of an agent what works: installed, started, ran, edited, told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from configs.agent_files import AgentFile
from tasks.agents.doctor.trial import AFTER, FILE, LIMITS, MODEL, SCRIPTS, SMALL_MODEL, Trial, try_agent
from tasks.agents.installed.installing import Installed, NotInstalled, install
from tasks.sandbox.models import Limits, Sandbox, SandboxError


class Check(BaseModel):
    """One thing that works or does not."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool | None
    """None: it cannot be said, or does not matter."""
    detail: str
    """What was seen, and what to do."""


class Diagnosis(BaseModel):
    """All that was found out about an agent."""

    model_config = ConfigDict(frozen=True)

    agent: str
    sandbox: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether attempts with this agent can be expected to work."""
        return all(check.ok is not False for check in self.checks)


def examine(
    agent: AgentFile, work: Path, sandbox: Sandbox, image: str | None = None, limits: Limits = LIMITS
) -> Diagnosis:
    """Install the agent below `work` and let it work once for the scripted model. Never raises for the agent's sake.

    `image`: for the docker sandbox; None takes the default one.
    """
    checks: list[Check] = []
    try:
        installed = install(agent, work)
        checks.append(Check(name="installed", ok=True, detail=_installed(agent, installed)))
        checks += checks_of(agent, try_agent(agent, installed, sandbox, image, limits=limits), limits)
    except NotInstalled as error:
        checks.append(Check(name="installed", ok=False, detail=str(error).removeprefix(f"{agent.name}: ")))
    except SandboxError as error:
        checks.append(Check(name="ran", ok=False, detail=f"the sandbox failed: {error}"))
    return Diagnosis(agent=agent.name, sandbox=sandbox.kind, checks=tuple(checks))


def checks_of(agent: AgentFile, trial: Trial, limits: Limits = LIMITS) -> Iterator[Check]:
    """What a trial under these limits shows."""
    yield _ran(trial, limits)
    yield _asked(trial)
    edited = trial.text == AFTER
    yield Check(
        name="edited", ok=edited, detail=f"changed {FILE} as the model said" if edited else f"{FILE} is not changed"
    )
    if trial.told.denied:
        yield Check(name="allowed", ok=False, detail=f"it denied itself {', '.join(trial.told.denied)}")
    yield from _told(agent, trial)


def _installed(agent: AgentFile, installed: Installed) -> str:
    if agent.install.kind == "none":
        return "nothing is to be installed"
    said = installed.version or f"{agent.install.package or agent.install.repository} {agent.install.version}"
    return f"{said}, {installed.megabytes:.0f} MB; installing it took {installed.seconds:.0f} s"


def _ran(trial: Trial, limits: Limits) -> Check:
    done = trial.done
    if done.timed_out:
        return Check(name="ran", ok=False, detail=f"did not end within {limits.timeout_s:.0f} s{_last_line(trial)}")
    if done.out_of_memory:
        return Check(name="ran", ok=False, detail=f"took more memory than {limits.memory_mb} MiB")
    detail = f"{done.duration_s:.1f} s, exit code {done.returncode}"
    return Check(
        name="ran", ok=done.returncode == 0, detail=detail + ("" if done.returncode == 0 else _last_line(trial))
    )


def _last_line(trial: Trial) -> str:
    printed = trial.done.stderr.strip() or trial.done.stdout.strip()
    lines = printed.decode(errors="replace").splitlines()
    return f"; it said last: {lines[-1].strip()[:300]}" if lines else ""


def _asked(trial: Trial) -> Check:
    turns = {seen.turn for seen in trial.seen if seen.turn is not None}
    refused = [seen for seen in trial.seen if seen.status != 200]
    others = sorted({seen.model for seen in trial.seen if seen.model} - {MODEL, SMALL_MODEL})
    wanted = len(SCRIPTS[0].turns)
    if others:
        detail = f"asks for models that it was not given: {', '.join(others)}; pin them in its variables"
    elif refused:
        detail = (
            f"{len(refused)} of {len(trial.seen)} requests could not be answered, the last one at {refused[-1].path}"
        )
    elif not turns:
        detail = "never asked the model: see its base URL"
    else:
        protocols = sorted({seen.protocol for seen in trial.seen})
        detail = f"{len(trial.seen)} requests ({', '.join(protocols)}), {len(turns)} of {wanted} turns"
    ok = not others and not refused and len(turns) >= wanted - 1  # some need no answer to end
    return Check(name="asked the model", ok=ok, detail=detail)


def _told(agent: AgentFile, trial: Trial) -> Iterator[Check]:
    if agent.reader is None:
        yield Check(name="told", ok=None, detail="no reader: what it did is known from the gateway alone")
        return
    told = trial.told
    billed = [seen.billed for seen in trial.seen if seen.billed is not None]
    tokens = (sum(one.input for one in billed), sum(one.output for one in billed))
    steps = len(told.trajectory["steps"]) if told.trajectory else 0
    detail = f"{steps} steps of a trajectory, stopped: {told.stopped or 'not said'}"
    if told.failed:
        detail += f", failed: {told.failed}"
    if told.unread:
        detail += f", {told.unread} lines could not be read"
    yield Check(name="trajectory", ok=steps > 0 and not told.failed, detail=detail)
    if told.tokens_in is None:
        yield Check(name="tokens", ok=None, detail="it tells no tokens; the gateway counts")
        return
    same = (told.tokens_in, told.tokens_out) == tokens
    detail = f"tells {told.tokens_in} in, {told.tokens_out} out"
    if not same:
        detail += f"; the model billed {tokens[0]} and {tokens[1]}, which is what counts"
    yield Check(name="tokens", ok=True if same else None, detail=detail)
