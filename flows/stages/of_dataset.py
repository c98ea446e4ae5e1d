"""What the stages of `build_dataset` share: their parameters, the run they belong to, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import runtime

from configs.models import Config
from flows.engine.flows import Stage
from flows.engine.retrying import Retry
from flows.engine.run import Run
from flows.engine.span import Span
from flows.parameters import ConfigSource, Overrides, RetryWords, RunName, StorePlace, read_config, repository_of
from storage.ids import content_hash
from storage.store import Store
from tasks.llm import budget, stopping
from tasks.reporting.tables import STAGES

Body = Callable[[Run, Config], None]


def dataset_stage(stage: str) -> Callable[[Body], Stage]:
    """Make a stage's body, which reads its inputs from the run's funnel and the store, a flow that can be run alone."""

    def decorate(body: Body) -> Stage:
        def run_stage(
            config: ConfigSource,
            store: StorePlace = None,
            settings: Overrides = [],  # noqa: B006  Prefect copies it
            run_id: RunName = None,
            retry: RetryWords = [],  # noqa: B006
        ) -> Any:
            with dataset_run(config, store, settings, run_id, retry) as (run, loaded):
                span = Span(run, stage)
                body(run, loaded)
                return span.ended(flow)

        flow = body.__name__.replace("_", "-")
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(run_stage, name, getattr(body, name))
        return Stage(
            run_stage, stage, lambda config, **_: (stage, repository_of(config)), name=flow,
            flow_run_name=lambda: f"{stage} {_repository()}",
        )  # fmt: skip

    return decorate


@contextmanager
def dataset_run(
    config: Config | str | Path,
    store: str | Path | None,
    settings: Sequence[str] = (),
    run_id: str | None = None,
    retry: Sequence[str] = (),
) -> Iterator[tuple[Run, Config]]:
    """The run that calls, or a new one, which is closed at the end; and the configuration, read.

    Without a `run_id` a run is named by what is decided, so that stages that run alone find what came before them.
    Raises ConfigError, and UserError for a word of `retry` that means nothing.
    """
    loaded = read_config(config, settings)
    opened, name = Store(store or loaded.store), run_id or default_run_id(loaded)
    if (running := Run.under_way(opened, name)) is not None:
        yield running, loaded
        return
    with Run(opened, name, Retry(retry, (*STAGES, "checkouts", "statements"))).entered() as run:
        budget.reset(opened.root)
        stopping.go_on()
        yield run, loaded


def default_run_id(config: Config) -> str:
    """`build-<8 hex digits>` from all that a configuration decides, wherever the store is; a sweep is another run."""
    return f"build-{content_hash(config.model_dump(mode='json', exclude={'store', 'sweep'}), length=8)}"


def _repository() -> str:
    return repository_of((runtime.flow_run.parameters or {}).get("config"))
