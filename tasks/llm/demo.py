"""Provider `isobench-demo` for litellm: answers from files that we wrote, so the demo needs no key and no network.

It is a provider like any other, so the whole path of an answer runs: prompt, request, parsing, repair turn, cache,
cost. `configs/demo/answers/index.yaml` lists the answers:

    - task: perf_test           # the prompt's line `task: perf_test`
      subject: Merge in one go  # a line of the prompt (the commit's first line); or `commit: <sha, 7 digits or more>`
      attempt: 1                # 1 + assistant turns so far; the last one listed also answers later turns
      file: classify/merge.json # the answer, word for word (it may be invalid on purpose), or:
      tests: [{name: ..., api: ..., script_file: perf_tests/merge.py}]
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

import configs

PROVIDER = "isobench-demo"
MODEL = f"{PROVIDER}/answers"
FOLDER = Path(configs.__file__).parent / "demo" / "answers"
_TASK = re.compile(r"^task: *(\S+) *$", re.MULTILINE)
_COMMIT = re.compile(r"^commit: *([0-9a-f]{7,40}) *$", re.MULTILINE)


class DemoHasNoAnswer(LookupError):
    """Nobody wrote an answer for this prompt."""


class _Script(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    api: str
    script_file: str


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    task: str
    commit: str | None = Field(default=None, pattern=r"^[0-9a-f]{7,40}$")
    subject: str | None = None
    attempt: int = 1
    file: str | None = None
    tests: list[_Script] | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> _Entry:
        if (self.commit is None) == (self.subject is None):
            raise ValueError("give either 'commit' or 'subject'")
        if (self.file is None) == (self.tests is None):
            raise ValueError("give either 'file' or 'tests'")
        return self

    def text(self, folder: Path) -> str:
        if self.file is not None:
            return (folder / self.file).read_text(encoding="utf-8")
        scripts = [
            {"name": test.name, "api": test.api, "script": (folder / test.script_file).read_text(encoding="utf-8")}
            for test in self.tests or []
        ]
        return json.dumps({"tests": scripts}, indent=1)


class _Index(BaseModel):
    model_config = ConfigDict(extra="forbid")
    answers: list[_Entry]


def demo_answer(messages: Sequence[dict[str, Any]], folder: Path | None = None) -> str:
    """The answer to a conversation. Raises DemoHasNoAnswer, saying which task and commit were asked for."""
    folder = folder or FOLDER
    prompt = next((str(message["content"]) for message in messages if message["role"] == "user"), "")
    attempt = 1 + sum(message["role"] == "assistant" for message in messages)
    task, commit = _TASK.search(prompt), _COMMIT.search(prompt)
    if task is None or commit is None:
        raise DemoHasNoAnswer("the demo has no answer for a prompt without the lines 'task: ...' and 'commit: ...'")
    lines = {line.strip().removeprefix("subject: ").strip() for line in prompt.splitlines()}
    known = [
        entry
        for entry in _index(folder).answers
        if entry.task == task[1]
        and (commit[1].startswith(entry.commit) if entry.commit is not None else entry.subject in lines)
    ]
    fitting = [entry for entry in known if entry.attempt <= attempt]
    if not fitting:
        raise DemoHasNoAnswer(
            f"the demo has no answer for task '{task[1]}' of commit {commit[1][:12]} (attempt {attempt}); its answers "
            f"are files in configs/demo/answers, for the demo repository only: set llm.model to a real model, or "
            f"leave llm out"
        )
    return max(fitting, key=lambda entry: entry.attempt).text(folder)


@lru_cache
def _index(folder: Path) -> _Index:
    path = folder / "index.yaml"
    if not path.exists():
        raise DemoHasNoAnswer(f"the demo has no answers: {path} is missing")
    return _Index.model_validate({"answers": yaml.safe_load(path.read_text(encoding="utf-8")) or []})


def register(litellm: Any) -> None:
    """Make litellm know the provider and its price (nothing). Called once, when litellm is first imported."""
    from litellm.llms.custom_llm import CustomLLM, CustomLLMError

    class Demo(CustomLLM):
        """Answers at once, from files."""

        def completion(self, *args: Any, **kwargs: Any) -> Any:
            messages = kwargs["messages"]
            try:
                text = demo_answer(messages)
            except (DemoHasNoAnswer, ValueError, OSError, yaml.YAMLError) as error:
                raise CustomLLMError(status_code=404, message=str(error)) from None
            asked = sum(len(str(message["content"])) for message in messages)
            usage = litellm.Usage(
                prompt_tokens=asked // 4,
                completion_tokens=len(text) // 4,
                total_tokens=asked // 4 + len(text) // 4,
            )
            return litellm.ModelResponse(
                model=MODEL,
                choices=[litellm.Choices(message=litellm.Message(role="assistant", content=text))],
                usage=usage,
            )

    if not any(item["provider"] == PROVIDER for item in litellm.custom_provider_map):
        litellm.custom_provider_map.append({"provider": PROVIDER, "custom_handler": Demo()})
        litellm.utils.custom_llm_setup()
    free = ("input_cost_per_token", "output_cost_per_token", "cache_creation_input_token_cost")
    price = dict.fromkeys((*free, "cache_read_input_token_cost"), 0.0)
    litellm.register_model({MODEL: {**price, "litellm_provider": PROVIDER, "mode": "chat"}})
