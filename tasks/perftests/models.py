"""The data of this stage: proposals of the sources, verdicts of the gates, and the door's result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict

from storage.scripts import Dialect

Source = Literal["llm", "seeded", "pytest", "asv", "command"]


@dataclass(frozen=True)
class Proposal:
    """A script that a source offers for a commit."""

    name: str
    api: str
    script: str
    source: Source
    dialect: Dialect = "isobench"
    model: str | None = None
    prompt_sha: str | None = None
    attempts: int = 1
    cost_usd: float = 0.0
    results_compared: bool = True
    """Whether its result depends on the work. False: nothing that it sees could tell a stub."""


@dataclass
class Evidence:
    """The findings of the gates about a script, up to the gate that it failed."""

    covered: list[str] = field(default_factory=list)
    base_duration_s: float | None = None
    line_share_base: float | None = None
    """Share of the lines that the change takes away that run on base; None if it takes none away in functions."""
    line_share_human: float | None = None
    """Share of the lines that the change adds that run on human."""
    setup_share: float | None = None
    """Of the changed functions' time, the part in setup."""
    check_rejects: list[str] = field(default_factory=list)
    """Kinds of wrong results of which check_equivalence rejects every one."""
    tells: bool = True
    """Whether the result says something about the work: a stub's would be another one."""
    screen_speedup: float | None = None
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Verdict:
    """The judgement of the gates on a script."""

    gate: str | None = None
    """The gate that failed; None if all passed."""
    detail: str = ""
    """What it saw, fit to be quoted to whoever repairs the script."""
    covered: list[str] = field(default_factory=list)
    """Changed functions that were seen executing, named as in `Commit.functions_changed`."""
    base_duration_s: float | None = None
    evidence: Evidence = field(default_factory=Evidence)
    script: str | None = None
    """The script with another SIZE, if the gates changed that."""
    results_compared: bool = True
    """False: the gates saw that its result says nothing about the work."""

    @property
    def accepted(self) -> bool:
        """Whether every gate passed."""
        return self.gate is None

    @property
    def reason(self) -> str:
        """`gate: detail`, or empty."""
        return "" if self.gate is None else f"{self.gate}: {self.detail}"


class Written(BaseModel):
    """The result of `write_perf_tests` for one commit. The scripts are rows of table `perf_tests`."""

    model_config = ConfigDict(frozen=True)

    sha: str
    accepted: list[str]
    """Ids of the tests that passed every gate, in the order of sources and proposals."""
    rejected: dict[str, str]
    """Id -> the gate that failed and what it saw."""
    reason: str = ""
    """What sources had nothing to offer, and why; also filled when others were accepted."""


class FoundTest(BaseModel):
    """One of the repository's tests as a workload, which no gate has judged."""

    model_config = ConfigDict(frozen=True)

    test_id: str
    name: str
    """As pytest names it; with the factor of its input, if that was scaled."""
    script: str


class FoundTests(BaseModel):
    """The repository's tests that execute the difference between two commits, most time in it first."""

    model_config = ConfigDict(frozen=True)

    tests: list[FoundTest] = []
    reason: str = ""
    """Why there is none."""
