"""From commits and their APIs to perf tests that passed the gates."""

from __future__ import annotations

from pathlib import Path

from configs.models import Config
from flows.engine.funnel import first_few
from flows.engine.run import Run
from flows.stages.environments import arms_of
from flows.stages.handed_on import reached, scripted
from flows.stages.of_dataset import dataset_stage
from storage.tables import Commit
from tasks.code.python import source_text
from tasks.llm.background import pull_request_digests
from tasks.perftests.stage import write_perf_tests as write


@dataset_stage("perftests")
def write_perf_tests(run: Run, config: Config) -> None:
    """Ask the configured sources for perf tests of each commit, and put every one through the gates."""
    repo = config.repository.name
    commits = _with_scripts(run, config, reached(run, config))
    arms = arms_of(run, config, commits)
    discussions = pull_request_digests(repo, run.store) if config.llm else {}
    items = {
        c.sha: {
            "repository": config.repository, "perf_tests": config.perf_tests, "llm": config.llm,
            "sandbox": config.sandbox, "sha": c.sha, "base": arms[c.sha]["base"], "human": arms[c.sha]["human"],
            "seeded": _seeded_scripts(config, c.sha), "discussion": discussions.get(c.pr_number or 0, ""),
        }
        for c in commits
        if c.sha in arms
    }  # fmt: skip
    for sha, result in run.map("perftests", write, items, repo=repo).items():
        gates = first_few(text.splitlines()[0] for text in result.rejected.values())
        reason = "; ".join(filter(None, [gates, result.reason]))
        passed = result.accepted
        run.note("perftests", sha, "kept" if passed else "dropped", reason, repo=repo, made=passed)


def _with_scripts(run: Run, config: Config, commits: list[Commit]) -> list[Commit]:
    """As `scripted`; what falls out is noted, and so are scripts that nobody asks for."""
    if "seeded" not in config.perf_tests.sources:
        return commits
    repo = config.repository.name
    for prefix in config.perf_tests.seeded:
        if not any(commit.sha.startswith(prefix) for commit in commits):
            reason = f"seeded: the commit did not come here, see `isobench show commits --where sha={prefix}`"
            run.note("perftests", prefix, "dropped", reason, repo=repo)
    chosen = scripted(config, commits)
    for commit in commits:
        if commit not in chosen:
            run.note("perftests", commit.sha, "dropped", "seeded: no script for this commit", repo=repo)
    return chosen


def _seeded_scripts(config: Config, sha: str) -> list[str]:
    """Texts of the user's own scripts for a commit, named in the configuration by its sha or a prefix of it."""
    paths = [path for prefix, paths in config.perf_tests.seeded.items() if sha.startswith(prefix) for path in paths]
    return [source_text(Path(path).read_bytes()) for path in paths]
