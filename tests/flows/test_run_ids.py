"""An evaluation without a name is named by its content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from flows.stages.of_evaluation import default_run_id
from storage.exchange.read import read_instances

SCRIPT = "def setup(seed): ...\ndef experiment(state): ...\ndef check_equivalence(reference, candidate): ...\n"
LINES = [
    {
        "instance_id": f"a__b-PR-{n}", "repo": "a/b", "repo_url": "/here", "base_commit": "0" * 40,
        "head_commit": "1" * 40, "patch": "p", "efficiency_test": [SCRIPT],
    }
    for n in (1, 2)
]  # fmt: skip
SETTINGS = (SandboxConfig(), TimingConfig(), ScoringConfig())


def name(
    folder: Path, lines: Sequence[object] = LINES, patch: str = "", settings: Sequence[BaseModel] = SETTINGS
) -> str:
    """Of an evaluation whose files lie in a folder of their own."""
    folder.mkdir()
    (folder / "instances.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "mine.jsonl").write_text(json.dumps({"model_patch": patch}))
    instances, problems = read_instances(folder / "instances.jsonl")
    assert (len(instances), problems) == (len(lines), [])
    return default_run_id(instances, [folder / "mine.jsonl"], *settings)


def test_equal_content_is_the_same_run_wherever_it_lies(tmp_path: Path) -> None:
    elsewhere = [line | {"repo_url": "/there"} for line in reversed(LINES)]
    assert name(tmp_path / "a") == name(tmp_path / "b") == name(tmp_path / "c", elsewhere)


def test_other_instances_predictions_or_settings_are_another_run(tmp_path: Path) -> None:
    names = {
        name(tmp_path / "a"),
        name(tmp_path / "b", LINES[:1]),
        name(tmp_path / "c", [line | {"patch": "q"} for line in LINES]),
        name(tmp_path / "d", patch="other"),
        name(tmp_path / "e", settings=(SandboxConfig(kind="docker"), *SETTINGS[1:])),
        name(tmp_path / "f", settings=(SandboxConfig(), TimingConfig(budget_s=30), ScoringConfig())),
    }
    assert len(names) == 6
