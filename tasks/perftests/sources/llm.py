"""Source `llm`: a model writes the scripts, and gets a gate's complaint back to repair them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from configs.models import LLMConfig, PerfTestConfig
from storage.store import Store
from storage.tables import Commit
from tasks.llm import Answer, AnswerInvalid, Prompt, Turn, as_first_asked, ask, diff_for, render, template_text
from tasks.llm.background import background
from tasks.perftests.models import Proposal, Verdict

MAX_APIS = 8
"""Public names in a prompt. Further ones reach the change over many steps, and each brings its docstring."""
Gated = list[tuple[Proposal, Verdict]]


class WrittenTest(BaseModel):
    """One perf test, as the model writes it."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(min_length=1, description="Short identifier in snake_case.")
    api: str = Field(min_length=1, description="Dotted name of the public API that the test calls.")
    script: str = Field(min_length=1, description="The whole Python file.")


class WrittenTests(BaseModel):
    """The answer to the prompt `perf_test`."""

    tests: list[WrittenTest] = Field(min_length=1)


def build_prompt(
    llm: LLMConfig,
    commit: Commit,
    apis: Sequence[str],
    config: PerfTestConfig,
    said: str = "",
    usage: Sequence[str] = (),
) -> Prompt:
    """The prompt for a commit.

    `apis` are descriptions, best first (see `signatures.describe_apis`), `said` is a text of `tasks.llm.background`,
    `usage` are calls in the project's tests and docs (see `call_examples.find_usage`).
    """
    return render(
        "perf_test",
        sha=commit.sha,
        subject=commit.subject,
        repo=commit.repo,
        background=said,
        apis=list(apis[:MAX_APIS]),
        usage=list(usage),
        functions_changed=commit.functions_changed,
        diff=diff_for(llm, commit.patch).rstrip(),
        count=config.tests_per_commit,
        min_duration_s=config.min_duration_s,
        max_duration_s=config.max_duration_s,
    )


def prompt_texts() -> list[str]:
    """The prompt templates of this source, for cache keys."""
    return [template_text(name) for name in ("perf_test", "perf_test_repair", "perf_test_more", "background", "repair")]


def from_model(
    llm: LLMConfig,
    commit: Commit,
    apis: Sequence[str],
    config: PerfTestConfig,
    store: Store,
    gates: Callable[[Proposal], Verdict],
    usage: Sequence[str] = (),
) -> Gated:
    """Ask for tests, put them through the gates, and send the rejected ones back up to `config.repair_turns` times.

    While fewer than `config.tests_per_commit` are accepted, the model gets requests for cases without a test, up to
    `config.further_requests` times. Returns every test once, with its last verdict. An answer that stays invalid is a
    test without a script, rejected by `answer`. Raises LlmError, BudgetExceeded and Waiting.
    """
    prompt = build_prompt(llm, commit, apis, config, background(llm, commit, store), usage)
    gated: dict[str, tuple[Proposal, Verdict]] = {}
    turns: tuple[Turn, ...] = ()
    attempt = 0
    for _ in range(1 + config.further_requests):
        asked_for: set[str] = set()
        for _ in range(1 + config.repair_turns):
            try:
                answer = ask(
                    llm,
                    prompt,
                    WrittenTests,
                    store=store,
                    repo=commit.repo,
                    stage="perftests",
                    item=commit.sha,
                    turns=turns,
                )
            except AnswerInvalid as error:
                if not gated:
                    gated["answer"] = (_no_answer(error), Verdict("answer", str(error)))
                return list(gated.values())  # what was proposed before keeps its verdict
            attempt += answer.attempts
            tests = _distinct(answer.value.tests)[: config.tests_per_commit]
            for name, test in tests:
                known = gated.get(name)
                if known is not None and known[1].accepted:
                    continue  # it was not asked for again
                cost_usd = answer.cost_usd / len(tests) + (known[0].cost_usd if known else 0.0)
                proposal = _proposal(test, answer, prompt, attempt, cost_usd)
                gated[name] = (replace(proposal, name=name), gates(proposal))
                asked_for.add(name)
            failed = {name: gated[name][1] for name in sorted(asked_for) if not gated[name][1].accepted}
            if not failed:
                break
            by_gate = {name: verdict.gate for name, verdict in failed.items()}
            reasons = {name: verdict.reason for name, verdict in failed.items()}
            repair = partial(render, "perf_test_repair", gates=list(by_gate.values()))
            turns = _and_then(store, prompt, answer, now=repair(failures=reasons), about=repair(failures=by_gate))
        existing = [(proposal, verdict) for proposal, verdict in gated.values() if verdict.accepted]
        missing = config.tests_per_commit - len(existing)
        if missing <= 0 or not existing:
            break  # of a conversation without one good test nothing better is to be expected
        listed = [{"name": it.name, "api": it.api, "duration_s": None} for it, _ in existing]
        timed = [
            {**it, "duration_s": verdict.base_duration_s} for it, (_, verdict) in zip(listed, existing, strict=True)
        ]
        turns = _and_then(
            store, prompt, answer,
            now=render("perf_test_more", existing=timed, missing=missing),
            about=render("perf_test_more", existing=listed, missing=missing),
        )  # fmt: skip
    return list(gated.values())


def _and_then(
    store: Store, prompt: Prompt, answer: Answer[WrittenTests], *, now: Prompt, about: Prompt
) -> tuple[Turn, ...]:
    """The conversation with a further question, which holds the numbers that it held when it was first put."""
    before = [prompt.sha, *(turn.content for turn in answer.turns)]
    return (*answer.turns, Turn("user", as_first_asked(store, now, about, before).user))


def _proposal(
    test: WrittenTest, answer: Answer[WrittenTests], prompt: Prompt, attempt: int, cost_usd: float
) -> Proposal:
    return Proposal(
        name=test.name,
        api=test.api,
        script=_unfenced(test.script),
        source="llm",
        model=answer.model,
        prompt_sha=prompt.sha,
        attempts=attempt,
        cost_usd=cost_usd,
    )


def _no_answer(error: AnswerInvalid) -> Proposal:
    return Proposal(
        name="answer",
        api="",
        script="",
        source="llm",
        model=error.model,
        prompt_sha=error.prompt_sha,
        attempts=error.attempts,
        cost_usd=error.cost_usd,
    )


def _distinct(tests: Sequence[WrittenTest]) -> list[tuple[str, WrittenTest]]:
    """Tests by name; one that repeats a name gets a number."""
    named: dict[str, WrittenTest] = {}
    for test in tests:
        name, number = test.name, 2
        while name in named:
            name, number = f"{test.name}_{number}", number + 1
        named[name] = test
    return list(named.items())


def _unfenced(script: str) -> str:
    """The script without a Markdown fence around it, which models add even inside JSON."""
    script = script.replace("\r\n", "\n")
    match = re.fullmatch(r"\s*(`{3,}|~{3,})[\w-]*[ ]*\n(.*?)\n?\1\s*", script, re.DOTALL)
    return (match[2] if match else script).strip("\ufeff\n") + "\n"
