"""Prediction files in the field's format: `instance_id, model_patch, model_name_or_path`, one attempt per line."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.datasets import DatasetError, Record, read_records
from storage.ids import prediction_id
from storage.store import Store
from storage.tables import Instance, Prediction
from tasks.leaks import find_leaks

NAMES = {
    "instance_id": ("instance_id",),
    "model": ("model_name_or_path", "model"),
    "agent": ("agent", "agent_name"),
    "sample": ("sample", "sample_id", "attempt"),
    "cost_usd": ("cost_usd", "cost"),
    "tokens_in": ("tokens_in", "input_tokens", "prompt_tokens"),
    "tokens_out": ("tokens_out", "output_tokens", "completion_tokens"),
    "steps": ("steps", "n_steps"),
    "duration_s": ("duration_s", "duration"),
    "trajectory": ("trajectory",),
}
"""Our column -> names that prediction files use, the first found counts."""


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

    A missing or null patch is an empty one. The sample number is the line's own, or else counts a model's attempts at
    an instance in order of appearance, over all files. Raises DatasetError if a file cannot be read at all.
    """
    known = None if instance_ids is None else set(instance_ids)
    rows: list[Prediction] = []
    problems: list[str] = []
    unknown: Counter[str] = Counter()
    taken: dict[tuple[str, str, str], set[int]] = defaultdict(set)
    seen: dict[str, str] = {}
    guard = _Guard(store)
    for path in files:
        digest = file_digest(path)
        if digest in seen:
            problems.append(f"{path}: the same content as {seen[digest]}, which was read already")
            continue
        seen[digest] = str(path)
        for where, record in read_records(path):
            result = record if isinstance(record, str) else prediction_from(record, taken)
            if isinstance(result, Prediction) and isinstance(record, dict) and isinstance(record.get("prompt"), str):
                result = result.model_copy(
                    update={"prompt_leak_rate": guard.rate(result.instance_id, record["prompt"])}
                )
            if isinstance(result, str):
                problems.append(f"{where}: {result}")
            elif known is not None and result.instance_id not in known:
                unknown[result.instance_id] += 1
            else:
                rows.append(result)
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
    for name in ("instance_id", "model"):
        if not isinstance(values[name], str) or not values[name].strip():
            return f"{NAMES[name][0]}: missing" if values[name] is None else f"{NAMES[name][0]}: expected text"
    patch = record.get("model_patch")
    if patch is not None and not isinstance(patch, str):
        return f"model_patch: expected text or null, not {type(patch).__name__}"
    agent = str(values["agent"] or "")
    used = taken[values["model"], agent, values["instance_id"]]
    sample = _sample(values["sample"], used)
    if isinstance(sample, str):
        return sample
    try:
        row = Prediction.model_validate(
            {
                **{name: value for name, value in values.items() if value is not None},
                "prediction_id": prediction_id(values["instance_id"], values["model"], agent, sample, patch or ""),
                "repo": repo_of(values["instance_id"]),
                "agent": agent,
                "sample": sample,
                "model_patch": patch or "",
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        return f"{first['loc'][0]}: {first['msg']}"
    used.add(sample)
    return row


def _sample(value: Any, used: set[int]) -> int | str:
    if value is None:
        return next(number for number in range(len(used) + 1) if number not in used)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return f"sample: expected a number from 0, not {value!r}"
    return f"sample: {value} of this model and instance was read already" if value in used else value


def repo_of(instance_id: str) -> str:
    """`owner/name` of an instance id of the usual form `owner__name-PR-12` or `owner__name-1234567`, else empty."""
    match = re.fullmatch(r"([A-Za-z0-9.-]+)__(.+?)-(?:PR-\d+|[0-9a-f]{7,40}|\d+)", instance_id)
    return f"{match[1]}/{match[2]}" if match else ""


def file_digest(path: str | Path) -> str:
    """Hash of a file's content. Raises DatasetError if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from error
