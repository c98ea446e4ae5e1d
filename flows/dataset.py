"""Build a benchmark dataset: mine a repository, write perf tests, time base against human, keep what holds."""

from __future__ import annotations

from typing import Any, Literal

from prefect import runtime

from configs.models import Config
from flows.engine.ending import state_of
from flows.engine.flows import recipe
from flows.engine.run import Run
from flows.parameters import ConfigSource, Overrides, RetryWords, RunName, StorePlace, repository_of
from flows.stages.apis import reach_apis
from flows.stages.environments import build_arms
from flows.stages.handed_on import candidates, tested
from flows.stages.instances import instances_of, make_instances, write_statements
from flows.stages.mining import classify, fetch_pull_requests, mine, wants_pull_requests
from flows.stages.of_dataset import dataset_run
from flows.stages.perftests import write_perf_tests
from flows.stages.suites import record_suites
from flows.stages.timing import time_commits
from flows.summaries import DatasetSummary
from tasks.reporting.tables import funnel_table
from tasks.timing.gpu import gpus_for
from tasks.withdrawing import withdraw

Until = Literal["mining", "apis", "perftests", "timing", "instances"]

STAGES = {
    "mining": (mine, fetch_pull_requests, classify),
    "apis": (reach_apis,),
    "perftests": (build_arms, write_perf_tests),
    "timing": (time_commits,),
    "instances": (record_suites, make_instances, write_statements),
}
"""Where `until` stops -> the stages up to there, in their order."""
ALONE = {stage.stage: stage for stages in STAGES.values() for stage in stages}
"""Stages by name: each is a flow of its own."""


@recipe("build-dataset", lambda: f"build {repository_of((runtime.flow_run.parameters or {}).get('config'))}")
def build_dataset(
    config: ConfigSource,
    store: StorePlace = None,
    until: Until = "instances",
    run_id: RunName = None,
    settings: Overrides = [],  # noqa: B006  Prefect copies it
    retry: RetryWords = [],  # noqa: B006
) -> Any:
    """Turn one configuration into benchmark instances in the store.

    `config` is a `Config`, the path of a YAML file or its text; `settings` override single values, `store` the one it
    names; `until` stops after that stage; `retry` names what is made again though it was done.
    Stages run one after the other, because timing wants a quiet machine; the items of a stage run side by side.
    Everything that was done before, for the same content and the same code, comes from the store's cache.

    Raises ConfigError for a bad file, MiningError if the repository cannot be had, GpuError if a GPU is wanted and not
    there. An item that fails is recorded in the funnel and in `DatasetSummary.failures`, and does not stop the others;
    the flow's run then ends as Failed, and Python gets the summary all the same. Instances that upstream reverted, or
    that a later timing finds too slow, are withdrawn.
    """
    with dataset_run(config, store, settings, run_id, retry) as (run, loaded):
        if until in ("timing", "instances"):
            gpus_for(loaded.timing, loaded.sandbox)  # rather now than after hours
        for group, stages in STAGES.items():
            for stage in stages:
                if _is_wanted(stage, loaded):
                    stage(config=loaded, store=run.store.root, run_id=run.run_id)
            if group == until:
                break
        run.funnel.write()
        withdraw(run.store, loaded.repository.name, [run.run_id])
        run.publish_report()
        summary = _summary(run, loaded, until)
        run.publish_table("funnel", funnel_table(run.rows()), f"What each stage kept and dropped: {summary.repo}")
        return state_of(summary)


def _is_wanted(stage: Any, config: Config) -> bool:
    if stage is fetch_pull_requests:
        return wants_pull_requests(config)
    return stage is not classify or config.llm is not None


def _summary(run: Run, config: Config, until: Until) -> DatasetSummary:
    """Of what this run was to do: the funnel also holds what earlier ones did."""
    wanted = list(STAGES)[: list(STAGES).index(until) + 1]
    tests = tested(run, config) if "perftests" in wanted else {}
    made = instances_of(run, config) if "instances" in wanted else {}
    return DatasetSummary(
        run_id=run.run_id, store=run.store.root, executed=run.executed, cached=run.cached, failures=run.failures(),
        known=run.funnel.known(), missing=run.missing, waiting=run.waiting(), repo=config.repository.name,
        head_sha=run.memory.get("head_sha", ""), considered=run.memory.get("considered", 0),
        candidates=len(candidates(run, config)), perf_tests=sum(map(len, tests.values())),
        instances=sorted(made.values()),
    )  # fmt: skip
