"""What the commands do: load, run the flow with progress, print the outcome, choose the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

import typer

from configs.errors import UserError
from flows.commands.shares import opt_rows
from flows.commands.terminal import Bars, complain, note, say, table, warn
from flows.engine.server import CONSOLE_LEVEL, prefect_server, server_folder

if TYPE_CHECKING:
    from configs.models import Config, SandboxConfig
    from flows.dataset import Until
    from flows.engine.flows import Stage
    from flows.summaries import AgentsSummary, DatasetSummary, EvaluationSummary, StageSummary, Summary

DEMO = Path(__file__).parents[2] / "configs" / "demo"
DEMO_K = 3


@contextmanager
def running(store: str, verbose: bool, asks: bool = False) -> Iterator[None]:
    """Everything that a flow needs around it: secrets, a Prefect API, progress bars. `asks`: models, in a first run."""
    if verbose:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    else:  # failures are listed at the end, in our words; the server has the log
        os.environ.setdefault(CONSOLE_LEVEL, "CRITICAL")
    from configs.secrets import export_secrets

    export_secrets()
    with prefect_server(server_folder(store), _load_client if asks else None):
        from flows.engine.progress import watched_by

        with watched_by(Bars()):
            yield


def _load_client() -> None:
    from tasks.llm.client import load_litellm

    load_litellm()


def require(sandbox: SandboxConfig) -> None:
    """Say at once, and not per item after retries, that there is no engine."""
    from tasks.sandbox import open_sandbox
    from tasks.sandbox.models import SandboxError

    try:
        open_sandbox(sandbox).close()
    except SandboxError as error:
        raise UserError(f"the {sandbox.kind} sandbox cannot be used: {error}. `isobench doctor` says more") from error


def run_demo(store: str, sandbox: Literal["local", "docker"] | None, verbose: bool, with_agents: bool = False) -> int:
    """Build the demo dataset, and evaluate its predictions, or those of an agent that is run with scripted models."""
    from configs.loading import load_config

    overrides = [f"store={store}", *([f"sandbox.kind={sandbox}"] if sandbox else [])]
    config = load_config(DEMO / "demo.yaml", overrides)
    require(config.sandbox)
    if with_agents:
        from flows.commands.agents import must_confine

        must_confine(config.sandbox)
    with running(store, verbose, asks=True):
        from flows.dataset import build_dataset
        from flows.evaluation import evaluate
        from tasks.environments.builds.building import not_isolated

        built = build_dataset(config, run_id="demo-dataset")
        print_dataset(built)
        # what it evaluates is what it has just made of files that came with isobench
        box = config.sandbox.model_copy(update={"trust": True}) if not_isolated(config.sandbox) else config.sandbox
        made = [_demo_agents(config)] if with_agents else []
        files = [made[0].predictions] if made else sorted(map(str, (DEMO / "predictions").glob("*.jsonl")))
        scored = evaluate(
            store, files, 1 if made else DEMO_K, run_id="demo-agents" if made else "demo", sandbox=box,
            timing=config.timing, scoring=config.scoring, suite=config.suite,
        )  # fmt: skip
        _print_evaluation(scored)
    return finish(built, *made, scored)


def _demo_agents(config: Config) -> AgentsSummary:
    """Run mini-swe-agent on the demo's instances, with models that a server of ours on the loopback plays."""
    from flows.agents import run_agents
    from flows.commands.agents import print_agents
    from storage.store import Store
    from tasks.agents.demo import AGENT, demo_config, demo_scripts
    from tasks.agents.scripted import ScriptedModel

    note(f"Installing {AGENT}, unless it is there, and running it with scripted models: nothing is sent anywhere")
    with ScriptedModel(demo_scripts(Store(config.store))) as model:
        summary = run_agents(demo_config(config.store, model.url, config.sandbox))
    print_agents(summary)
    if not summary.predictions:
        raise UserError(f"no attempt of {AGENT} has an answer: {'; '.join(summary.failures.values())}")
    return summary


def run_build(
    config: Path,
    store: str | None,
    settings: list[str],
    verbose: bool,
    until: Until,
    only: str | None = None,
    retry: Sequence[str] = (),
) -> int:
    """Run `build_dataset` up to a stage, or one stage alone."""
    from configs.loading import load_config

    loaded = load_config(config, [*settings, *([f"store={store}"] if store else [])])
    if until not in ("mining", "apis"):
        require(loaded.sandbox)
        loaded = loaded.model_copy(update={"sandbox": _trusted_build(config, loaded)})
    with running(loaded.store, verbose, asks=loaded.llm is not None):
        from flows.dataset import ALONE, build_dataset

        if only is not None:
            return _finish_stage(_alone(only, ALONE)(loaded, retry=list(retry)))
        summary = build_dataset(loaded, until=until, retry=list(retry))
    print_dataset(summary)
    if summary.waiting:
        named = quote(str(config))
        say(f"{summary.waiting} items wait for an answer: isobench batch export {named} requests.jsonl")
    return finish(summary)


def run_evaluation(
    dataset: str,
    predictions: Sequence[Path],
    k: int,
    run_id: str | None,
    timeout_s: float | None,
    tests_s: float | None,
    store: str | None,
    sandbox: Literal["local", "docker"] | None,
    trust: bool,
    verbose: bool,
    only: str | None = None,
    retry: Sequence[str] = (),
) -> int:
    """Run `evaluate`, or one stage of it; on a terminal the user is asked for what needs their trust."""
    from configs.models import SandboxConfig, SuiteConfig, TimingConfig
    from storage.exchange.read import is_file

    missing = [str(path) for path in predictions if not path.is_file()]
    if missing:
        raise UserError(f"no such prediction file: {', '.join(missing)}")
    results = store or ("./store" if is_file(dataset) else dataset)
    box = SandboxConfig(kind=sandbox or "local", trust=trust)
    require(box)
    box = _trusted_evaluation(dataset, results, box)
    timing = TimingConfig() if timeout_s is None else TimingConfig(call_timeout_s=timeout_s)
    suite = SuiteConfig() if tests_s is None else SuiteConfig(check_s=tests_s)
    with running(results, verbose):
        from flows.evaluation import ALONE, evaluate

        given: dict[str, Any] = {
            "dataset": dataset, "predictions": predictions, "k": k, "store": results, "run_id": run_id, "sandbox": box,
            "timing": timing, "suite": suite, "retry": list(retry),
        }  # fmt: skip
        if only is not None:
            return _finish_stage(_alone(only, ALONE)(**given))
        summary = evaluate(**given)
    _print_evaluation(summary)
    return finish(summary)


def _alone(name: str, stages: Mapping[str, Stage]) -> Stage:
    if name not in stages:
        raise UserError(f"--only {name}: expected one of {', '.join(stages)}")
    return stages[name]


def _finish_stage(summary: StageSummary) -> int:
    """Print the funnel of one stage, and what failed; returns the exit code."""
    from storage.store import Store
    from tasks.reporting.tables import funnel_table

    rows = [row for row in funnel_table(Store(summary.store), summary.run_id) if row["stage"] == summary.stage]
    table(f"Funnel: {summary.stage}", rows)
    return finish(summary)


def _trusted_build(file: Path, config: Config) -> SandboxConfig:
    from flows.trust import build_lines
    from tasks.environments.builds.building import not_isolated

    unheld = bool(not_isolated(config.sandbox))
    return agreed(file, build_lines(config.repository.clone_url, config.environment) if unheld else [], config.sandbox)


def _trusted_evaluation(dataset: str, store: str, sandbox: SandboxConfig) -> SandboxConfig:
    from flows.trust import needs_trust
    from storage.exchange.read import read_instances
    from storage.store import Store

    if sandbox.trust:
        return sandbox
    instances, _ = read_instances(dataset)
    return agreed(dataset, needs_trust(instances, dataset, sandbox, Store(store)), sandbox)


def agreed(source: str | Path, asked: list[str], sandbox: SandboxConfig) -> SandboxConfig:
    """The sandbox, with the user's consent if any is needed. Raises UserError if they do not give it."""
    from flows.trust import must_be_trusted, told

    if not asked:
        return sandbox
    if sys.stdin.isatty():
        warn(told(source, asked))
        if typer.confirm("Do you trust it, and let it run?", err=True):
            return sandbox.model_copy(update={"trust": True})
    raise must_be_trusted(source, asked)


def print_dataset(summary: DatasetSummary) -> None:
    """Print the funnel and the instances."""
    from storage.store import Store
    from tasks.reporting.tables import funnel_table, instances_table

    store = Store(summary.store)
    table(f"Funnel: {summary.repo} at {summary.head_sha[:10]}", funnel_table(store, summary.run_id))
    made = [row for row in instances_table(store) if row["instance_id"] in summary.instances]
    if made:
        table(
            "Instances: how much faster the human's commit is, with its 95 % interval",
            [
                {
                    "instance": row["instance_id"],
                    "speedup": row["speedup"],
                    "interval": f"{row['ci_low']:.3g} to {row['ci_high']:.3g}",
                    "tests": row["tests"],
                    "own tests": row["own_tests"],
                    "subject": row["subject"],
                }
                for row in made
            ],
        )


def _print_evaluation(summary: EvaluationSummary) -> None:
    for problem in summary.problems:
        warn(problem)
    if summary.forgiven:
        where = """--where "stage = checkouts\""""
        warn(f"{summary.forgiven} patches are not as git takes them; how each was read: isobench show funnel {where}")
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items()))
    say(f"{summary.predictions} predictions on {len(summary.instances)} instances: {statuses}")
    if summary.unattempted:
        total = summary.unattempted + len(summary.instances)
        say(f"{summary.unattempted} of {total} instances have no prediction at all: Opt@K says nothing about them")
    table("Opt@K: share of instances where one of K samples reaches the human", opt_rows(summary.opt_at_k))


def finish(*summaries: Summary) -> int:
    """Print where the results are and what failed; returns the exit code."""
    executed, cached = sum(s.executed for s in summaries), sum(s.cached for s in summaries)
    page = Path(summaries[0].store) / "report" / "index.html"
    if page.is_file():
        say(f"Report: {page}")
    say(f"Task runs: {executed} executed, {cached} from the cache. Store: {summaries[0].store}")
    for summary in summaries:
        for item, reason in summary.failures.items():
            times = summary.known.get(item)
            complain(f"{item}: {reason}" + (f" (known: the same in {times} runs)" if times else ""))
        for what in summary.missing:
            complain(what)
    return max(summary.exit_code for summary in summaries)
