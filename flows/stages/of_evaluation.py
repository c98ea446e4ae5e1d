"""What the stages of `evaluate` share: what is evaluated and how, the run they belong to, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from prefect import runtime
from pydantic import BaseModel

from configs.models import SandboxConfig, ScoringConfig, SuiteConfig, TimingConfig
from flows.engine.flows import Stage
from flows.engine.retrying import Retry
from flows.engine.run import Run
from flows.engine.span import Span
from flows.parameters import Dataset, Files, RetryWords, RunName, StorePlace
from flows.trust import must_be_trusted, needs_trust
from storage.exchange.read import read_instances
from storage.ids import content_hash
from storage.store import Store
from storage.tables import Instance, Prediction
from tasks.agents.predictions import file_digest

STAGES = (
    "predictions", "environments", "checkouts", "suites", "timing", "scores", "opt_at_k", "report",
)  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and how."""

    instances: list[Instance]
    files: list[str]
    k: int
    sandbox: SandboxConfig
    timing: TimingConfig
    scoring: ScoringConfig
    suite: SuiteConfig
    problems: list[str] = field(default_factory=list)
    """Lines of the dataset that could not be used."""

    def attempts(self, run: Run) -> dict[str, list[Prediction]]:
        """Instance -> its predictions, in the order of the files: what the stage `predictions` loaded."""
        row = run.funnel.row("predictions", "predictions")
        ids = row.made if row is not None else []
        if run.memory.get("attempts", ([], {}))[0] != ids:
            rows = {each.prediction_id: each for each in run.store.rows(Prediction, prediction_id=ids)}
            found: dict[str, list[Prediction]] = {}
            for key in ids:
                found.setdefault(rows[key].instance_id, []).append(rows[key])
            run.memory["attempts"] = ids, found
        return dict(run.memory["attempts"][1]) if ids else {}

    def tried(self, run: Run) -> list[Instance]:
        """Instances with a prediction."""
        attempts = self.attempts(run)
        return [row for row in self.instances if row.instance_id in attempts]


Body = Callable[[Run, Evaluation], None]


def evaluation_stage(stage: str) -> Callable[[Body], Stage]:
    """Make a stage's body, which reads its inputs from the run's funnel and the store, a flow that can be run alone."""

    def decorate(body: Body) -> Stage:
        def run_stage(
            dataset: Dataset,
            predictions: Files,
            k: int = 1,
            store: StorePlace = None,
            run_id: RunName = None,
            sandbox: SandboxConfig | None = None,
            timing: TimingConfig | None = None,
            scoring: ScoringConfig | None = None,
            suite: SuiteConfig | None = None,
            retry: RetryWords = [],  # noqa: B006  Prefect copies it
        ) -> Any:
            chosen = (sandbox, timing, scoring, suite)
            with evaluation_run(dataset, predictions, k, store, run_id, *chosen, retry) as (run, evaluation):
                span = Span(run, stage)
                body(run, evaluation)
                return span.ended(flow)

        flow = body.__name__.replace("_", "-")
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(run_stage, name, getattr(body, name))
        return Stage(run_stage, stage, lambda **_: (stage,), name=flow, flow_run_name=lambda: f"{stage} {run_label()}")

    return decorate


def run_label() -> str:
    """What names of runs say of an evaluation: its name, if it has one, or its dataset."""
    given = runtime.flow_run.parameters or {}
    return str(given.get("run_id") or given.get("dataset") or "")


@contextmanager
def evaluation_run(
    dataset: str | Path,
    predictions: Sequence[str | Path],
    k: int,
    store: str | Path | None,
    run_id: str | None,
    sandbox: SandboxConfig | None,
    timing: TimingConfig | None,
    scoring: ScoringConfig | None,
    suite: SuiteConfig | None,
    retry: Sequence[str] = (),
) -> Iterator[tuple[Run, Evaluation]]:
    """The run that calls, or a new one, which is closed at the end; and what it evaluates.

    Raises NotTrusted, which lists what would run, where the dataset asks for what no sandbox holds.
    """
    results = Store(store or (dataset if Path(dataset).is_dir() or "://" in str(dataset) else "./store"))
    if run_id and (running := Run.under_way(results, run_id)) is not None:
        yield running, running.memory["evaluation"]
        return
    instances, problems = read_instances(dataset)
    files = [str(path) for path in predictions]
    settings = sandbox or SandboxConfig(), timing or TimingConfig(), scoring or ScoringConfig(), suite or SuiteConfig()
    evaluation = Evaluation(instances, files, k, *settings, problems)
    name = run_id or default_run_id(instances, files, *settings)
    if not settings[0].trust and (asked := needs_trust(instances, dataset, settings[0], results)):
        raise must_be_trusted(dataset, asked)
    with Run(results, name, Retry(retry, STAGES)).entered() as run:
        run.memory["evaluation"] = evaluation
        yield run, evaluation


def default_run_id(instances: Sequence[Instance], files: Sequence[str | Path], *settings: BaseModel) -> str:
    """`eval-<8 hex digits>` from what is evaluated and how, so that an identical evaluation is the same run.

    Where files lie, or the repository's clone, and the order of the instances do not count; the order of the prediction
    files does, since it numbers the samples. Raises DatasetError if a prediction file cannot be read.
    """
    rows = sorted(
        (row.model_dump(mode="json", exclude={"repo_url"}) for row in instances), key=itemgetter("instance_id")
    )
    return f"eval-{content_hash(rows, [file_digest(path) for path in files], settings, length=8)}"
