"""From timed perf tests to instances and what agents are told about them."""

from __future__ import annotations

from configs.models import Config
from flows.engine.run import Run
from flows.stages.handed_on import tested
from flows.stages.of_dataset import dataset_stage
from storage.scripts import perf_tests_of
from storage.tables import Commit, Instance, Suite
from tasks.environments.repair.tries import settings_in_use
from tasks.llm.background import pull_request_digests
from tasks.scoring.stage import make_instance
from tasks.statements.stage import write_statement


@dataset_stage("instances")
def make_instances(run: Run, config: Config) -> None:
    """Make an instance of every commit that a perf test proves faster.

    A commit with a perf test that could not be timed, through a fault, waits for that: over fewer tests its instance
    would be another one.
    """
    repo = config.repository.name
    timed, recorded = run.funnel.stage("timing"), run.funnel.stage("suites")
    suite_ids = {sha: row.made[0] for sha, row in recorded.items() if row.made}
    suites = {row.suite_id: row for row in run.store.rows(Suite, repo)} if suite_ids else {}
    used, items = settings_in_use(run.store, config), {}
    for sha, test_ids in tested(run, config).items():
        untimed = [test for test in test_ids if test not in timed or not timed[test].made]
        if untimed:
            reason = f"not_timed: {len(untimed)} of its {len(test_ids)} perf tests met a fault"
            run.note("instances", sha, "dropped", reason, repo=repo)
            continue
        suite = suites.get(suite_ids.get(sha, ""))
        items[sha] = {
            "repository": config.repository, "environment": used.get(sha, config.environment),
            "scoring": config.scoring, "sha": sha,
            "session_ids": [timed[test].made[0] for test in test_ids],
            "suite_id": suite.suite_id if suite else None, "suite": suite.model_dump_json() if suite else "",
        }  # fmt: skip
    for sha, made in run.map("instances", make_instance, items, repo=repo).items():
        ids = [made.instance_id] if made.instance_id else []
        run.note("instances", sha, "kept" if ids else "dropped", made.reason, repo=repo, made=ids)


@dataset_stage("statements")
def write_statements(run: Run, config: Config) -> None:
    """Write the problem statements of instances; only those that fail or wait are noted, as each instance gets one."""
    repo = config.repository.name
    ids = instances_of(run, config)
    rows = {row.instance_id: row for row in run.store.rows(Instance, repo, instance_id=list(ids.values()))}
    discussions = pull_request_digests(repo, run.store) if config.llm else {}
    numbers = {row["sha"]: row["pr_number"] for row in run.store.frame(Commit, repo, ["pr_number"]).to_dicts()}
    items = {
        sha: {
            "repository": config.repository, "sha": sha, "llm": config.llm,
            "test_ids": [test.test_id for test in perf_tests_of(rows[key])],
            "discussion": discussions.get(numbers.get(sha) or 0, ""),
        }
        for sha, key in ids.items()
    }  # fmt: skip
    run.map("statements", write_statement, items, repo=repo)


def instances_of(run: Run, config: Config) -> dict[str, str]:
    """Sha -> the instance that this run's configuration makes of it."""
    made = run.funnel.stage("instances")
    chosen = (sha for sha in tested(run, config) if sha in made and made[sha].outcome == "kept")
    return {sha: made[sha].made[0] for sha in chosen}
