"""Service: a prompt in, a validated answer, its cost and a cache entry out."""

from tasks.llm.models import Answer, AnswerInvalid, BudgetExceeded, LlmError, Prompt, Turn, Waiting
from tasks.llm.prompts import render, template_text
from tasks.llm.structured_output import WAITING, ask, decides
from tasks.llm.tokens import diff_for

__all__ = [
    "WAITING",
    "Answer",
    "AnswerInvalid",
    "BudgetExceeded",
    "LlmError",
    "Prompt",
    "Turn",
    "Waiting",
    "ask",
    "decides",
    "diff_for",
    "render",
    "template_text",
]
