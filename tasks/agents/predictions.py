"""Prediction files in the field's format: `instance_id, model_patch, model_name_or_path`, one attempt per line."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.exchange.read import DatasetError, Record, Refused, first_problem, long_text, problem_of_name, read_records
from storage.ids import prediction_id
from storage.store import Store
from storage.tables import Instance, Prediction
from storage.texts import told
from tasks.code.leaks import find_leaks

NAMES = {
    "instance_id": ("instance_id",),
    "model": ("model_name_or_path", "model", "model_name"),
    "agent": ("agent", "agent_name"),
    "sample": ("sample", "sample_id", "attempt"),
    "cost_usd": ("cost_usd", "cost"),
    "tokens_in": ("tokens_in", "input_tokens", "prompt_tokens"),
    "tokens_out": ("tokens_out", "output_tokens", "completion_tokens"),
    "tokens_cache_read": ("tokens_cache_read", "cached_tokens"),
    "tokens_cache_write": ("tokens_cache_write",),
    "tokens_reasoning": ("tokens_reasoning", "reasoning_tokens"),
    "requests": ("requests",),
    "steps": ("steps", "n_steps"),
    "duration_s": ("duration_s", "duration"),
    "status": ("status",),
    "reason": ("reason",),
    "agent_version": ("agent_version",),
    "attempt_id": ("attempt_id",),
    "trajectory": ("trajectory",),
    "trajectory_sha": ("trajectory_sha",),
    "prompt_leak_rate": ("prompt_leak_rate",),
    "tool_leak_rate": ("tool_leak_rate",),
}
"""Our column -> names that prediction files use, the first found counts."""
PATCHES = ("model_patch", "prediction", "patch", "git_patch", "diff", "output")
"""Names of the patch in prediction files and in the guides of benchmarks; the first that is there counts, also if it is
null. A line that has none of them says nothing, which is not an empty patch."""
WHOLE = (
    "sample", "tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write", "tokens_reasoning", "requests",
    "steps",
)  # fmt: skip
MEASURED = ("cost_usd", "duration_s", "prompt_leak_rate", "tool_leak_rate")


class Loaded(BaseModel):
    """What was read."""

    model_config = ConfigDict(frozen=True)

    prediction_ids: list[str]
    """In the order of files and lines."""
    models: list[str]
    problems: list[str] = []
    """`file:line: reason` of lines that were left out, then the unknown instances."""
    unknown_instances: dict[str, int] = {}
    """Instance ids that the dataset does not hold -> how many predictions name them; those are left out."""


def read_predictions(files: Iterable[str | Path], instance_ids: Iterable[str] | None, store: Store) -> Loaded:
    """Append the predictions of all files, taken in this order, and say what was left out.

    A null patch is an empty one; a line without a patch is left out, as is a line with a value of a wrong kind. The
    sample number is the line's own, or else counts a model's attempts at an instance in order of appearance, over all
    files. Raises DatasetError if no file can be read at all.
    """
    known = None if instance_ids is None else set(instance_ids)
    rows: list[Prediction] = []
    problems: list[str] = []
    unknown: Counter[str] = Counter()
    taken: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    seen: dict[str, str] = {}
    guard = _Guard(store)
    unreadable: list[DatasetError] = []
    paths = list(files)
    for path in paths:
        try:
            digest = file_digest(path)
            if digest in seen:
                problems.append(f"{path}: the same content as {seen[digest]}, which was read already")
                continue
            seen[digest] = str(path)
            for where, record in read_records(path):
                result = record if isinstance(record, str) else prediction_from(record, taken)
                if (
                    isinstance(result, Prediction)
                    and isinstance(record, dict)
                    and isinstance(record.get("prompt"), str)
                ):
                    result = result.model_copy(
                        update={"prompt_leak_rate": guard.rate(result.instance_id, record["prompt"])}
                    )
                if isinstance(result, str):
                    problems.append(f"{where}: {result}")
                elif known is not None and result.instance_id not in known:
                    unknown[result.instance_id] += 1
                else:
                    rows.append(result)
        except DatasetError as error:
            unreadable.append(error)
            problems.append(str(error))
    if unreadable and len(unreadable) == len(paths):
        raise unreadable[0]
    store.append(rows)
    told = [row for row in rows if row.prompt_leak_rate]
    if told:
        worst = max(row.prompt_leak_rate or 0.0 for row in told)
        problems.append(
            f"{len(told)} predictions had a prompt with lines of the human's diff, up to {worst:.0%} of them: "
            "`isobench show predictions --where 'prompt_leak_rate > 0' --columns instance_id,model,prompt_leak_rate`"
        )
    problems += [f"{name}: not in the dataset ({count} predictions)" for name, count in sorted(unknown.items())]
    return Loaded(
        prediction_ids=[row.prediction_id for row in rows],
        models=sorted({row.model for row in rows}),
        problems=problems,
        unknown_instances=dict(unknown),
    )


class _Guard:
    """Holds prompts against the diff of their instance; the same prompt of further samples only once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._patches: dict[str, str] | None = None
        self._known: dict[tuple[str, str], float] = {}

    def rate(self, instance_id: str, prompt: str) -> float | None:
        """Share of the human's added lines that the prompt holds; None if the store has no such instance."""
        if self._patches is None:
            self._patches = {row.instance_id: row.patch for row in self._store.rows(Instance)}
        if instance_id not in self._patches:
            return None
        if (instance_id, prompt) not in self._known:
            self._known[instance_id, prompt] = find_leaks(prompt, self._patches[instance_id]).rate
        return self._known[instance_id, prompt]


def prediction_from(record: Record, taken: dict[tuple[str, str, str], set[int]]) -> Prediction | str:
    """The row of one record, or the first thing wrong with it. Notes the sample number in `taken`."""
    values: dict[str, Any] = {
        name: next((record[key] for key in keys if record.get(key) is not None), None) for name, keys in NAMES.items()
    }
    try:
        _check_names(values)
        patch = _patch(record)
        for name in (*WHOLE, *MEASURED):
            values[name] = _number(name, values[name])
        agent = values["agent"] or ""
        used = taken[values["model"], agent, values["instance_id"]]
        sample = _sample(values["sample"], used)
        row = Prediction.model_validate(
            {
                **{name: value for name, value in values.items() if value is not None},
                "prediction_id": prediction_id(values["instance_id"], values["model"], agent, sample, patch),
                "repo": repo_of(values["instance_id"]),
                "agent": agent,
                "sample": sample,
                "model_patch": patch,
            }
        )
    except Refused as refused:
        return str(refused)
    except ValidationError as error:
        return ": ".join(first_problem(error))
    used.add(sample)
    return row


def _check_names(values: dict[str, Any]) -> None:
    for name in ("instance_id", "model", "agent"):
        value = values[name]
        if name != "agent" and (value is None or (isinstance(value, str) and not value.strip())):
            raise Refused(NAMES[name][0], "missing")
        if value is not None and value != "" and (problem := problem_of_name(value, is_path=name == "instance_id")):
            raise Refused(NAMES[name][0], problem)


def _patch(record: Record) -> str:
    key = next((key for key in PATCHES if key in record), None)
    if key is None:
        others = ", ".join(PATCHES[1:])
        raise Refused(PATCHES[0], f'missing, and so are {others}; null or "" would be an empty patch')
    return "" if record[key] is None else long_text(key, record[key])


def _sample(value: int | None, used: set[int]) -> int:
    if value is None:
        return next(number for number in range(len(used) + 1) if number not in used)
    if value in used:
        raise Refused("sample", f"{value} of this model and instance was read already")
    return value


def _number(name: str, value: Any) -> int | float | None:
    """The number. Frames write whole numbers as 1.0 if one of the column is missing."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0 or value == math.inf:
        raise Refused(name, f"expected a number from 0, not {told(value)}")
    if value >= 2**63:
        raise Refused(name, f"too large: {told(value)}")
    if name not in WHOLE:
        return float(value)
    if value != int(value):
        raise Refused(name, f"expected a whole number, not {told(value)}")
    return int(value)


def repo_of(instance_id: str) -> str:
    """`owner/name` of an instance id of the usual form `owner__name-PR-12` or `owner__name-1234567`, else empty."""
    match = re.fullmatch(r"([A-Za-z0-9.-]+)__(.+?)-(?:PR-\d+|[0-9a-f]{7,40}|\d+)", instance_id)
    return f"{match[1]}/{match[2]}" if match else ""


def file_digest(path: str | Path) -> str:
    """Hash of a file's content. Raises DatasetError if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
