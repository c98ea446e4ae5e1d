"""Which public functions reach what a candidate changed."""

from __future__ import annotations

from configs.models import Config
from flows.engine.run import Run
from flows.stages.handed_on import candidates
from flows.stages.of_dataset import dataset_stage
from tasks.apis.stage import find_apis
from tasks.llm.background import pull_request_digests


@dataset_stage("apis")
def reach_apis(run: Run, config: Config) -> None:
    """Find and rank the public names that reach each candidate's changed functions."""
    repo = config.repository.name
    sources = set(config.perf_tests.sources)  # a command needs no API, the project's own tests only changed functions
    commits = candidates(run, config)
    without = {c.sha for c in commits if "command" in sources or (sources & {"pytest", "asv"} and c.functions_changed)}
    discussions = pull_request_digests(repo, run.store) if config.llm else {}
    items = {
        c.sha: {
            "repository": config.repository, "sha": c.sha, "llm": config.llm,
            "discussion": discussions.get(c.pr_number or 0, ""),
        }
        for c in commits
    }  # fmt: skip
    for sha, apis in run.map("apis", find_apis, items, repo=repo).items():
        run.note("apis", sha, "kept" if apis.apis or sha in without else "dropped", apis.reason, repo=repo)
