"""Values of timing: questions, samples, and what a session reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["ok", "incorrect", "error", "timeout"]
Verdict = Literal["yes", "no", "inconclusive"]


class Frozen(BaseModel):
    """Immutable value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Question(Frozen):
    """Is `arm` at least `threshold` times as fast as `against`?"""

    arm: str
    against: str
    threshold: float


@dataclass(frozen=True)
class Sample:
    """One timed batch of one arm in one round; becomes a row of `measurements`."""

    arm: str
    process: int
    round: int
    order: int
    seed: int
    number: int
    wall_ns: int
    cpu_ns: int
    wait_ns: int
    outside_ns: int
    setup_ns: int
    """What setup used, of all workloads: this and the following as in `tasks.sandbox.probe.session.Spent`."""
    correct: bool | None
    warmup: bool
    started_at: datetime
    flags: tuple[str, ...] = ()
    gpu_ns: int | None = None
    digest_ns: int = 0
    """What the hashes of results used; a lazy result is computed then."""
    result_ns: int = 0
    """What the result itself used, if it had to travel."""
    idle_ns: int = 0
    """Between the calls of this round, when nothing was asked of the arm."""
    cpu_bound: bool = False
    """Whether one thread did it all and never slept, by the kernel: CPU time is then all that the call needs."""
    company_ns: int = 0
    """CPU time, while this call ran, of those that shared the core with it; 0 if it had it to itself."""
    ping_ns: int = 0
    """An empty request: what any request uses by itself."""
    release_ns: int = 0
    """Letting go of the results of all calls."""
    load_ns: int = 0
    """What loading the perf test used in this process."""
    setups: int = 1
    """Workloads that setup built."""
    hashed: int = 1
    """Results that were hashed."""
    cores: int = 0
    """Cores that the process was pinned to; 0 if it was not."""
    confirming: bool = False
    """Whether the round confirms a success with nobody but base and human beside the arm."""


@dataclass(frozen=True)
class MetricValue:
    """What a command printed for one metric; becomes a row of `metrics`."""

    arm: str
    process: int
    round: int
    metric: str
    value: float
    better: Literal["higher", "lower"] | None
    """None: it says how much was done."""


@dataclass
class ArmState:
    """Where an arm stands. `ok` until something happens; then it is excluded for good."""

    name: str
    status: Status = "ok"
    reason: str = ""


@dataclass
class SessionState:
    """Everything that the rounds of a session left behind."""

    states: dict[str, ArmState]
    samples: list[Sample] = field(default_factory=list)
    number: int = 1
    """Calls per batch."""
    numbers: dict[str, int] = field(default_factory=dict)
    """Calls per batch of arms that are so much faster than base that they get more."""
    fresh: bool = False
    """Whether every round had processes of its own."""
    metrics: list[MetricValue] = field(default_factory=list)
    """Of a workload that is a command."""
    one_core: bool = False
    """Whether the arms of a round shared one core at the same moment."""
    timed_out: bool = False
    """Whether some process took longer than it may."""
    primary: str = ""
    """The metric that decides; empty where time does."""
    claimed: bool = False
    """Whether the arm's own code says how fast it was: a command without a server."""
    compared: bool = True
    """Whether results are compared at all: of a command only metrics that it names are."""
    base_failure: str = ""
    """Why base itself could not be timed: then nothing is known about any arm."""
    own_s: dict[str, float] = field(default_factory=dict)
    """Wall time that arms took beyond base's for the same: see `patience`."""
    extra_s: float = 0.0
    """How much later than planned the session ends for it."""
    inputs_alike: bool = True
    """Whether setup made equal workloads in all arms, in the warm-ups so far."""
    base_load_s: float | None = None
    """How long base's last process took to load the perf test."""

    def drop(self, name: str, status: Status, reason: str) -> None:
        """Exclude an arm; the first reason stays."""
        arm_state = self.states[name]
        if arm_state.status == "ok":
            arm_state.status, arm_state.reason = status, reason[:2000]

    def alive(self, name: str) -> bool:
        """Whether the arm is not excluded."""
        return self.states[name].status == "ok" and not self.base_failure


class Answer(Frozen):
    """What the session says about one question, or about a pair of arms that no question was asked about."""

    arm: str
    against: str
    verdict: Verdict
    ratio: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    question: float | None = None

    def describe(self) -> str:
        """`1.31x base [1.28, 1.34], yes at 1.2x`."""
        if self.ratio is None:
            return f"no ratio to {self.against}"
        interval = f"[{self.ci_low:.2f}, {self.ci_high:.2f}]"
        return f"{self.ratio:.2f}x {self.against} {interval}, {self.verdict} at {self.question:g}x"


class ArmOutcome(Frozen):
    """How one arm came through the session."""

    arm: str
    status: Status
    reason: str = ""
    answers: list[Answer] = []
    flags: list[str] = []

    @property
    def verdict(self) -> Verdict:
        """Of the question against base; `no` for an arm that failed, `inconclusive` where nothing is known."""
        for answer in self.answers:
            if answer.against == "base":
                return answer.verdict
        return "inconclusive"

    def describe(self) -> str:
        """One line: why it failed, or its speedups with their intervals."""
        if self.status != "ok":
            return f"{self.status}: {self.reason}"
        return "; ".join(answer.describe() for answer in self.answers)


class Session(Frozen):
    """One perf test, all arms, one machine. Rows: `measurements` and `comparisons` under `session_id`."""

    session_id: str
    test_id: str
    outcomes: list[ArmOutcome]
    base_failure: str = ""
    """Why base could not be timed; empty if it could."""
    n_rounds: int
    number: int
    """Calls per timed batch."""
    protocol: str
    machine_id: str
    fingerprint: str
    """Of the machine and what the arms ran in: sessions that differ in it may not be compared."""
    duration_s: float
    """Without the wait for cores."""

    def outcome_of(self, arm: str) -> ArmOutcome:
        """The outcome of one arm; KeyError if it was not in the session."""
        for found in self.outcomes:
            if found.arm == arm:
                return found
        raise KeyError(arm)
