"""What a script is: see the package's docstring for how one is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator


class ScriptError(ValueError):
    """A file that is no script; the message says where and why."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Call(_Strict):
    """A call of one of the agent's tools, by its name."""

    name: str
    arguments: dict[str, Any] = {}


class Fault(_Strict):
    """What happens in the place of an answer."""

    status: int | None = Field(default=None, ge=400, le=599)
    """An error of the protocol's own form: 429, 500, 529 ..."""
    retry_after_s: float | None = None
    """The header `retry-after`, in seconds."""
    cut: bool = False
    """The answer breaks off half way and the connection ends."""
    hang_s: float | None = None
    """Nothing is sent for so many seconds; then the connection ends."""
    nonsense: bool = False
    """Status 200 and a body that is no JSON."""
    times: int = Field(default=1, ge=1)
    """How often, each time that the turn is asked for."""
    for_s: float | None = None
    """For how many seconds from its first time on, in place of `times`."""

    @model_validator(mode="after")
    def _one_kind(self) -> Fault:
        if sum([self.status is not None, self.cut, self.hang_s is not None, self.nonsense]) != 1:
            raise ValueError("a fault is one of: status, cut, hang_s, nonsense")
        return self


class Usage(_Strict):
    """Tokens to bill for a turn; what is left out is counted, or nothing."""

    input: int | None = None
    """All of the prompt, cached included."""
    cache_read: int = 0
    cache_write: int = 0
    output: int | None = None
    """All of the answer, reasoning included; counted: the answer's own tokens and `reasoning`."""
    reasoning: int = 0


class Turn(_Strict):
    """One answer of the model."""

    say: str = ""
    """Text: before the call, or all there is."""
    run: str | None = None
    """A shell command, through the agent's own tool for that."""
    call: Call | None = None
    """A tool by its name."""
    finish: str | None = None
    """Ends the task as this agent's tasks end, with this text."""
    usage: Usage = Usage()
    faults: tuple[Fault, ...] = ()
    pause_s: float = 0
    """Before every piece of the answer."""

    @model_validator(mode="after")
    def _one_kind(self) -> Turn:
        said = [name for name in ("run", "call", "finish") if getattr(self, name) is not None]
        if len(said) > 1 or not (said or self.say):
            raise ValueError("a turn has one of: run, call, finish; or text alone, as say")
        return self


class Script(_Strict):
    """What the model says in conversations that fit."""

    when: str | None = None
    """Regular expression that is searched in the first thing that the user says; None fits all."""
    model: str | None = None
    """Name of the model that is asked for; None fits all."""
    turns: tuple[Turn, ...]
    side: str | None = "ok"
    """Answer to requests that offer no tools (titles, summaries). None: they are turns like others, for agents that
    read commands from text: `run` is then a block of bash."""

    @field_validator("when")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from None
        return value

    def fits(self, prompt: str, model: str) -> bool:
        """Whether it answers a conversation that began with this prompt, for a model of this name."""
        named = self.model is None or self.model == model
        return named and (self.when is None or re.search(self.when, prompt) is not None)

    def turn(self, number: int) -> Turn:
        """The turn with this number, from 0; after the last one the task is finished again."""
        if number < len(self.turns):
            return self.turns[number]
        last = self.turns[-1] if self.turns else None
        return Turn(finish=(last and last.finish) or "Done.")


_SCRIPTS = TypeAdapter(list[Script])


def read_scripts(path: Path) -> list[Script]:
    """Scripts of a YAML file. Raises ScriptError with file, place and reason."""
    try:
        return _SCRIPTS.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScriptError(f"{path}: cannot be read: {error}") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ScriptError(f"{path}: {problems}") from None


def fitting(scripts: Sequence[Script], prompt: str, model: str) -> Script | None:
    """The first script that answers such a conversation."""
    return next((script for script in scripts if script.fits(prompt, model)), None)
