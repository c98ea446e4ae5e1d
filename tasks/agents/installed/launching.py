"""An agent's command line, variables and files, with the words of its file filled in."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from configs.agent_files import AgentFile, fill
from tasks.agents.installed.installing import AGENT_DIR


class Words(BaseModel):
    """What stands for the words in braces: folders and files as the agent sees them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    """The task's text."""
    prompt_file: str
    """The file that holds it."""
    model: str
    small_model: str
    """The model for small things, such as titles; may be the same."""
    base_url: str
    """Where the model is reached, without `/v1`."""
    home: str
    workspace: str
    """Where the repository is; the agent starts there."""
    out: str
    """A writable folder that is kept when the attempt ends."""
    agent: str = AGENT_DIR
    """Where the agent is installed."""


class Launch(BaseModel):
    """What is started."""

    model_config = ConfigDict(frozen=True)

    argv: tuple[str, ...]
    stdin: bytes
    variables: dict[str, str]
    """All but PATH and HOME, which depend on the environment."""
    files: dict[str, str]
    """Path as the agent sees it, in its home or its out folder -> content."""


def launch(agent: AgentFile, words: Words) -> Launch:
    """The agent with these words."""
    found: Mapping[str, str] = words.model_dump()
    return Launch(
        argv=tuple(fill(word, found) for word in agent.argv),
        stdin=words.prompt.encode() if agent.stdin == "prompt" else b"",
        variables={name: fill(value, found) for name, value in agent.variables.items()},
        files={fill(file.path, found): fill(file.content, found) for file in agent.files},
    )
