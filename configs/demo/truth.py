"""Reads `expected.yaml`: what every change and every prediction of the demo must come to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

FOLDER = Path(__file__).parent
EMPTY = "empty"
Answer = Literal["yes", "no"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExpectedChange(_Model):
    """One step of the main branch: what drops it, and where, or the instance that it becomes."""

    sha: str
    subject: str
    stage: Literal["mining", "classify", "instances"] | None = None
    reason: str = ""
    instance: str | None = None
    note: str = ""

    @model_validator(mode="after")
    def _one_outcome(self) -> ExpectedChange:
        if (self.stage is None) == (self.instance is None) or bool(self.stage) != bool(self.reason):
            raise ValueError("give either 'instance', or 'stage' and 'reason'")
        return self


class ExpectedPatch(_Model):
    """What a patch must come to when it is scored."""

    what: str
    status: Literal["ok", "incorrect", "patch_failed", "empty_patch"]
    opt_base: Answer = "no"
    opt_human: Answer = "no"
    base: float | None = None
    """Speedup over base that we measured."""
    human: float | None = None
    """Speedup against the human's patch that we measured."""


class ExpectedInstance(_Model):
    """An instance that must come out, and the patches that were made for it."""

    name: str
    instance_id: str
    kind: str
    what: str
    speedup: float
    """Of the human, as we measured it."""
    patches: dict[str, ExpectedPatch]


class ExpectedPrediction(_Model):
    """One line of a predictions file."""

    model: str
    instance: str
    instance_id: str
    sample: int
    """From 0, in the order of lines."""
    patch: str
    truth: ExpectedPatch

    @property
    def text(self) -> str:
        """The patch itself."""
        if self.patch == EMPTY:
            return ""
        return patch_file(self.instance, self.patch).read_text(encoding="utf-8")


class Expected(_Model):
    """The whole file."""

    changes: list[ExpectedChange]
    instances: list[ExpectedInstance]
    models: dict[str, dict[str, list[str]]]
    opt_at_k: dict[str, list[float]]

    @cached_property
    def by_name(self) -> dict[str, ExpectedInstance]:
        """Instances by their short name."""
        return {instance.name: instance for instance in self.instances}

    def predictions(self) -> Iterator[ExpectedPrediction]:
        """Every prediction, by model, instance and sample. Raises KeyError for a patch that nobody described."""
        for model, instances in self.models.items():
            for name, patches in instances.items():
                instance = self.by_name[name]
                for sample, patch in enumerate(patches):
                    yield ExpectedPrediction(
                        model=model,
                        instance=name,
                        instance_id=instance.instance_id,
                        sample=sample,
                        patch=patch,
                        truth=_NO_PATCH if patch == EMPTY else instance.patches[patch],
                    )


_NO_PATCH = ExpectedPatch(what="no patch at all", status="empty_patch")


def patch_file(instance: str, patch: str) -> Path:
    """Where a patch lies, readable."""
    return FOLDER / "predictions" / "patches" / instance / f"{patch}.patch"


def load_expected(path: Path = FOLDER / "expected.yaml") -> Expected:
    """Read and check the file."""
    return Expected.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
