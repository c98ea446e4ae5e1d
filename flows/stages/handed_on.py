"""What the stages of `build_dataset` hand on: read from the funnel of the run, and from the store's tables."""

from __future__ import annotations

from configs.models import Config
from flows.engine.run import Run
from storage.tables import Commit


def mined(run: Run, config: Config) -> list[str]:
    """Shas that mining kept, best score first."""
    kept = [sha for sha, row in run.funnel.stage("mining").items() if row.outcome == "kept"]
    frame = run.store.frame(Commit, config.repository.name, columns=("score",))
    scores = dict(frame.select("sha", "score").iter_rows())
    return sorted((sha for sha in kept if sha in scores), key=lambda sha: -scores[sha])


def candidates(run: Run, config: Config) -> list[Commit]:
    """Changes that mining and the model (if there is one) kept, in the order of history.

    Neighbours share nearly all of their files, and each version of a file is read once.
    """
    shas = mined(run, config)
    if config.llm:
        judged = run.funnel.stage("classify")
        shas = [sha for sha in shas if sha in judged and judged[sha].outcome == "kept"]
    commits = run.store.rows(Commit, config.repository.name, sha=shas)
    return sorted(commits, key=lambda commit: (commit.author_date, commit.sha))


def reached(run: Run, config: Config) -> list[Commit]:
    """Candidates of which an API reaches the change. A whole program needs no API."""
    whole_programs = "command" in config.perf_tests.sources
    found = run.funnel.stage("apis")
    return [
        commit for commit in candidates(run, config)
        if (row := found.get(commit.sha)) is not None
        and (row.outcome == "kept" or (whole_programs and row.outcome == "dropped"))
    ]  # fmt: skip


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
