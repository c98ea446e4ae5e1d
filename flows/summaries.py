"""What flows return: small typed summaries. The rows themselves are in the store."""

from __future__ import annotations

from pydantic import BaseModel

from storage.tables import DatasetVersion, OptAtK, Withdrawal


class Summary(BaseModel):
    """Common to all flows."""

    run_id: str
    store: str
    executed: int
    """Task runs that did work."""
    cached: int
    """Task runs whose result came from the store's cache."""
    failures: dict[str, str] = {}
    """`stage item` -> reason, of items that met a fault (not of items that were judged and dropped)."""

    missing: list[str] = []
    """What was wanted and was not made at all, each with the reason."""

    known: dict[str, int] = {}
    """Of `failures`, those that were the same in several runs before: in how many on end."""

    @property
    def lacking(self) -> list[str]:
        """What makes a run a failed one though no item met a fault."""
        return self.missing

    @property
    def exit_code(self) -> int:
        """0 if nothing failed and nothing is lacking, else 1; the state of the flow's run says the same."""
        return 1 if self.failures or self.lacking else 0


class StageSummary(Summary):
    """What one stage did."""

    stage: str
    waiting: int = 0
    """Items whose request to a model is open for a batch (`llm.batch`)."""


class DatasetSummary(Summary):
    """What `build_dataset` did."""

    repo: str
    head_sha: str
    considered: int
    """Changes that mining looked at."""
    candidates: int
    """Changes that went on to the stages after mining."""
    perf_tests: int
    """Perf tests that passed the gates."""
    instances: list[str]
    """Ids of the instances that hold."""
    waiting: int = 0
    """Items whose request to a model is open for a batch (`llm.batch`)."""


class SweepStep(BaseModel):
    """A change at which a test steps down in time."""

    sha: str
    n_changes: int
    """1; more where no commit in front of it could be timed, so that it is one of so many."""
    test: str
    """The test with the largest step."""
    ratio: float
    ci_low: float
    ci_high: float
    subject: str
    mined: bool
    """Whether mining, by words and diff, keeps it, too."""
    reason: str
    """Why mining keeps it or not."""


class SweepSummary(Summary):
    """What `sweep` did."""

    repo: str
    windows: int
    changes: int
    """Changes in the windows that touch code."""
    comparisons: int
    """Sessions: every pair of commits with one test."""
    timed_s: float
    """Wall time of all sessions, also of those that an earlier run held, in seconds."""
    steps: list[SweepStep]
    """Largest first."""
    null: bool = False
    false_steps: int = 0
    """With `null`: comparisons of a commit with itself that said `yes`."""


class RefreshSummary(Summary):
    """What `refresh` did."""

    builds: dict[str, DatasetSummary]
    """Configuration -> what its build did; without those that could not be built."""
    versions: list[DatasetVersion] = []
    """New ones: one per store, if something changed there."""
    withdrawn: list[Withdrawal] = []
    """What was withdrawn or returned."""
    published: list[str] = []


class EvaluationSummary(Summary):
    """What `evaluate` did."""

    instances: list[str]
    """Ids of those with a prediction: what Opt@K is about."""
    unattempted: int = 0
    """Instances of the dataset without any prediction."""
    predictions: int
    statuses: dict[str, int]
    """Score status -> how many predictions have it."""
    opt_at_k: list[OptAtK]
    """One row per model and k: the rows of table `opt_at_k`."""
    problems: list[str] = []
    """Lines of the dataset or of prediction files that could not be used, with file, line and reason."""
    forgiven: int = 0
    """Patches that git does not take as they are; the funnel says of each how it was read (stage `checkouts`)."""

    @property
    def lacking(self) -> list[str]:
        """Input lines that were not used, predictions without an answer."""
        return [*self.missing, *self.problems]


class AgentsSummary(Summary):
    """What `run_agents` did."""

    attempts: int
    """All that are wanted."""
    attempt_ids: list[str]
    made: int
    """In this run."""
    before: int
    """Which the store had already."""
    statuses: dict[str, int]
    """Status -> how many attempts have it."""
    cost_usd: float
    """Of all that have an answer, by the gateway's count."""
    cost_now_usd: float
    """Of those that were made in this run."""
    cost_lost_usd: float = 0.0
    """Of earlier times of these attempts that left no answer."""
    predictions: str = ""
    """File for `isobench evaluate`; empty if there are none, or the store is no folder."""
    problems: list[str] = []
    """Lines of the dataset that could not be used, and pairs of agent and model that cannot run together."""
