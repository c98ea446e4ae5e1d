"""The file that `isobench agents` reads: what is wrong with one is told with its line and what was expected."""

from __future__ import annotations

import pytest

from configs.agent_runs import AgentsConfig, load_agents_config
from configs.loading import ConfigError

GOOD = "agents: [mini-swe-agent]\nmodels:\n- {name: m, provider: openai}\n"


def load(tmp_path, text: str, *overrides: str) -> AgentsConfig:
    (tmp_path / "agents.yaml").write_text(text)
    return load_agents_config(tmp_path / "agents.yaml", list(overrides))


def test_the_smallest_file(tmp_path):
    found = load(tmp_path, GOOD)
    assert (found.samples, found.attempt.minutes, found.budget.usd, found.attempt.perf_tests) == (1, 120, 5, "none")
    provider = found.models[0].provider
    assert (provider.protocol, provider.base_url, provider.key) == (
        "openai", "https://api.openai.com", "OPENAI_API_KEY",
    )  # fmt: skip


def test_paths_in_a_file_are_relative_to_it_and_those_of_overrides_are_not(tmp_path):
    text = GOOD.replace("mini-swe-agent", "./a.yaml, codex") + "dataset: data/x.jsonl\n"
    found = load(tmp_path, text)
    assert found.agents == [str(tmp_path / "a.yaml"), "codex"]
    assert found.dataset == str(tmp_path / "data" / "x.jsonl")
    assert load(tmp_path, text, "dataset=y.jsonl").dataset == "y.jsonl"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "samples: two\n", "agents.yaml:4: samples: expected an integer greater than 0"),
        (GOOD + "budgets: {usd: 1}\n", "agents.yaml:4: budgets: unknown option; did you mean 'budget'?"),
        (GOOD + "budget: {usd: -1}\n", "agents.yaml:4: budget.usd: expected"),
        (GOOD + "attempt: {prompt: gso}\n", "perf_tests: example"),
        (GOOD + "- {name: m, provider: gemini}\n", "two models have the name 'm'"),
        (GOOD.replace("openai", "{protocol: openai, base_url: 'http://h', key: sk-secret}"), "name of a variable"),
        (GOOD.replace("openai", "{protocol: openai, base_url: 'http://u:secret@h'}"), "holds a password or token"),
        (GOOD.replace("openai", "{protocol: openai}"), "give base_url, or translate"),
        ("models: []\nagents: []\n", "agents.yaml:1: models: "),
        ("", "agents.yaml: empty"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
