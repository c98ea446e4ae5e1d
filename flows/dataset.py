"""Build a benchmark dataset: mine a repository, write perf tests, time base against human, keep what holds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prefect import flow

from configs.loading import load_config
from configs.models import Config
from flows.engine.run import Run, first_few
from flows.engine.task_runner import task_runner
from flows.stages.checkouts import ArmWanted, build_environments, check_out_arms, clone_of
from flows.stages.suites import record_suites
from flows.stages.timing import time_all
from flows.summaries import DatasetSummary
from storage.ids import content_hash
from storage.store import Store
from storage.tables import Commit, PerfTest
from tasks.apis.stage import find_apis
from tasks.code.python import source_text
from tasks.llm import budget, stopping
from tasks.llm.background import pull_request_digests
from tasks.mining.stage import classify_commit, fetch_pull_request, mine_repository
from tasks.perftests.stage import write_perf_tests
from tasks.reporting.tables import funnel_table
from tasks.sandbox.models import Arm
from tasks.scoring.stage import make_instance
from tasks.statements.stage import write_statement
from tasks.timing.gpu import gpus_for
from tasks.timing.models import Session

Stage = Literal["mining", "apis", "perftests", "timing", "instances"]


@flow(name="build-dataset", task_runner=task_runner(), validate_parameters=False)
def build_dataset(
    config: Config | str | Path,
    store: str | Path | None = None,
    until: Stage = "instances",
    run_id: str | None = None,
) -> DatasetSummary:
    """Turn one configuration into benchmark instances in the store.

    `config` is a `Config` or the path of a YAML file; `store` overrides the one it names; `until` stops after that
    stage.
    Stages run one after the other, because timing wants a quiet machine; the items of a stage run side by side.
    Everything that was done before, for the same content and the same code, comes from the store's cache.

    Raises ConfigError for a bad file, MiningError if the repository cannot be had, GpuError if a GPU is wanted and not
    there. An item that fails is recorded in the funnel and in `DatasetSummary.failures`, and does not stop the others.
    """
    if not isinstance(config, Config):
        config = load_config(Path(config))
    decided = config.model_dump(mode="json", exclude={"store"})
    run = Run(Store(store or config.store), run_id or f"build-{content_hash(decided, length=8)}")
    budget.reset(run.store.root)
    stopping.go_on()
    try:
        return _build(config, run, until)
    finally:
        run.close()


def _build(config: Config, run: Run, until: Stage) -> DatasetSummary:
    repository, repo = config.repository, config.repository.name
    if until in ("timing", "instances"):
        gpus_for(config.timing, config.sandbox)  # rather now than after hours
    clone = clone_of(run, repository)
    mined = run.call(
        "mining", mine_repository, repo=repo, repository=repository, mining=config.mining, head_sha=clone.head_sha
    )
    summary = DatasetSummary(
        run_id=run.run_id, store=run.store.root, executed=0, cached=0, repo=repo, head_sha=clone.head_sha,
        considered=mined.considered if mined else 0, candidates=0, perf_tests=0, instances=[],
    )  # fmt: skip
    if mined:
        commits = _candidates(config, run, mined.kept)
        summary.candidates = len(commits)
        if until != "mining":
            _prove(config, run, until, commits, summary)
    run.publish_report()
    summary.executed, summary.cached, summary.failures = run.executed, run.cached, run.failures()
    summary.missing = run.missing
    summary.waiting = run.waiting()
    run.publish_table("funnel", funnel_table(run.rows()), f"What each stage kept and dropped: {repo}")
    return summary


def _candidates(config: Config, run: Run, kept: list[str]) -> list[Commit]:
    """Mined changes that go on, best first, after the model (if there is one) has had its say."""
    repo = config.repository.name
    judged = run.store.frame(Commit, repo, columns=("score", "reason"))  # of all changes: patches are for the chosen
    going = set(kept)
    for sha, reason in judged.select("sha", "reason").iter_rows():
        if sha not in going:
            run.note("mining", sha, "dropped", reason, repo=repo)
    scores = dict(judged.select("sha", "score").iter_rows())
    limit = config.mining.max_candidates or len(kept)
    for sha in kept[:limit]:
        # its row may by now hold the reason of a model, which is the next stage's
        run.note("mining", sha, "kept", f"score {scores[sha]:g}", repo=repo)
    for sha in kept[limit:]:
        run.note("mining", sha, "dropped", f"max_candidates: {limit}", repo=repo)
    chosen = kept[:limit]
    commits = {commit.sha: commit for commit in run.store.rows(Commit, repo, sha=chosen)}
    _fetch_pull_requests(config, run, [commits[sha] for sha in chosen])
    if config.llm:
        items = {sha: {"repository": config.repository, "sha": sha, "llm": config.llm} for sha in chosen}
        classified = run.map("classify", classify_commit, items, repo=repo)
        for sha, answer in classified.items():
            run.note("classify", sha, "kept" if answer.kept else "dropped", answer.reason, repo=repo)
        chosen = [sha for sha in chosen if sha in classified and classified[sha].kept]
    return [commits[sha] for sha in chosen]


def _fetch_pull_requests(config: Config, run: Run, commits: list[Commit]) -> None:
    """What was said about the candidates, into `pull_requests`; a candidate goes on without it."""
    repository, repo = config.repository, config.repository.name
    wanted = config.mining.pull_requests
    if not (repository.is_on_github if wanted is None else wanted):
        return
    numbers = {commit.pr_number for commit in commits if commit.pr_number is not None}
    items = {f"#{number}": {"repository": repository, "number": number} for number in sorted(numbers)}
    for key, fetched in run.map("pull_requests", fetch_pull_request, items, repo=repo).items():
        there = fetched.status in ("fetched", "unchanged")
        run.note("pull_requests", key, "kept" if there else "dropped", fetched.reason or fetched.status, repo=repo)


def _prove(config: Config, run: Run, until: Stage, commits: list[Commit], summary: DatasetSummary) -> None:
    """From candidate commits to instances; notes in the funnel what falls out where."""
    repo = config.repository.name
    # in the order of history: neighbours share nearly all of their files, and each version of a file is read once
    in_order = sorted(commits, key=lambda commit: (commit.author_date, commit.sha))
    discussions = pull_request_digests(repo, run.store) if config.llm else {}
    found = run.map(
        "apis",
        find_apis,
        {
            c.sha: {
                "repository": config.repository, "sha": c.sha, "llm": config.llm,
                "discussion": discussions.get(c.pr_number or 0, ""),
            }
            for c in in_order
        },
        repo=repo,
    )  # fmt: skip
    sources = set(config.perf_tests.sources)  # a command needs no API, the project's own tests only changed functions
    without = {c.sha for c in commits if "command" in sources or (sources & {"pytest", "asv"} and c.functions_changed)}
    for sha, apis in found.items():
        run.note("apis", sha, "kept" if apis.apis or sha in without else "dropped", apis.reason, repo=repo)
    commits = [c for c in commits if c.sha in found and (found[c.sha].apis or c.sha in without)]
    if until == "apis":
        return

    commits = _with_scripts(config, run, commits)
    arms = _arms(config, run, commits)
    commits = [c for c in commits if c.sha in arms]
    written = run.map(
        "perftests",
        write_perf_tests,
        {
            c.sha: {
                "repository": config.repository, "perf_tests": config.perf_tests, "llm": config.llm,
                "sandbox": config.sandbox, "sha": c.sha, "base": arms[c.sha]["base"], "human": arms[c.sha]["human"],
                "seeded": _seeded_scripts(config, c.sha), "discussion": discussions.get(c.pr_number or 0, ""),
            }
            for c in commits
        },
        repo=repo,
    )  # fmt: skip
    accepted = {sha: result.accepted for sha, result in written.items() if result.accepted}
    for sha, result in written.items():
        gates = first_few(text.splitlines()[0] for text in result.rejected.values())
        reason = "; ".join(filter(None, [gates, result.reason]))
        run.note("perftests", sha, "kept" if result.accepted else "dropped", reason, repo=repo)
    summary.perf_tests = sum(len(tests) for tests in accepted.values())
    if until == "perftests":
        return

    tests = {test.test_id: test for test in run.store.rows(PerfTest, repo)}
    sessions = time_all(
        run,
        {
            test_id: {
                "repo": repo, "instance_id": None, "arms": list(arms[sha].values()), "test_id": test_id,
                "script": tests[test_id].script, "dialect": tests[test_id].dialect, "timing": config.timing,
                "scoring": config.scoring, "sandbox": config.sandbox,
                "results_compared": tests[test_id].results_compared,
            }
            for sha, test_ids in accepted.items()
            for test_id in test_ids
        },
        {test_id: sha for sha, test_ids in accepted.items() for test_id in test_ids},
        config.scoring,
        repo,
    )  # fmt: skip
    for test_id, session in sessions.items():
        outcome = session.outcome_of("human")
        word = {"yes": "faster", "no": "too_slow", "inconclusive": "inconclusive"}[outcome.verdict]
        reason = f"{word}: {outcome.describe()}" if outcome.status == "ok" else outcome.describe()
        run.note("timing", test_id, "kept" if outcome.verdict == "yes" else "dropped", reason, repo=repo)
    if until == "timing":
        return

    faster = {sha for sha, ids in accepted.items() if any(_is_faster(sessions.get(test_id)) for test_id in ids)}
    suites = record_suites(run, config, [c for c in commits if c.sha in faster], arms)
    made = run.map(
        "instances",
        make_instance,
        {
            sha: {
                "repository": config.repository, "environment": config.environment, "scoring": config.scoring,
                "sha": sha,
                "session_ids": [sessions[test_id].session_id for test_id in test_ids if test_id in sessions],
                "suite_id": suites[sha].suite_id if sha in suites else None,
                "suite": suites[sha].model_dump_json() if sha in suites else "",
            }
            for sha, test_ids in accepted.items()
        },
        repo=repo,
    )  # fmt: skip
    for sha, instance in made.items():
        run.note("instances", sha, "kept" if instance.instance_id else "dropped", instance.reason, repo=repo)
    summary.instances = sorted(instance.instance_id for instance in made.values() if instance.instance_id)
    _state(config, run, {sha: instance.tests for sha, instance in made.items() if instance.instance_id})


def _is_faster(session: Session | None) -> bool:
    return session is not None and session.outcome_of("human").verdict == "yes"


def _state(config: Config, run: Run, instances: dict[str, list[str]]) -> None:
    """Problem statements of instances; only those that fail or wait are noted, as every instance gets one."""
    repo = config.repository.name
    discussions = pull_request_digests(repo, run.store) if config.llm else {}
    numbers = {row["sha"]: row["pr_number"] for row in run.store.frame(Commit, repo, ["pr_number"]).to_dicts()}
    run.map(
        "statements",
        write_statement,
        {
            sha: {
                "repository": config.repository, "sha": sha, "llm": config.llm, "test_ids": test_ids,
                "discussion": discussions.get(numbers.get(sha) or 0, ""),
            }
            for sha, test_ids in instances.items()
        },
        repo=repo,
    )  # fmt: skip


def _arms(config: Config, run: Run, commits: list[Commit]) -> dict[str, dict[str, Arm]]:
    """sha -> its base and human arms, in an environment that both share; without the commits that have none."""
    environments = build_environments(
        run,
        {
            c.sha: {
                "repository": config.repository, "environment": config.environment, "sandbox": config.sandbox,
                "base_sha": c.parent_sha, "head_sha": c.sha, "date": c.author_date,
            }
            for c in commits
        },
        config.repository.name,
    )  # fmt: skip
    wanted = [
        ArmWanted(c.sha, name, config.repository, config.environment, environments[c.sha], sha or "")
        for c in commits
        if c.sha in environments
        for name, sha in (("base", c.parent_sha), ("human", c.sha))
    ]
    arms, failed = check_out_arms(run, config.sandbox, wanted, config.repository.name)
    for (sha, name), reason in failed.items():
        run.note("environments", sha, "dropped", f"{name}: {reason}", repo=config.repository.name)
    return {sha: found for sha, found in arms.items() if {"base", "human"} <= found.keys()}


def _with_scripts(config: Config, run: Run, commits: list[Commit]) -> list[Commit]:
    """Commits that may get a perf test: all, or those that the user wrote one for if there is no other source."""
    if "seeded" not in config.perf_tests.sources:
        return commits
    repo = config.repository.name
    for prefix in config.perf_tests.seeded:
        if not any(commit.sha.startswith(prefix) for commit in commits):
            reason = f"seeded: the commit did not come here, see `isobench show commits --where sha={prefix}`"
            run.note("perftests", prefix, "dropped", reason, repo=repo)
    if set(config.perf_tests.sources) != {"seeded"}:
        return commits
    scripted = tuple(config.perf_tests.seeded)
    for commit in commits:
        if not commit.sha.startswith(scripted):
            run.note("perftests", commit.sha, "dropped", "seeded: no script for this commit", repo=repo)
    return [commit for commit in commits if commit.sha.startswith(scripted)]


def _seeded_scripts(config: Config, sha: str) -> list[str]:
    """Texts of the user's own scripts for a commit, named in the configuration by its sha or a prefix of it."""
    paths = [path for prefix, paths in config.perf_tests.seeded.items() if sha.startswith(prefix) for path in paths]
    return [source_text(Path(path).read_bytes()) for path in paths]
