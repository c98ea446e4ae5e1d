"""Lets a model order the candidates; names that the repository does not have are dropped."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, Field

from configs.models import LLMConfig
from storage.store import Store
from storage.tables import Commit
from tasks.apis.reach import Reached
from tasks.llm import ask, diff_for, render, template_text
from tasks.llm.background import background

PROMPT = "rank_apis"


class RankedApi(BaseModel):
    """One public name that the model chose."""

    name: str
    reason: str = ""


class ApiRanking(BaseModel):
    """The answer to prompt `rank_apis`."""

    apis: list[RankedApi] = Field(min_length=1)


def prompt_texts() -> list[str]:
    """Templates that decide what is asked, for cache keys."""
    return [template_text(name) for name in (PROMPT, "background", "repair")]


def rank_apis(
    llm: LLMConfig, commit: Commit, candidates: list[Reached], public: Mapping[str, list[str]], store: Store
) -> tuple[list[str], list[str]]:
    """(chosen node ids, best first; names that do not exist at this commit).

    A name may be any public alias of a candidate. Raises tasks.llm.LlmError, AnswerInvalid.
    """
    prompt = render(
        PROMPT,
        repo=commit.repo,
        sha=commit.sha,
        background=background(llm, commit, store),
        functions=commit.functions_changed,
        candidates=candidates,
        diff=diff_for(llm, commit.patch),
    )
    answer = ask(llm, prompt, ApiRanking, store=store, repo=commit.repo, stage="apis", item=commit.sha)
    by_name = {name: node for node, names in public.items() for name in reversed(names)}
    # one name may stand for several nodes (a class and its special methods): the candidate is meant
    by_name |= {item.api: item.node for item in reversed(candidates)}
    chosen: list[str] = []
    unknown: list[str] = []
    for item in answer.value.apis:
        name = item.name.strip().strip("`").removesuffix("()")
        node = by_name.get(name)
        if node is None:
            unknown.append(name)
        elif node not in chosen:
            chosen.append(node)
    return chosen, unknown
