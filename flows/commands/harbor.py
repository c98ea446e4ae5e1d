"""What the commands do that speak with Harbor: tasks out, trials in, and what tasks' containers run."""

from __future__ import annotations

from pathlib import Path

from configs.errors import UserError
from flows.commands.terminal import complain, say, warn


def run_export_tasks(store: str, out: Path, repo: str | None, image: str | None) -> int:
    """Write a task folder per instance; exit code 1 if one was left out, 2 if the store has none."""
    from flows.harbor import export_tasks
    from storage.store import Store

    done = export_tasks(Store(store), out, repo, image)
    for problem in done.problems:
        complain(problem)
    if not done.folders and not done.problems:
        raise UserError(f"no instances{f' of {repo}' if repo else ''} in {store}: `isobench build CONFIG` makes them")
    say(f"{len(done.folders)} tasks: {out}")
    return 1 if done.problems else 0


def run_import_harbor(job: Path, store: str) -> int:
    """Take the trials of a job into a store; exit code 1 if one was left out."""
    from storage.store import Store
    from tasks.agents.harbor.trials import import_job

    if not job.is_dir():
        raise UserError(f"{job}: no such folder")
    done = import_job(job, Store(store, run="harbor"))
    for problem in done.problems:
        warn(problem)
    answered, total = len(done.prediction_ids), len(done.attempts)
    say(f"{total} attempts, {answered} with an answer. Store: {store}")
    if answered:
        say(f"isobench export {store} --layout predictions --out predictions.jsonl writes them for `isobench evaluate`")
    return 1 if done.problems else 0


def run_prepare(folder: Path, store: str, workspace: Path | None, environment: Path | None) -> int:
    """Build what a task's container needs."""
    from flows.harbor import prepare
    from storage.store import Store

    prepare(folder, Store(store), workspace, environment)
    return 0


def run_judge(folder: Path, workspace: Path, out: Path, store: str) -> int:
    """Judge a workspace; exit code 1, and no reward, if nothing could be timed."""
    from flows.commands.build import running
    from storage.store import Store

    with running(store, verbose=False):
        from flows.harbor import reward, score_workspace

        score = score_workspace(folder, workspace, out, Store(store))
    if score is None:
        complain("nothing could be timed, so there is no reward; what each stage says: isobench show funnel")
        return 1
    said = ", ".join(f"{name} {value:.3g}" for name, value in reward(score).items())
    say(f"{score.status}{f' ({score.reason})' if score.reason else ''}: {said}")
    return 0
