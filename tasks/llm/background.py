"""What people said about a change, made to fit into a prompt: message, pull request, issues, gains that they claim."""

from __future__ import annotations

import re
from collections.abc import Callable

from configs.models import LLMConfig
from storage.ids import content_hash
from storage.store import Store
from storage.tables import Commit, PullRequest
from tasks.llm.prompts import render
from tasks.llm.tokens import count_tokens, fits

SHARES = {"message": 0.08, "body": 0.08, "discussion": 0.06, "issue": 0.04}
"""Of the longest prompt; the diff has most of the rest."""
MAX_ISSUES = 3
MAX_COMMANDS = 5
_COMMAND = re.compile(
    r"^[ \t]*(?:\$|>|!|%%?)?[ \t]*"
    r"((?:[A-Z_]+=\S+ )*(?:python[\d.]*|ipython|pytest|asv|hyperfine|perf|time|timeit|pyperf|py-spy)(?:[ \t]+.*)?)$",
    re.MULTILINE,
)
_MEASURES = re.compile(r"timeit|bench|perf|hyperfine|asv|^time |cProfile|py-spy|--durations")


def background(llm: LLMConfig, commit: Commit, store: Store, censor: Callable[[str], str] = lambda text: text) -> str:
    """The text for a prompt, within about a third of its length. `censor` changes every text before it is cut.

    The pull request is the one in table `pull_requests`, if it was fetched.
    """
    pull = pull_request_of(commit, store)

    def fitted(text: str, share: float) -> str:
        return cut_text(llm, censor(text).strip(), int(share * llm.prompt_tokens))

    message = fitted(commit.message, SHARES["message"])
    if pull is None:
        commands = perf_commands(message)
        return render(
            "background", message=message, title="", labels=[], body="", discussion="", issues=[], claims=[],
            perf_commands=commands,
        ).user  # fmt: skip
    body = "" if pull.body.strip() in commit.message else fitted(pull.body, SHARES["body"])
    discussion = fitted(pull.timeline, SHARES["discussion"])
    issues = [fitted(issue, SHARES["issue"]) for issue in pull.linked_issues[:MAX_ISSUES]]
    return render(
        "background",
        message=message,
        title=censor(pull.title).strip(),
        labels=pull.labels,
        body=body,
        discussion=discussion,
        issues=[issue for issue in issues if issue],
        claims=[claim for claim in (censor(claim).strip() for claim in pull.claims) if claim],
        perf_commands=perf_commands("\n".join([message, body, discussion, *issues])),
    ).user


def pull_request_of(commit: Commit, store: Store) -> PullRequest | None:
    """The pull request of a change, if it was fetched and exists."""
    if commit.pr_number is None:
        return None
    rows = store.rows(PullRequest, commit.repo, number=commit.pr_number)
    return rows[0] if rows and rows[0].status == "ok" else None


def pull_request_digests(repo: str, store: Store) -> dict[int, str]:
    """Number -> hash of what its prompt shows, for cache keys: a discussion may come or grow after the first run."""
    return {
        row.number: content_hash(
            row.status, row.title, row.body, row.timeline, row.labels, row.linked_issues, row.claims
        )
        for row in store.rows(PullRequest, repo)
    }


def perf_commands(text: str) -> list[str]:
    """Lines that run a measurement, e.g. `python -m timeit -s ...` or `asv compare main HEAD`."""
    found = [match[1].strip() for match in _COMMAND.finditer(text) if _MEASURES.search(match[1])]
    return list(dict.fromkeys(command for command in found if len(command.split()) > 1))[:MAX_COMMANDS]


def cut_text(llm: LLMConfig, text: str, tokens: int) -> str:
    """The first whole lines of a text that fit, with a last line that says how many are left out."""
    if fits(llm.model, text, tokens):
        return text
    lines = text.splitlines()
    room, kept = tokens, 0
    for line in lines:
        room -= count_tokens(llm.model, line + "\n")
        if room < 0:
            break
        kept += 1
    return "\n".join([*lines[:kept], f"[cut: {len(lines) - kept} more lines]"])
