"""From a repository to candidates: mine its history, fetch what was said, ask a model."""

from __future__ import annotations

from collections import Counter

from prefect.logging import get_run_logger

from configs.models import Config
from flows.engine.run import Run
from flows.stages.checkouts import clone_of
from flows.stages.handed_on import commits_of, mined
from flows.stages.of_dataset import dataset_stage
from storage.tables import Commit
from tasks.mining.stage import classify_commit, fetch_pull_request, mine_repository


@dataset_stage("mining")
def mine(run: Run, config: Config) -> None:
    """Bring the clone up to date and judge every change of its history; the best `max_candidates` go on."""
    repository, repo = config.repository, config.repository.name
    clone = clone_of(run, repository)
    run.memory["head_sha"] = clone.head_sha
    found = run.call(
        "mining", mine_repository, repo=repo, repository=repository, mining=config.mining, head_sha=clone.head_sha
    )
    if found is None:
        return
    run.memory["considered"] = found.considered
    judged = run.store.frame(Commit, repo, columns=("score", "reason"))  # of all changes: patches are for the chosen
    limit = config.mining.max_candidates or len(found.kept)
    run.memory["mined"] = found.kept[:limit]
    going, scores = set(found.kept), dict(judged.select("sha", "score").iter_rows())
    reasons: Counter[str] = Counter()
    for sha, reason in judged.select("sha", "reason").iter_rows():
        if sha not in going and is_asked_for(sha, config):
            run.note("mining", sha, "dropped", reason, repo=repo)
            reasons[reason.partition(":")[0]] += 1
    for sha in found.kept[:limit]:
        # its row may by now hold the reason of a model, which is the next stage's
        run.note("mining", sha, "kept", f"score {scores[sha]:g}", repo=repo)
    for sha in found.kept[limit:]:
        run.note("mining", sha, "dropped", f"max_candidates: {limit}", repo=repo)
    for name in found.unknown:
        run.note("mining", name, "dropped", f"unknown: no commit of {repo} has this sha (mining.commits)", repo=repo)
    gone = "gone: no longer in the history" if not config.mining.commits else "not_named: not among mining.commits"
    for sha, row in run.funnel.stage("mining").items():
        if row.outcome == "kept" and sha not in going:
            run.note("mining", sha, "dropped", gone, repo=repo)
    get_run_logger().info("mining at %s kept %d; dropped: %s", clone.head_sha[:10], len(going), dict(reasons))


def is_asked_for(sha: str, config: Config) -> bool:
    """Whether the configuration looks at a commit: at each, unless it names some."""
    return not config.mining.commits or sha.startswith(tuple(config.mining.commits))


@dataset_stage("pull_requests")
def fetch_pull_requests(run: Run, config: Config) -> None:
    """Fetch what was said about the candidates into `pull_requests`; a candidate goes on without it."""
    repository, repo = config.repository, config.repository.name
    commits = commits_of(run, config, mined(run, config))
    numbers = {commit.pr_number for commit in commits if commit.pr_number is not None}
    items = {f"#{number}": {"repository": repository, "number": number} for number in sorted(numbers)}
    for key, fetched in run.map("pull_requests", fetch_pull_request, items, repo=repo).items():
        there = fetched.status in ("fetched", "unchanged")
        run.note("pull_requests", key, "kept" if there else "dropped", fetched.reason or fetched.status, repo=repo)


@dataset_stage("classify")
def classify(run: Run, config: Config) -> None:
    """Ask the configured model whether each candidate is about performance. Without a model every candidate goes on."""
    repo = config.repository.name
    if config.llm is None:
        return
    items = {sha: {"repository": config.repository, "sha": sha, "llm": config.llm} for sha in mined(run, config)}
    for sha, answer in run.map("classify", classify_commit, items, repo=repo).items():
        run.note("classify", sha, "kept" if answer.kept else "dropped", answer.reason, repo=repo)


def wants_pull_requests(config: Config) -> bool:
    """Whether what was said is fetched: where the configuration says so, or nothing and the place is GitHub."""
    wanted = config.mining.pull_requests
    return config.repository.is_on_github if wanted is None else wanted
