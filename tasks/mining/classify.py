"""Asks a model whether a kept change really is about performance."""

from __future__ import annotations

from pydantic import BaseModel, Field

from configs.models import LLMConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Commit, PullRequest
from tasks.llm import AnswerInvalid, ask, diff_for, render
from tasks.llm.background import background
from tasks.mining.errors import MiningError
from tasks.mining.filters.reverts import CLASSIFIED
from tasks.mining.models import Classified

PROMPT = "classify"


class Condition(BaseModel):
    """One condition of the prompt, judged by itself before the verdict."""

    name: str
    met: bool
    why: str = ""


class PerformanceVerdict(BaseModel):
    """The answer to prompt `classify`."""

    conditions: list[Condition] = Field(default_factory=list)
    is_performance: bool
    reason: str = Field(min_length=1)


def said_of(store: Store, repo: str, sha: str) -> PullRequest | None:
    """The pull request of a mined change; None if its text was not fetched."""
    number = store.frame(Commit, repo, columns=("pr_number",), keys={"sha": sha})["pr_number"]
    rows = store.rows(PullRequest, repo, number=number[0]) if len(number) and number[0] is not None else []
    return next((row for row in rows if row.status == "ok"), None)


def classify_commit(repository: RepositoryConfig, sha: str, llm: LLMConfig, store: Store) -> Classified:
    """Ask about one kept change and write the verdict as a newer row of `commits`.

    An answer that stays invalid drops nothing: the change keeps its row, and the result's reason says so. Raises
    MiningError if the change was not mined or not kept, tasks.llm.LlmError if no model answers.
    """
    rows = store.rows(Commit, repository.name, sha=sha)
    if not rows:
        raise MiningError(f"{repository.name}: commit {sha} is not in table commits; mine the repository first")
    row = rows[0]
    if not row.kept and not row.reason.startswith(CLASSIFIED):
        return Classified(sha=sha, kept=False, reason=row.reason)
    prompt = render(
        PROMPT,
        repo=repository.name,
        sha=sha,
        background=background(llm, row, store),
        files=row.files,
        functions=row.functions_changed,
        diff=diff_for(llm, row.patch),
    )
    try:
        verdict = ask(
            llm, prompt, PerformanceVerdict, store=store, repo=repository.name, stage="mining", item=sha
        ).value
    except AnswerInvalid as error:
        return Classified(sha=sha, kept=row.kept, reason=f"unclassified: {error}")
    why = " ".join(verdict.reason.split())
    reason = f"kept: {llm.model} says performance: {why}" if verdict.is_performance else f"{CLASSIFIED}: {why}"
    store.append([row.model_copy(update={"kept": verdict.is_performance, "reason": reason})])
    return Classified(sha=sha, kept=verdict.is_performance, reason=reason)
