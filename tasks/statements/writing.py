"""One problem statement: asked of a model or filled into a template, held against the human's diff, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from configs.models import LLMConfig
from storage.scripts import workload_name
from storage.store import Store
from storage.tables import Api, Commit, Contract, PerfTest, Statement
from tasks.code.edits import read_text, text_of
from tasks.code.leaks import LeakReport, cut_leaks, find_leaks, must_not_leak
from tasks.llm import AnswerInvalid, Turn, as_first_asked, ask, diff_for, render
from tasks.llm.background import background

MAX_APIS = 5
MAX_WORKLOADS = 3
TEMPLATES = ("statement", "statement_repair", "statement_plain", "background", "repair")
MIN_WORDS = 15
"""A statement of which less is left after cutting says nothing; the template takes its place."""


class WrittenStatement(BaseModel):
    """The answer to the prompt `statement`."""

    title: str = Field(min_length=5, max_length=200, description="One line, without Markdown.")
    text: str = Field(min_length=40, description="60 to 200 words of Markdown.")


class Stated(BaseModel):
    """What `write_statement` did. The text is a row of table `statements`."""

    model_config = ConfigDict(frozen=True)

    sha: str
    source: str
    """`llm` or `template`."""
    leak_rate: float
    """Of the text that was kept."""
    reason: str = ""
    """Why it is not the model's first answer."""


class UnknownCommit(LookupError):
    """The store does not hold the commit."""


@dataclass(frozen=True)
class _Draft:
    text: str
    source: str
    model: str | None = None
    prompt_sha: str | None = None
    attempts: int = 0
    cost_usd: float = 0.0
    first: LeakReport | None = None
    """Of the model's first answer."""
    reason: str = ""


def write_statement(repo: str, sha: str, llm: LLMConfig | None, test_ids: Sequence[str], store: Store) -> Stated:
    """Write the statement for a commit and append its row. `test_ids` are the perf tests that it may speak of.

    Raises UnknownCommit; tasks.llm.LlmError, BudgetExceeded and Waiting if no model answers.
    """
    commits = store.rows(Commit, repo, sha=sha)
    if not commits:
        raise UnknownCommit(f"{repo}@{sha[:12]} is not in table 'commits' of {store.root}: run mining first")
    commit = commits[0]
    rows = sorted(store.rows(Api, repo, sha=sha), key=lambda row: row.rank)
    apis = [row.api for row in rows if not row.guesses]  # a report says nothing that is only guessed
    new = {name for row in store.rows(Contract, repo, sha=sha) for name in row.added}
    apis = [api for api in apis if api not in new]  # a name that base does not have is a part of the fix
    tests = store.rows(PerfTest, repo, test_id=list(test_ids))[:MAX_WORKLOADS]
    apis = list(dict.fromkeys([*(test.api for test in tests if test.api), *apis]))[:MAX_APIS]
    draft = _asked(llm, commit, apis, tests, store) if llm is not None else None
    if draft is None or len(draft.text.split()) < MIN_WORDS:
        plain = _plain(commit, apis, tests)
        text, _ = cut_leaks(plain, commit.patch, apis)
        why = "" if draft is None else draft.reason or "too little of the answer was left"
        draft = _Draft(text, "template", first=draft.first if draft else None, reason=why)
    text, cut = cut_leaks(draft.text, commit.patch, apis)
    report = must_not_leak(text, commit.patch, apis)
    first = draft.first or report
    row = Statement(
        repo=repo,
        sha=sha,
        text=text,
        source="llm" if draft.source == "llm" else "template",
        model=draft.model,
        prompt_sha=draft.prompt_sha,
        attempts=draft.attempts,
        cost_usd=draft.cost_usd,
        lines_added=report.lines_added,
        lines_leaked=report.lines_leaked,
        leak_rate=report.rate,
        first_leak_rate=first.rate,
        first_names_leaked=first.names,
        parts_cut=cut,
        reason=draft.reason,
    )
    store.append([row])
    return Stated(sha=sha, source=row.source, leak_rate=row.leak_rate, reason=row.reason)


def _asked(llm: LLMConfig, commit: Commit, apis: Sequence[str], tests: Sequence[PerfTest], store: Store) -> _Draft:
    """The model's answer; one that leaks is asked for once again. What leaks even then is cut by the caller."""
    patch = commit.patch
    # the model does not see an added line: neither in the code, nor where a message or an issue quotes one
    asked = partial(
        render,
        "statement",
        sha=commit.sha,
        subject=cut_leaks(commit.subject, patch, apis)[0].strip(),
        repo=commit.repo,
        apis=apis,
        base_code=_base_side(diff_for(llm, patch, 0.4)),
        background=background(llm, commit, store, censor=lambda text: cut_leaks(text, patch, apis)[0]),
    )
    untimed = [test.model_copy(update={"base_duration_s": None}) for test in tests]
    prompt = as_first_asked(store, now=asked(tests=tests), about=asked(tests=untimed))
    first: LeakReport | None = None
    turns: tuple[Turn, ...] = ()
    cost, attempts, text, reason = 0.0, 0, "", ""
    for _ in range(2):
        try:
            answer = ask(
                llm, prompt, WrittenStatement, store=store, repo=commit.repo, stage="statements", item=commit.sha,
                turns=turns,
            )  # fmt: skip
        except AnswerInvalid as error:
            return _Draft("", "llm", first=first, reason=f"unusable answer: {error}")
        text = f"{answer.value.title.strip()}\n\n{answer.value.text.strip()}\n"
        cost, attempts = cost + answer.cost_usd, attempts + answer.attempts
        report = find_leaks(text, patch, apis)
        first = first or report
        if not report.leaks:
            reason = "leaked: written again" if first.leaks else ""
            break
        reason = "leaked twice: cut"
        parts = list(dict.fromkeys(leak.what for leak in report.leaks))[:20]
        turns = (*answer.turns, Turn("user", render("statement_repair", parts=parts).user))
    return _Draft(text, "llm", answer.model, prompt.sha, attempts, cost, first, reason)


def _base_side(diff: str) -> str:
    """The diff without what it adds: the code as it is, in pieces."""
    lines = []
    for section in read_text(diff).sections:
        if section.head[0].startswith(b"diff --git "):
            lines.append(f"\n# {text_of(section.head[0]).rsplit(' b/', 1)[-1]}")
        for hunk in section.hunks:
            lines.append(f"...{text_of(hunk.heading)}")
            lines += [text_of(line[1:]) for line in hunk.lines if line[:1] in (b" ", b"-")]
    return "\n".join(lines).strip()


def _plain(commit: Commit, apis: Sequence[str], tests: Sequence[PerfTest]) -> str:
    project = commit.repo.rsplit("/", 1)[-1]
    subject = f"{apis[0]} is slow" if len(apis) == 1 else f"Some calls of {project} are slow"
    workloads = [
        {
            "name": workload_name(test.script) or f"workload {number}",
            "api": test.api,
            "base_duration_s": test.base_duration_s,
        }
        for number, test in enumerate(tests, 1)
    ]
    return render("statement_plain", subject=subject, apis=[f"`{api}`" for api in apis], tests=workloads).user + "\n"
