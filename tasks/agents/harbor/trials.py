"""Trials of a Harbor job as attempts and predictions, with their trajectories.

A job folder is somebody else's: its files are read through `tasks.sandbox.foreign` only, and what they say of tokens
and cost is the agent's own word, which is stored as such.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.errors import UserError
from storage.exchange.harbor import task_name
from storage.exchange.read import Refused, first_problem, long_text, problem_of_name
from storage.files import TRAJECTORIES, put
from storage.ids import content_hash
from storage.store import Store
from storage.tables import NO_ANSWER, Attempt, AttemptStatus, Instance, Prediction
from tasks.agents.harbor import atif
from tasks.agents.recording import prediction_of
from tasks.code.leaks import find_leaks
from tasks.sandbox import foreign

PATCHES = ("verifier/model.patch", "artifacts/logs/artifacts/model.patch", "artifacts/model.patch", "agent/model.patch")
"""Where a trial may have its patch: what our own verifier took, then what a task published."""
TRAJECTORY = "agent/trajectory.json"
MAX_RESULT_BYTES = 64 * foreign.MEBIBYTE
STATUSES: dict[str, AttemptStatus] = {
    "AgentTimeoutError": "timeout",
    "NonZeroAgentExitCodeError": "crashed",
    "AgentSafetyRefusalError": "refused",
    "ContentPolicyViolationError": "refused",
    "BudgetExceededError": "budget",
    "ContextWindowExceededError": "budget",
    "ContextLengthExceededError": "budget",
    "OutputTokenExceededError": "budget",
    "OutputLengthExceededError": "budget",
    **dict.fromkeys(
        ("ApiError", "ApiRateLimitError", "ApiInternalServerError", "ApiOverloadedError", "ApiConnectionClosedError",
         "ApiResponseStalledError", "ApiConnectionError", "ApiUsageLimitError", "UnknownApiError",
         "NetworkConnectionError", "RateLimitError", "InternalServerError", "ServiceUnavailableError",
         "APIConnectionError", "APIError", "Timeout", "AgentAuthenticationError", "AuthenticationError",
         "ModelNotFoundError", "NotFoundError", "PermissionDeniedError"),
        "model_unreachable",
    ),
    **dict.fromkeys(
        ("EnvironmentStartTimeoutError", "SandboxBuildFailedError", "AgentSetupTimeoutError", "HealthcheckError",
         "SSHAccessError", "CancelledError", "MissingExtraError"),
        "setup_failed",
    ),
}  # fmt: skip
"""Harbor's name of an exception -> how the attempt ended. Of others, and of a verifier's, the patch decides."""


class Imported(BaseModel):
    """What was read."""

    model_config = ConfigDict(frozen=True)

    attempts: list[str]
    prediction_ids: list[str]
    problems: list[str] = []
    """`trial: reason` of what was left out, and of what an attempt lacks."""


class _Unusable(ValueError):
    """The message says what is wrong with a trial."""


def import_job(folder: Path, store: Store) -> Imported:
    """Append the trials of a job to `attempts` and `predictions`; reading the same job again changes nothing.

    A trial whose instance the store does not hold is left out, with the reason; so is one without a result. Raises
    UserError if the folder holds no trial at all.
    """
    names = [name for name in foreign.names(folder) if foreign.is_file(folder, f"{name}/result.json")]
    if not names:
        raise UserError(f"{folder}: no folder in it has a result.json; name the folder of a Harbor job")
    instances = {task_name(row.instance_id): row for row in store.rows(Instance)}
    reader = _Reader(folder, store, instances)
    problems, rows = [], []
    for name in names:
        try:
            rows.append(reader.read(name))
        except (_Unusable, Refused, OSError) as error:
            problems.append(f"{foreign.shown(name)}: {error}")
        except ValidationError as error:
            problems.append(f"{foreign.shown(name)}: {': '.join(first_problem(error))}")
    attempts, predictions = _numbered(rows, store)
    store.append([*attempts, *predictions])
    return Imported(
        attempts=[row.attempt_id for row in attempts],
        prediction_ids=[row.prediction_id for row in predictions],
        problems=[*problems, *reader.remarks],
    )


@dataclass(frozen=True)
class _Trial:
    attempt: Attempt
    """With sample 0, until all are known."""
    patch: str


class _Reader:
    def __init__(self, folder: Path, store: Store, instances: Mapping[str, Instance]) -> None:
        self.folder, self.store, self.instances = folder, store, instances
        self.remarks: list[str] = []

    def read(self, name: str) -> _Trial:
        """One trial. Raises _Unusable, Refused, ValidationError, OSError."""
        result = self._json(f"{name}/result.json")
        row = self._instance(result)
        agent, model, version = _who(result)
        patch = self._patch(name)
        status, reason = _ended(result, patch)
        told = result.get("agent_result")
        told = told if isinstance(told, dict) else {}
        values = {
            "attempt_id": content_hash("harbor", str(result.get("id") or name), row.instance_id),
            "run_id": f"harbor-{content_hash(str(self.folder.resolve().name), length=8)}",
            "instance_id": row.instance_id, "repo": row.repo, "agent": agent, "agent_version": version, "model": model,
            "sample": 0, "status": status, "reason": reason, **_times(result.get("agent_execution")),
            "told_cost_usd": told.get("cost_usd"), "told_tokens_in": told.get("n_input_tokens"),
            "told_tokens_out": told.get("n_output_tokens"), "tokens_cache_read": told.get("n_cache_tokens") or 0,
            **self._trajectory(name, row),
        }  # fmt: skip
        return _Trial(Attempt.model_validate(values), patch or "")

    def _instance(self, result: dict[str, Any]) -> Instance:
        asked = str(result.get("task_name", "")).rpartition("/")[2]
        if asked not in self.instances:
            raise _Unusable(f"task {foreign.shown(asked)} is none of the store's {len(self.instances)} instances")
        return self.instances[asked]

    def _json(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads(foreign.read(self.folder, name, MAX_RESULT_BYTES))
        except (ValueError, RecursionError) as error:
            raise _Unusable(f"result.json is not JSON: {type(error).__name__}") from None
        if not isinstance(found, dict):
            raise _Unusable("result.json holds no object")
        return found

    def _patch(self, name: str) -> str | None:
        """The patch, or None where the trial has none: an empty one is an answer."""
        for place in PATCHES:
            if foreign.is_file(self.folder, f"{name}/{place}"):
                content = foreign.read(self.folder, f"{name}/{place}", MAX_RESULT_BYTES)
                return long_text(place, content.decode("utf-8", "surrogateescape"))
        return None

    def _trajectory(self, name: str, row: Instance) -> dict[str, Any]:
        if not foreign.is_file(self.folder, f"{name}/{TRAJECTORY}"):
            return {}
        try:
            content = foreign.read(self.folder, f"{name}/{TRAJECTORY}", atif.MAX_BYTES)
            found = atif.parse(content)
        except (OSError, atif.NotATIF) as error:
            self.remarks.append(f"{foreign.shown(name)}: its trajectory is left out: {error}")
            return {}
        path, sha = put(self.store, TRAJECTORIES, content, ".json")
        results = "\n".join(atif.tool_results(found))
        return {
            "trajectory": path, "trajectory_sha": sha, "steps": atif.steps_of_agent(found),
            "prompt_leak_rate": find_leaks(atif.prompt(found), row.patch).rate,
            "tool_leak_rate": find_leaks(results, row.patch).rate,
        }  # fmt: skip


def _who(result: dict[str, Any]) -> tuple[str, str, str]:
    """(agent, model, version of the agent). Raises _Unusable."""
    info = result.get("agent_info")
    info = info if isinstance(info, dict) else {}
    model = info.get("model_info")
    model = model if isinstance(model, dict) else {}
    provider = f"{model['provider']}/" if model.get("provider") else ""
    named = str(info.get("name") or ""), f"{provider}{model.get('name') or 'none'}", str(info.get("version") or "")
    for name in named[:2]:
        if problem := problem_of_name(name, is_path=False) or ("" if name else "missing"):
            raise _Unusable(f"agent_info: {problem}")
    return named


def _ended(result: dict[str, Any], patch: str | None) -> tuple[AttemptStatus, str]:
    """How the attempt ended, by Harbor's exception and the patch. Raises _Unusable where nobody can say."""
    fault = result.get("exception_info")
    if isinstance(fault, dict):
        kind = str(fault.get("exception_type", ""))
        reason = f"{kind}: {' '.join(str(fault.get('exception_message', '')).split())[:500]}"
        if kind in STATUSES:
            return STATUSES[kind], reason
        if patch is None:
            return "crashed" if kind.startswith("Agent") else "setup_failed", reason
        return ("submitted" if patch.strip() else "empty_patch"), reason
    if patch is None:
        where = ", ".join(PATCHES)
        raise _Unusable(f"no patch: looked for {where}. Tasks that `isobench export --layout harbor` wrote leave one")
    return ("submitted", "") if patch.strip() else ("empty_patch", "nothing was changed")


def _times(timing: Any) -> dict[str, Any]:
    if not isinstance(timing, dict):
        return {}
    try:
        started = datetime.fromisoformat(str(timing.get("started_at")))
        ended = datetime.fromisoformat(str(timing.get("finished_at")))
        return {"started_at": started, "duration_s": max(0.0, (ended - started).total_seconds())}
    except (ValueError, TypeError):
        return {}


def _numbered(trials: Iterable[_Trial], store: Store) -> tuple[list[Attempt], list[Prediction]]:
    """Samples count on from what the store has of agent, model and instance; one that is there keeps its number."""
    known = store.rows(Attempt)
    numbers = {row.attempt_id: row.sample for row in known}
    used: dict[tuple[str, str, str], set[int]] = {}
    for row in known:
        used.setdefault((row.agent, row.model, row.instance_id), set()).add(row.sample)
    attempts, predictions = [], []
    for trial in sorted(trials, key=lambda trial: (str(trial.attempt.started_at), trial.attempt.attempt_id)):
        row = trial.attempt
        taken = used.setdefault((row.agent, row.model, row.instance_id), set())
        sample = numbers.get(row.attempt_id)
        if sample is None:
            sample = next(number for number in range(len(taken) + 1) if number not in taken)
        taken.add(sample)
        row = row.model_copy(update={"sample": sample})
        if row.status not in NO_ANSWER:
            made = prediction_of(row, trial.patch, told=True)
            predictions.append(made)
            row = row.model_copy(update={"prediction_id": made.prediction_id})
        attempts.append(row)
    return attempts, predictions
