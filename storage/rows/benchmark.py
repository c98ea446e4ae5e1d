"""Rows about the benchmark itself: instances, attempts at them, and how they did."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from storage.rows.base import Row


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
    """`owner/name`."""
    repo_url: str
    """Where to clone from; a local path is fine."""
    created_at: datetime | None
    """Author date of the human commit. Environments are pinned to the day on which it landed, by the clone; this date
    counts where the clone lacks the commit. None where a dataset does not say."""
    base_commit: str
    """Commit before the change; 40 hex digits, or what git makes one of."""
    head_commit: str
    """The human commit."""
    patch: str
    """Unified diff of the human's change, without tests."""
    test_patch: str = ""
    """Unified diff of the tests that came with the change."""
    api: str = ""
    """Name of what the first perf test measures."""
    efficiency_test: list[str]
    """Perf test scripts."""
    test_ids: list[str] = Field(default_factory=list)
    """Keys of the perf tests, in the order of `efficiency_test`. Older rows have none:
    `storage.scripts` makes them of the texts."""
    dialects: list[Literal["isobench", "gso", "command"]] = Field(default_factory=list)
    """Of each script."""
    results_compared: list[bool] = Field(default_factory=list)
    """Of each script whether its result depends on the work: on one where it does not, no success counts (flag
    `results_not_compared`). Older rows have none: then all are, but for commands without `equal`."""
    test_functions: list[str] = Field(default_factory=list)
    """Names of what each script measures, in the order of `efficiency_test`."""
    duration_changes: list[TestDurations] = Field(default_factory=list)
    """Seconds per call of base and human, one entry per script of `efficiency_test`."""
    human_performance: float | None = None
    """Speedup of the human commit over base: the aggregate over perf tests (see `tasks.scoring.aggregate`)."""
    human_ci_low: float | None = None
    """Lower end of the interval of `human_performance`."""
    human_ci_high: float | None = None
    """Upper end of the interval of `human_performance`."""
    resolvable: float | None = None
    """Share of base's time per call that could move out of the human's calls without being seen for sure, by the meter
    and the rounds of its session: the half width of its charge. The largest over the perf tests."""
    setup_commands: list[str] = Field(default_factory=list)
    """Commands that ran before the dependencies were installed."""
    install_commands: list[str] = Field(default_factory=list)
    """Commands that installed the dependencies, in the place of what is found out."""
    version: str = "1"
    """Of the record's form."""
    gt_commit_message: str = ""
    """Message of the human commit."""
    notes: str = ""
    """One line per perf test: its speedup, or why it was left out."""
    problem_statement: str = ""
    """What agents are told. Exports fill it in from table `statements`."""
    environment: str = ""
    """The `EnvironmentConfig` it was proved in, as JSON; empty means the default one with the commands above."""
    pass_to_pass: list[str] = Field(default_factory=list)
    """The repository's own tests that pass on base and on human, as pytest names them: a patch must pass them. Those
    that execute a changed function come first."""
    tests_of_change: int = 0
    """How many of `pass_to_pass`, from the first, execute a changed function."""
    fail_to_pass: list[str] = Field(default_factory=list)
    """The repository's own tests that fail on base and pass on human, as of the human commit. Not asked of patches."""
    suite_share: float | None = None
    """`pass_to_pass` as a share of the tests that pytest finds, from 0 to 1."""
    suite_flaky: int = 0
    """Tests that were left out since one side's runs differ."""
    uncovered_functions: list[str] = Field(default_factory=list)
    """Changed Python functions that no test of `pass_to_pass` executes."""
    weakly_checked: bool = True
    """Whether none of the repository's own tests executes a changed function: then only the perf tests tell a wrong
    patch from a right one."""
    snapshot: str = ""
    """Hash of what the instance was proved with: environment, perf tests, timing settings."""


class Statement(Row):
    """What agents are told about a commit: what is slow, never how it was fixed."""

    table: ClassVar[str] = "statements"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "sha")

    repo: str
    """`owner/name`."""
    sha: str
    """The human commit."""
    text: str
    """A title, an empty line, and Markdown."""
    source: Literal["llm", "template"]
    """`llm`: a model wrote it; `template`: made of APIs, workloads and times."""
    model: str | None = None
    """The model that wrote it; None of a template."""
    prompt_sha: str | None = None
    """Hash of the prompt that it answers; None of a template."""
    attempts: int = 0
    """Answers that it took."""
    cost_usd: float = 0.0
    """What the model's answers cost."""
    lines_added: int
    """Lines that the human added and that say something (see `tasks.code.leaks`)."""
    lines_leaked: int
    """How many of them are in the text."""
    leak_rate: float
    """`lines_leaked / lines_added` of the text that was kept: 0, or the guard failed."""
    first_leak_rate: float
    """The same of the model's first answer, before anything was written again or cut."""
    first_names_leaked: list[str] = Field(default_factory=list)
    """Names of the human's code in the first answer."""
    parts_cut: int = 0
    """Sentences and lines that were cut from the last answer."""
    reason: str = ""
    """Why it is not the model's first answer."""


class Prediction(Row):
    """One attempt of a model or agent at one instance.

    What an agent that ran here used was counted by the gateway. Of other predictions, cost, tokens, steps and duration
    are what the file of predictions says.
    """

    table: ClassVar[str] = "predictions"
    key_columns: ClassVar[tuple[str, ...]] = ("prediction_id",)

    prediction_id: str
    """Content hash of instance, model, agent, sample and patch."""
    instance_id: str
    """The instance that it is an answer to."""
    repo: str = ""
    """`owner/name`."""
    model: str
    """Name of the model."""
    agent: str = ""
    """Name of the agent; empty where the file of predictions does not say."""
    sample: int
    """Which of the model's attempts, from 0."""
    model_patch: str
    """Unified diff against base; empty if nothing was handed in."""
    cost_usd: float | None = None
    """What the attempt cost; None where it is not known."""
    tokens_in: int | None = None
    """All tokens of prompts, those from a cache included."""
    tokens_out: int | None = None
    """Tokens of answers, those of reasoning included."""
    tokens_cache_read: int | None = None
    """Of `tokens_in`, those that the provider had in its cache."""
    tokens_cache_write: int | None = None
    """Of `tokens_in`, those that the provider put into its cache."""
    tokens_reasoning: int | None = None
    """Of `tokens_out`, those of reasoning."""
    requests: int | None = None
    """Requests to models."""
    steps: int | None = None
    """Steps of the agent's trajectory."""
    duration_s: float | None = None
    """Seconds that the attempt took."""
    status: str = "submitted"
    """How the attempt ended. Of agents that ran here: see table `attempts`."""
    reason: str = ""
    """Why, in words."""
    agent_version: str = ""
    """Version of the agent."""
    attempt_id: str | None = None
    """Row of `attempts`, of an agent that ran here."""
    trajectory: str | None = None
    """What the agent did: a path relative to the store, or what a prediction file says."""
    trajectory_sha: str | None = None
    """SHA-256 of the trajectory, where it lies in the store."""
    prompt_leak_rate: float | None = None
    """Share of the human's added lines that the agent's prompt gave away, from 0 to 1, if it is known."""
    tool_leak_rate: float | None = None
    """The same of the tool results that the model was shown."""

    @property
    def contender(self) -> str:
        """Whose attempts are counted together: the model's, or with an agent those of the pair, `agent/model`."""
        return f"{self.agent}/{self.model}" if self.agent else self.model


ScoreStatus = Literal["ok", "empty_patch", "patch_failed", "incorrect", "error", "timeout", "not_timed"]


class Score(Row):
    """How one prediction did: a status, and speedups with their interval where it was timed."""

    table: ClassVar[str] = "scores"
    key_columns: ClassVar[tuple[str, ...]] = ("prediction_id", "run_id")

    prediction_id: str
    """The prediction, a key of `predictions`."""
    run_id: str
    """The evaluation."""
    instance_id: str
    """The instance of the prediction."""
    repo: str = ""
    """`owner/name`."""
    model: str
    """With an agent: `agent/model`, since their attempts are not another agent's."""
    sample: int
    """Which of the model's attempts, from 0."""
    status: ScoreStatus
    """`ok`: timed and correct. `error`, `timeout`: in a session; `not_timed`: through no fault of the patch."""
    reason: str = ""
    """Why the status is not `ok`, or why a success does not count."""
    correct: bool | None
    """Whether it gives base's results and passes the repository's own tests; None where that was not seen."""
    speedup_base: float | None
    """Against base, aggregated over the instance's perf tests."""
    speedup_human: float | None
    """Against the human's patch; 1 means as fast."""
    ci_low: float | None
    """Of `speedup_human`."""
    ci_high: float | None
    """Upper end of the interval of `speedup_human`."""
    base_ci_low: float | None = None
    """Of `speedup_base`."""
    base_ci_high: float | None = None
    """Upper end of the interval of `speedup_base`."""
    opt_base: Literal["yes", "no", "inconclusive"]
    """Correct and at least MIN_SPEEDUP times as fast as base?"""
    opt_human: Literal["yes", "no", "inconclusive"]
    """Correct, at least OPT_THRESHOLD of the human's speedup, and faster than base? This is what Opt@K counts."""
    session_id: str | None = None
    """The session that timed it; None if there were several, one per perf test."""
    flags: list[str] = Field(default_factory=list)
    """All flags of its comparisons, and `mixed_machines`; docs/troubleshooting.md says what each one means."""
    weakly_checked: bool = True
    """Of its instance: whether none of the repository's own tests, run here, executes a changed function."""


class OptAtK(Row):
    """Opt@K of one model: the share of instances where at least one of K samples reaches the human."""

    table: ClassVar[str] = "opt_at_k"
    key_columns: ClassVar[tuple[str, ...]] = ("run_id", "model", "k")

    run_id: str
    """The evaluation."""
    model: str
    """As in `scores`: with an agent `agent/model`."""
    k: int
    """How many attempts one may choose the best of."""
    opt: float | None
    """`inconclusive` counts as no. None where it is not known: `reason` says why."""
    ci_low: float | None
    """Of `opt`, 95 %, as a statement about the instances that such instances come from."""
    ci_high: float | None
    """Upper end of the interval of `opt`."""
    opt_if_inconclusive_no: float | None
    """`opt`, under the name of what it assumes."""
    opt_if_inconclusive_yes: float | None
    """Opt@K if every `inconclusive` were a success."""
    n_instances: int
    """Instances that the row is about: those with K answered attempts, and those without any attempt of the model."""
    n_samples: int
    """Answered attempts at them."""
    n_unattempted: int = 0
    """Of `n_instances`, how many the model did not attempt; they count as not solved."""
    n_left_out: int = 0
    """Instances that the model attempted, with fewer than K answered attempts: nothing is said about them."""
    n_missing: int = 0
    """Attempts that would have to be there for every instance to have as many as the one with the most."""
    n_not_timed: int = 0
    """Attempts without an answer through no fault of theirs, at all instances."""
    reason: str = ""
    """Why there is no Opt@K."""
    opt_checked: float | None = None
    """`opt` without the instances that are `weakly_checked`."""
    checked_ci_low: float | None = None
    """Lower end of the interval of `opt_checked`."""
    checked_ci_high: float | None = None
    """Upper end of the interval of `opt_checked`."""
    n_checked: int = 0
    """Instances behind `opt_checked`."""
