"""One answer counts: drafts, thoughts and quoted text never decide, and no reply breaks the reader."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, Field

from tasks.llm.parsing import MAX_CHARACTERS, Unparsable, parse_answer


class Step(BaseModel):
    name: str
    met: bool = False


class Judgement(BaseModel):
    steps: list[Step] = Field(default_factory=list)
    faster: bool
    why: str


YES = '{"steps": [{"name": "loop", "met": true}], "faster": true, "why": "It scans less."}'
NO = '{"steps": [], "faster": false, "why": "A rename."}'


@pytest.mark.parametrize(
    "text",
    [
        YES,
        f"\ufeff{YES}\n",
        f"```json\n{YES}\n```",
        f"```\n{YES}\n```\n",
        f"```json\n{YES}",
        f"For {{a, b}} and {{}} I find:\n\n{YES}\n\nThat is all.",
        f"[{YES}]",
        f"{YES}\n\nAgain, as one line:\n{json.dumps(json.loads(YES), separators=(',', ':'))}",
        f"<think>\nMaybe {NO}\n</think>\n\n{YES}",
        f"<think>\nMaybe\n```json\n{NO}\n```\nno.\n</think>\n```json\n{YES}\n```",
        f"<THINKING>{NO}</THINKING>{YES}",
        f"<think>{NO}</think>\n<think>{NO}</think>\n{YES}",
        f"[THINK]{NO}[/THINK]{YES}",
        f"<|begin_of_thought|>{NO}<|end_of_thought|>{YES}",
        f"<|channel|>analysis<|message|>{NO}<|end|><|start|>assistant<|channel|>final<|message|>{YES}<|return|>",
        YES.replace("It scans", "Reads </think> and `{\\\"faster\\\": false}`; scans"),
    ],
)  # fmt: skip
def test_the_answer_is_found(text: str) -> None:
    found = parse_answer(text, Judgement)
    assert found.faster
    assert found.steps == [Step(name="loop", met=True)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"Not this:\n```json\n{NO}\n```\nOn reflection:\n```json\n{YES}\n```", "2 different objects"),
        (f"The message says {NO} but the diff shows otherwise. {YES}", "2 different objects"),
        (f"{YES}\nThe message holds {NO}, which I ignored.", "2 different objects"),
        (f"[{NO}, {YES}]", "2 different objects"),
        (f"{YES}\nThe message also says </think>\n{NO}", "2 different objects"),
        (f"<think>It quotes </think>{NO}, so no.</think>{YES}", "2 different objects"),
        (f"Thought {NO}\n</think>\n{YES}", "2 different objects"),
        # the final one is broken, so the draft must not step in
        (f"Draft: {NO}\nFinal: {YES[:-1]},}}", "another one that does not"),
        (f"Draft: {NO}\nFinal: {YES[:60]}", "another one that does not"),
        (f"Draft: {NO}\nFinal: {{'faster': True, 'why': 'x'}}", "another one that does not"),
        (f'Draft: {NO}\nFinal: {{"faster": "perhaps", "why": "x"}}', "another one that does not"),
        (f'{{"steps": [], "faster": true, "why": "quotes", "quoted": {NO},}}', "another one that does not"),
        (f"<think>{YES}", "no answer after it"),
        (f"<think>{YES}</think>\n", "no answer after it"),
        ('{"faster": true, "faster": false, "why": "x"}', "'faster' stands twice"),
        ('{"faster": true, "why": NaN}', "NaN is no number"),
        ('{"faster": true, "why": "x", "certainty": 1e999}', "too large a number"),
        ('{"faster": true, "why": "x", "certainty": ' + "9" * 5000 + "}", "no complete JSON object"),
        ('{"faster": true, "why": "x",}', "no complete JSON object"),
        ('{"faster": true, "why": "\\ud800"}', "half of a surrogate pair"),
        (json.dumps(YES), "no complete JSON object"),
        (json.dumps({"name": "Judgement", "arguments": json.loads(YES)}), "does not match the schema"),
        (json.dumps({"name": "Judgement", "arguments": YES}), "does not match the schema"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a":[{"b":' * 300 + "!", "objects in it are no JSON"),
        ("{" * 200_000, "no complete JSON object"),
        (YES + " " * MAX_CHARACTERS, "are read at most"),
        ("I cannot help with that.", "there is no '{'"),
        ("  \n", "empty"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_leaves_a_doubt_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(Unparsable) as caught:
        parse_answer(text, Judgement)
    assert complaint in str(caught.value)
    assert len(str(caught.value)) < 1000
