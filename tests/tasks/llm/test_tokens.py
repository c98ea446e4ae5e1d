from __future__ import annotations

import pytest

from tasks.llm.tokens import count_tokens, fits

CODE = "def total(values):\n    return sum(value * 2 for value in values if value is not None)\n" * 20


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "gpt-4", "openai/gpt-4.1"])
def test_openais_models_are_counted_as_litellm_counts_them(model: str) -> None:
    import litellm

    assert count_tokens(model, CODE) == len(litellm.encode(model=model, text=CODE))


def test_other_models_are_estimated_and_rather_too_high() -> None:
    assert count_tokens("anthropic/claude-sonnet-4-5", CODE) > 1.1 * count_tokens("gpt-4", CODE)


def test_special_tokens_in_a_diff_are_text() -> None:
    assert count_tokens("gpt-4", "<|endoftext|>") > 1


def test_fits() -> None:
    tokens = count_tokens("gpt-4", CODE)
    assert fits("gpt-4", CODE, tokens)
    assert not fits("gpt-4", CODE, tokens - 1)
    assert fits("a/model-of-ours", "x", 10)
