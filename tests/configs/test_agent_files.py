"""Files of agents: those that are shipped, how mistakes are named, and what fills the words in braces."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from configs import agent_files
from configs.agent_files import AgentFile, InstallConfig, fill, load_agent, shipped
from configs.loading import ConfigError
from tasks.agents.installed.launching import Words, launch

WORDS = Words(
    prompt='make "it" faster {model}', prompt_file="/out/task.md", model="big", small_model="small",
    base_url="http://127.0.0.1:1", home="/home/agent", workspace="/workspace", out="/out",
)  # fmt: skip
GOOD = """
name: mine
install: {kind: npm, package: my-agent, version: 1.10}
argv: [my-agent, "{prompt}"]
protocol: openai
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", shipped())
def test_shipped_agents_are_pinned_readable_and_hold_no_key(name: str) -> None:
    agent = load_agent(name)
    assert agent.name == name
    assert agent.about
    assert agent.install.kind == "none" or agent.install.version
    if agent.reader is not None:
        assert callable(importlib.import_module(f"tasks.agents.installed.{agent.reader}").read)
    started = launch(agent, WORDS)
    keys = [value for variable, value in started.variables.items() if variable.endswith("_KEY")]
    assert set(keys) <= {"isobench"}
    everything = [*started.argv, *started.variables.values(), *started.files.values(), started.stdin.decode()]
    assert any("make" in text or WORDS.prompt_file in text for text in everything)
    assert any(WORDS.base_url in text for text in everything)
    assert any("big" in text for text in everything)


def test_the_agents_that_were_promised_are_there() -> None:
    assert shipped() == [
        "claude-code", "codex", "command", "gemini-cli", "mini-swe-agent", "opencode", "openhands", "trae",
    ]  # fmt: skip


def test_an_agent_is_read_from_a_file_and_versions_are_text(tmp_path: Path) -> None:
    agent = load_agent(write(tmp_path, GOOD))
    assert agent.install.version == "1.10"
    assert agent.programs == ["my-agent"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (GOOD.replace("protocol: openai", ""), "mine.yaml:1: protocol: field required"),
        (GOOD.replace(", version: 1.10", ""), "mine.yaml:3: install: kind 'npm' needs version"),
        (GOOD + "varables: {}\n", "mine.yaml:6: varables: extra inputs are not permitted"),
        (GOOD + "variables: {PATH: /x}\n", "mine.yaml:6: variables: PATH is made of"),
        (GOOD + "files: [{path: '{home}/../x', content: ''}]\n", "mine.yaml:6: files.0.path: must be a name below"),
        (GOOD + "files: [{path: '/etc/x', content: ''}]\n", "mine.yaml:6: files.0.path: string should match pattern"),
        (GOOD + "trajectory: /etc/passwd\n", "mine.yaml:6: trajectory: must be a name below its folder"),
        (GOOD + "reader: ../x\n", "mine.yaml:6: reader: string should match pattern"),
        (GOOD.replace("kind: npm, package: my-agent", "kind: git, repository: r"), "must be a commit: 40 hex digits"),
        ("name: [", "mine.yaml:1"),
        ("", "the file"),
    ],
)
def test_mistakes_are_named_with_their_line(text: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_agent(write(tmp_path, text))
    assert problem in str(error.value)


def test_every_option_and_every_word_is_in_the_page() -> None:
    page = Path("docs/how-to/add-an-agent.md").read_text()
    names = [*AgentFile.model_fields, *InstallConfig.model_fields, *(f"{{{word}}}" for word in (*WORDS.model_dump(),))]
    assert [name for name in names if f"`{name}`" not in page] == []
    assert set(WORDS.model_dump()) == set(agent_files.WORDS)


def test_an_unknown_name_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="agent 'claude': there is no such agent; there are claude-code, codex"):
        load_agent("claude")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_agent(tmp_path / "none.yaml")


def test_a_command_line_is_an_agent() -> None:
    agent = load_agent("command: ./My-Agent.sh --task '{prompt_file}' it\\'s.yaml")
    assert agent.name == "command-my-agent.sh"
    assert launch(agent, WORDS).argv == ("./My-Agent.sh", "--task", "/out/task.md", "it's.yaml")
    assert launch(agent, WORDS).variables["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"
    with pytest.raises(ConfigError, match="no command line: No closing quotation"):
        load_agent("command: 'x")
    with pytest.raises(ConfigError, match="expected a command line"):
        load_agent("command: ")


def test_only_our_words_in_braces_are_filled_in_and_only_once() -> None:
    text = fill('{"a": {"b": "{model}"}, "c": "{other}", "d": "{prompt}"}', WORDS.model_dump())
    assert text == '{"a": {"b": "big"}, "c": "{other}", "d": "make "it" faster {model}"}'


def test_the_task_goes_to_standard_input_where_the_file_says_so() -> None:
    agent = load_agent("claude-code")
    assert launch(agent, WORDS).stdin == WORDS.prompt.encode()
    other = AgentFile.model_validate({**agent.model_dump(), "stdin": "none"})
    assert launch(other, WORDS).stdin == b""
