"""Where the code of commits runs: an environment per commit, with its base and human sides checked out."""

from __future__ import annotations

from collections.abc import Sequence

from configs.models import Config
from flows.engine.run import Run
from flows.stages.checkouts import ArmWanted, build_environments, check_out_arms
from flows.stages.handed_on import reached, scripted
from flows.stages.of_dataset import dataset_stage
from storage.tables import Commit
from tasks.sandbox.models import Arm


@dataset_stage("environments")
def build_arms(run: Run, config: Config) -> None:
    """Build the environments of commits that may get a perf test, and check out both of their sides."""
    arms_of(run, config, scripted(config, reached(run, config)))


def arms_of(run: Run, config: Config, commits: Sequence[Commit]) -> dict[str, dict[str, Arm]]:
    """Sha -> its base and human arms on this machine, without the commits that have none; each is looked at once."""
    known: dict[str, dict[str, Arm]] = run.memory.setdefault("arms", {})
    new = [commit for commit in commits if commit.sha not in known]
    known |= {commit.sha: {} for commit in new} | (_arms(run, config, new) if new else {})
    return {commit.sha: known[commit.sha] for commit in commits if known[commit.sha]}


def _arms(run: Run, config: Config, commits: Sequence[Commit]) -> dict[str, dict[str, Arm]]:
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
