"""Service: a prompt in, a validated answer, its cost and a cache entry out."""

from tasks.llm.buying import WAITING
from tasks.llm.first_asked import as_first_asked
from tasks.llm.models import Answer, AnswerInvalid, BudgetExceeded, LlmError, Prompt, Turn, Waiting
from tasks.llm.prompts import render, template_text
from tasks.llm.structured_output import ask, decides
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
    "as_first_asked",
    "ask",
    "decides",
    "diff_for",
    "render",
    "template_text",
]
