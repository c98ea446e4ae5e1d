"""What the stages of `build_dataset` hand on: read from the funnel of the run, and from the store's tables."""

from __future__ import annotations

from collections.abc import Sequence

from configs.models import Config
from flows.engine.run import Run
from storage.tables import Commit


def mined(run: Run, config: Config) -> list[str]:
    """Shas that mining kept, best score first."""
    if "mined" in run.memory:
        return list(run.memory["mined"])
    kept = [sha for sha, row in run.funnel.stage("mining").items() if row.outcome == "kept"]
    frame = run.store.frame(Commit, config.repository.name, columns=("score",))
    scores = dict(frame.select("sha", "score").iter_rows())
    return sorted((sha for sha in kept if sha in scores), key=lambda sha: -scores[sha])


def commits_of(run: Run, config: Config, shas: Sequence[str]) -> list[Commit]:
    """Rows of commits, read once: their patches are most of the table."""
    known: dict[str, Commit] = run.memory.setdefault("commits", {})
    if new := [sha for sha in shas if sha not in known]:
        known.update((row.sha, row) for row in run.store.rows(Commit, config.repository.name, sha=new))
    return [known[sha] for sha in shas if sha in known]


def candidates(run: Run, config: Config) -> list[Commit]:
    """Changes that mining and the model (if there is one) kept, in the order of history.

    Neighbours share nearly all of their files, and each version of a file is read once.
    """
    shas = mined(run, config)
    if config.llm:
        judged = run.funnel.stage("classify")
        shas = [sha for sha in shas if sha in judged and judged[sha].outcome == "kept"]
    return sorted(commits_of(run, config, shas), key=lambda commit: (commit.author_date, commit.sha))


def reached(run: Run, config: Config) -> list[Commit]:
    """Candidates that go on from the stage `apis`."""
    found = run.funnel.stage("apis")
    return [c for c in candidates(run, config) if c.sha in found and found[c.sha].outcome == "kept"]


def scripted(config: Config, commits: list[Commit]) -> list[Commit]:
    """Commits that may get a perf test: all, or those that the user wrote one for if there is no other source."""
    if set(config.perf_tests.sources) != {"seeded"}:
        return commits
    named = tuple(config.perf_tests.seeded)
    return [commit for commit in commits if commit.sha.startswith(named)]


def tested(run: Run, config: Config) -> dict[str, list[str]]:
    """Sha -> its accepted perf tests, in the order of history."""
    found = run.funnel.stage("perftests")
    rows = {commit.sha: found.get(commit.sha) for commit in reached(run, config)}
    return {sha: row.made for sha, row in rows.items() if row is not None and row.outcome == "kept"}


def faster(run: Run, config: Config) -> list[str]:
    """Shas of which one perf test at least proves the human's commit faster."""
    timed = run.funnel.stage("timing")
    return [
        sha for sha, tests in tested(run, config).items()
        if any(test in timed and timed[test].outcome == "kept" for test in tests)
    ]  # fmt: skip
