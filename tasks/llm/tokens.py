"""How many tokens a text is, without a network and without litellm (whose import takes seconds).

OpenAI's models have their real tokenizer: tiktoken, with the vocabularies that litellm brings along. Others keep theirs
to themselves or on a hub; for those the count is an estimate, `cl100k_base` and a fifth on top: Anthropic's and Llama's
tokenizers make more tokens of code than it does.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from configs.models import LLMConfig
from tasks.llm.diffs import cut_diff

OTHERS = 1.2
"""Tokens of a model without a public tokenizer, per token of cl100k_base."""


def count_tokens(model: str, text: str) -> int:
    """Tokens of `text` for a litellm model name: exact for OpenAI's models, else an estimate, rather too high."""
    name = model.rsplit("/", 1)[-1]
    encoding, exact = _encoding(name)
    tokens = len(encoding.encode_ordinary(text))
    return tokens if exact else int(tokens * OTHERS) + 1


def fits(model: str, text: str, tokens: int) -> bool:
    """Whether `text` has at most so many tokens; a short text is not counted at all."""
    # no tokenizer makes more tokens than bytes
    return len(text.encode()) * OTHERS < tokens or count_tokens(model, text) <= tokens


def diff_for(llm: LLMConfig, patch: str, share: float = 0.6) -> str:
    """The diff in at most that share of the longest prompt; whole hunks only (see `cut_diff`)."""
    limit = int(share * llm.prompt_tokens)
    return (
        patch if fits(llm.model, patch, limit) else cut_diff(patch, limit, lambda text: count_tokens(llm.model, text))
    )


@lru_cache
def _encoding(name: str) -> tuple[Any, bool]:
    """The tokenizer, and whether it is the model's own."""
    spec = find_spec("litellm")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(bundled))
    import tiktoken

    try:
        return tiktoken.encoding_for_model(name), True
    except KeyError:
        return tiktoken.get_encoding("cl100k_base"), False
