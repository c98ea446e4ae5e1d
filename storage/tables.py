"""The row types of every table: what stages pass to each other.

A row is a frozen pydantic model. Its Arrow schema is derived from it (`storage.schema`), so a model is the only place
where a column is declared. `key_columns` identify a row: readers take the newest row per key.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class Row(BaseModel):
    """Base of all rows. Subclasses set `table`, `key_columns` and, when they change, a higher `schema_version`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    table: ClassVar[str]
    key_columns: ClassVar[tuple[str, ...]]
    schema_version: ClassVar[int] = 1


class Commit(Row):
    """One change that mining considered: a step of the first-parent history of the main branch."""

    table: ClassVar[str] = "commits"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "sha")

    repo: str
    """`owner/name`."""
    sha: str
    """The human (head) commit, 40 hex digits."""
    parent_sha: str | None
    """The base commit: the first parent. None for a root commit."""
    author_date: datetime
    subject: str
    message: str
    author: str = ""
    pr_number: int | None = None
    inner_shas: list[str] = Field(default_factory=list)
    """Commits that a merge brought in, newest first; empty for an ordinary commit."""
    score: float = 0.0
    """How much the change looks like an optimisation; larger is more. Comparable within one filter version only."""
    score_features: list[str] = Field(default_factory=list)
    """What the score is made of, e.g. `+2.2 keyword in title`."""
    filter_version: str = ""
    """Hash of the settings and the code that judged the change: equal means judged alike."""
    files: list[str] = Field(default_factory=list)
    additions: int = 0
    deletions: int = 0
    patch: str = ""
    """Unified diff of everything but tests, as `git apply` takes it. Empty unless the change was kept."""
    test_patch: str = ""
    """Unified diff of the tests."""
    patch_id: str = ""
    """Hash of what a kept change does, wherever it lands: equal for cherry-picks. Of a revert: what it undoes."""
    functions_changed: list[str] = Field(default_factory=list)
    """`path/to/file.py::Class.function`, by parser, of functions that exist after the change."""
    kept: bool
    reason: str
    """Why it was kept or dropped: the name of the deciding filter, with its detail after a colon."""


class PullRequest(Row):
    """What a pull request says: its text and discussion, as GitHub had them."""

    table: ClassVar[str] = "pull_requests"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "number")

    repo: str
    number: int
    """As in `Commit.pr_number`."""
    status: Literal["ok", "not_found"]
    title: str = ""
    body: str = ""
    author: str = ""
    labels: list[str] = Field(default_factory=list)
    timeline: str = ""
    """Comments, reviews and remarks in the order of time, each as `date author (what): text`."""
    linked_issues: list[str] = Field(default_factory=list)
    """Issues that it says it closes: `#12 title`, a line feed, the text."""
    claims: list[str] = Field(default_factory=list)
    """Gains that it claims, as it says them, e.g. `2.3x faster` or `12 ms -> 3 ms`."""
    etag: str = ""
    """GitHub's name for this version, for asking whether there is a newer one."""
    fetched_at: datetime


class Api(Row):
    """A public name through which a changed function is reached."""

    table: ClassVar[str] = "apis"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "sha", "api")

    repo: str
    sha: str
    api: str
    """Importable dotted name, e.g. `sortkit.merge.merge_runs`."""
    rank: int
    """1 is the best candidate for a perf test."""
    evidence: list[str]
    """The call path from the public name to the changed function, one qualified name per step."""
    source: Literal["static", "llm"]
    distance: int | None = None
    """Steps of the path; 0 if the changed function is public itself. None: a model named it, no path was found."""
    guesses: int = 0
    """Steps of the path that were resolved by a method's name alone."""
    exposure: int = 0
    """Files of the project's tests, docs and benchmarks that hold the last part of the name."""
    fan_in: int = 0
    """Definitions of the project that lead to it directly."""


class Contract(Row):
    """What a change does to the public contract: a change that breaks it cannot be compared by every test of base."""

    table: ClassVar[str] = "contracts"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "sha")

    repo: str
    sha: str
    added: list[str] = Field(default_factory=list)
    """Public names that base does not have."""
    removed: list[str] = Field(default_factory=list)
    changed: list[str] = Field(default_factory=list)
    """`name: f(a) -> f(a, b=1)`, of signatures that differ in more than annotations."""
    breaking: list[str] = Field(default_factory=list)
    """Names removed, and those that no longer take every call that they took."""
    is_changed: bool
    """Whether any of the lists has an entry."""


class PerfTest(Row):
    """A perf test that a source proposed: accepted or rejected, with the reason."""

    table: ClassVar[str] = "perf_tests"
    key_columns: ClassVar[tuple[str, ...]] = ("test_id",)

    test_id: str
    """Content hash of script, dialect, repository and sha: see `storage.ids.perf_test_id`."""
    repo: str
    sha: str
    """The human commit for which it was written."""
    api: str
    script: str
    source: Literal["llm", "seeded", "pytest", "asv", "instance"]
    dialect: Literal["isobench", "gso"] = "isobench"
    model: str | None = None
    prompt_sha: str | None = None
    attempts: int = 1
    """How many answers it took: 1 means the first was good."""
    cost_usd: float = 0.0
    covered: list[str] = Field(default_factory=list)
    """Changed functions that the gate saw executing, named as in `Commit.functions_changed`."""
    base_duration_s: float | None = None
    """Duration of one experiment on base, as the gate measured it, in seconds."""
    status: Literal["accepted", "rejected"]
    reason: str = ""
    """The gate that rejected it and what the gate saw; empty when accepted."""


class Measurement(Row):
    """One timed call (or one timed batch of `number` calls) of one arm in one round."""

    table: ClassVar[str] = "measurements"
    key_columns: ClassVar[tuple[str, ...]] = ("session_id", "test_id", "arm", "round")

    session_id: str
    test_id: str
    arm: str
    """`base`, `human`, `patch:<id>` or `main`."""
    process: int
    """Which set of processes (one per arm) the round ran in, from 0."""
    round: int
    """Round number inside the session and test, from 0, unique across processes."""
    repo: str
    instance_id: str | None = None
    wall_ns: int
    """The probe's clock, for the whole batch."""
    cpu_ns: int
    """CPU time of the process over the batch."""
    gpu_ns: int | None = None
    wait_ns: int = 0
    """Share of `wall_ns` in which the call could run and its core ran something else, by the kernel."""
    outside_ns: int
    """The driver's own clock around the request, for the whole batch."""
    number: int = 1
    """Calls in the batch."""
    order: int
    """Position of the arm inside its round, from 0."""
    seed: int
    correct: bool | None
    """Whether the result was equivalent to the base arm's; None if it was not compared in this round."""
    warmup: bool = False
    """True if the round is discarded as warm-up."""
    flags: list[str] = Field(default_factory=list)
    machine_id: str
    started_at: datetime


class Comparison(Row):
    """What a session says about one arm against another on one perf test: the verdict with its interval."""

    table: ClassVar[str] = "comparisons"
    key_columns: ClassVar[tuple[str, ...]] = ("session_id", "test_id", "arm", "against")

    session_id: str
    test_id: str
    arm: str
    against: str
    repo: str
    instance_id: str | None = None
    status: Literal["ok", "incorrect", "error", "timeout"]
    """`ok`: timed and correct in every compared round; otherwise the ratio is None."""
    reason: str = ""
    ratio: float | None
    """Speedup: time of `against` / time of `arm`; above 1 means that `arm` is faster."""
    ci_low: float | None
    ci_high: float | None
    median_s: float | None = None
    """Median seconds per call of `arm`."""
    against_median_s: float | None = None
    n_rounds: int = 0
    question: float | None = None
    """The threshold that the verdict answers: is `ratio >= question`?"""
    verdict: Literal["yes", "no", "inconclusive"]
    flags: list[str] = Field(default_factory=list)
    machine_id: str


class Machine(Row):
    """Fingerprint of a machine that timed something."""

    table: ClassVar[str] = "machines"
    key_columns: ClassVar[tuple[str, ...]] = ("machine_id",)

    machine_id: str
    """Hash of the columns below, but for `seen_at`."""
    cpu_model: str
    cores: int
    memory_mb: int
    kernel: str
    architecture: str
    governor: str
    """Frequency governor of the first core; empty where the system does not say."""
    python: str
    """Version of the driver's interpreter."""
    seen_at: datetime


class TestDurations(BaseModel):
    """Seconds per call that one perf test took on both sides, one number per round."""

    base: list[float]
    head: list[float]


class Instance(Row):
    """The canonical benchmark record (v1), a superset of ISO-Bench's."""

    table: ClassVar[str] = "instances"
    key_columns: ClassVar[tuple[str, ...]] = ("instance_id",)

    instance_id: str
    """`owner__repo-PR-<n>` or `owner__repo-<sha7>`."""
    repo: str
    repo_url: str
    """Where to clone from; a local path is fine."""
    created_at: datetime | None
    """Author date of the human commit: environments are pinned to it. None where a dataset does not say; the base
    commit's date is then what is known."""
    base_commit: str
    head_commit: str
    patch: str
    test_patch: str = ""
    api: str = ""
    efficiency_test: list[str]
    """Perf test scripts, dialect detected per script."""
    test_functions: list[str] = Field(default_factory=list)
    """Names of what each script measures, in the order of `efficiency_test`."""
    duration_changes: list[TestDurations] = Field(default_factory=list)
    human_performance: float | None = None
    """Speedup of the human commit over base: the aggregate over perf tests (see `tasks.scoring.aggregate`)."""
    human_ci_low: float | None = None
    human_ci_high: float | None = None
    setup_commands: list[str] = Field(default_factory=list)
    install_commands: list[str] = Field(default_factory=list)
    version: str = "1"
    gt_commit_message: str = ""
    notes: str = ""
    environment: str = ""
    """The `EnvironmentConfig` it was proved in, as JSON; empty means the default one with the commands above."""
    snapshot: str = ""
    """Hash of what the instance was proved with: environment, perf tests, timing settings."""


class Prediction(Row):
    """One attempt of a model or agent at one instance."""

    table: ClassVar[str] = "predictions"
    key_columns: ClassVar[tuple[str, ...]] = ("prediction_id",)

    prediction_id: str
    """Content hash of instance, model, agent, sample and patch."""
    instance_id: str
    repo: str = ""
    model: str
    agent: str = ""
    sample: int
    """Which of the model's attempts, from 0."""
    model_patch: str
    cost_usd: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    steps: int | None = None
    duration_s: float | None = None
    status: str = "submitted"
    trajectory: str | None = None


ScoreStatus = Literal["ok", "empty_patch", "patch_failed", "incorrect", "error", "timeout", "not_timed"]


class Score(Row):
    """How one prediction did: a status, and speedups with their interval where it was timed."""

    table: ClassVar[str] = "scores"
    key_columns: ClassVar[tuple[str, ...]] = ("prediction_id", "run_id")

    prediction_id: str
    run_id: str
    instance_id: str
    repo: str = ""
    model: str
    sample: int
    status: ScoreStatus
    reason: str = ""
    correct: bool | None
    speedup_base: float | None
    """Against base, aggregated over the instance's perf tests."""
    speedup_human: float | None
    """Against the human's patch; 1 means as fast."""
    ci_low: float | None
    """Of `speedup_human`."""
    ci_high: float | None
    base_ci_low: float | None = None
    """Of `speedup_base`."""
    base_ci_high: float | None = None
    opt_base: Literal["yes", "no", "inconclusive"]
    """Correct and at least MIN_SPEEDUP times as fast as base?"""
    opt_human: Literal["yes", "no", "inconclusive"]
    """Correct and at least OPT_THRESHOLD of the human's speedup? This is what Opt@K counts."""
    session_id: str | None = None
    flags: list[str] = Field(default_factory=list)


class OptAtK(Row):
    """Opt@K of one model: the share of instances where at least one of K samples reaches the human."""

    table: ClassVar[str] = "opt_at_k"
    key_columns: ClassVar[tuple[str, ...]] = ("run_id", "model", "k")

    run_id: str
    model: str
    k: int
    opt: float
    """`inconclusive` counts as no."""
    ci_low: float
    ci_high: float
    opt_if_inconclusive_no: float
    opt_if_inconclusive_yes: float
    n_instances: int
    n_samples: int


class Funnel(Row):
    """What one stage did with one item in one run."""

    table: ClassVar[str] = "funnel"
    key_columns: ClassVar[tuple[str, ...]] = ("run_id", "stage", "key")

    run_id: str
    stage: str
    key: str
    """Sha, test id or prediction id."""
    repo: str = ""
    outcome: Literal["kept", "dropped", "failed"]
    """`failed` means that the stage could not decide (a fault, not a result)."""
    reason: str = ""


class LlmCall(Row):
    """One request to a model: what it was for and what it cost."""

    table: ClassVar[str] = "llm_calls"
    key_columns: ClassVar[tuple[str, ...]] = ("call_id",)

    call_id: str
    repo: str
    stage: str
    item: str
    model: str
    prompt_sha: str
    tokens_in: int
    tokens_out: int
    cost_usd: float
    cached: bool
    repaired: bool
    outcome: str
    called_at: datetime


TABLES: dict[str, type[Row]] = {
    row.table: row
    for row in (
        Commit, PullRequest, Api, Contract, PerfTest, Measurement, Comparison, Machine, Instance, Prediction, Score,
        OptAtK, Funnel, LlmCall,
    )
}  # fmt: skip


def partition_of(row: Row) -> str:
    """Partition value of a row: `owner__name`, or `_all` for tables that span repositories."""
    repo: Any = getattr(row, "repo", "")
    return repo.replace("/", "__") if repo else "_all"
