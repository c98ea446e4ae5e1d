"""Service: a prompt in, a validated answer, its cost and a cache entry out."""

from tasks.llm.diffs import cut_diff
from tasks.llm.gateway import ask
from tasks.llm.models import Answer, AnswerInvalid, BudgetExceeded, LlmError, Prompt, Turn
from tasks.llm.prompts import render, template_text

__all__ = [
    "Answer",
    "AnswerInvalid",
    "BudgetExceeded",
    "LlmError",
    "Prompt",
    "Turn",
    "ask",
    "cut_diff",
    "render",
    "template_text",
]
