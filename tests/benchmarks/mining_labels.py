"""The labelled changes, and the score of every change of the histories that they were drawn from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import git

from configs.models import MiningConfig
from tasks.code.paths import LANGUAGE_SUFFIXES
from tasks.mining.filters.filters import Filters
from tasks.mining.filters.rules import Rules
from tasks.mining.git.diff_stream import Differ
from tasks.mining.git.history import first_parent_chain, inner_commits, read_changes
from tasks.mining.git.process import open_repository

FOLDER = Path(__file__).parent / "labels"
HEADS = {
    "numpy/numpy": "1f90bbb55e65e7de68921bc3f1a2d94492fdf689",
    "networkx/networkx": "cfc6b79fc53f583aa15a79b2187ae30bd4f480ed",
    "tornadoweb/tornado": "e530031405e2154654dedc4c84d5656b557ea310",
    "tobymao/sqlglot": "37362f4fc1d63c4687149cec3a8aab109c1eb989",
}


@dataclass(frozen=True)
class Label:
    """One labelled change; the fields are told in `labels/README.md`."""

    repo: str
    sha: str
    label: str
    reason: str
    stratum: str
    weight: float

    @property
    def held_out(self) -> bool:
        """Whether it belongs to the half that the weights were not fitted on."""
        return int(self.sha[:8], 16) % 2 == 1


@dataclass(frozen=True)
class Scored:
    """One change of a history."""

    score: float
    features: tuple[str, ...]
    kept: bool
    """By the default filter, keywords and all, before its content is looked at."""


def load_labels(folder: Path = FOLDER) -> dict[str, list[Label]]:
    """Labels by repository."""
    files = sorted(folder.glob("*.jsonl"))
    labels = [Label(**json.loads(line)) for path in files for line in path.read_text().splitlines()]
    return {
        repo: [label for label in labels if label.repo == repo] for repo in sorted({label.repo for label in labels})
    }


def repository_of(clone: Path) -> str:
    """Which labelled repository a clone is of. Raises SystemExit with what to do if it is of none, or too old."""
    with open_repository(clone) as repo:
        for name, head in HEADS.items():
            try:
                repo.git.cat_file("-e", f"{head}^{{commit}}")
            except git.GitCommandError:
                continue
            return name
    raise SystemExit(f"{clone}: no labelled history in it; there are labels for {', '.join(HEADS)}. Is it up to date?")


def score_history(clone: Path, head: str) -> dict[str, Scored]:
    """Every change of the first-parent history up to `head`, filtered by the default filters for all languages."""
    return dict(_scored(clone, head))


def _scored(clone: Path, head: str) -> Iterator[tuple[str, Scored]]:
    filters = Filters(Rules.of(MiningConfig(), list(LANGUAGE_SUFFIXES)))
    with open_repository(clone) as repo, Differ(repo) as differ:
        inner = inner_commits(repo, head, None, filters.keywords.find)
        for change in read_changes(differ, list(first_parent_chain(repo, head))):
            filtered = filters.apply(change, inner.get(change.sha))
            names = tuple(feature.partition(" ")[2] for feature in filtered.score.features)
            yield change.sha, Scored(filtered.score.value, names, filtered.kept)
