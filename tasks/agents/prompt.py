"""What an agent is told, by preset, and which perf tests it sees; held against the human's diff before it is used."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from configs.attempts import AttemptConfig, PromptPreset
from storage.tables import Instance
from tasks.agents.workspace import REPOSITORY_DIR, TESTS_DIR
from tasks.code.diffs import read_diff
from tasks.code.leaks import GivesAway, find_leaks, must_not_leak
from tasks.code.paths import is_benchmark_path, is_docs_path, is_test_path
from tasks.llm import render
from tasks.llm.models import Prompt

TEMPLATES: dict[PromptPreset, str] = {
    "isobench": "agent_isobench",
    "iso-bench": "agent_iso_bench",
    "gso": "agent_gso",
}
"""Preset -> template in `configs/prompts`."""
_SCRIPTS = ("isobench", "gso")


class PromptError(ValueError):
    """An instance has not what a preset tells of, or what it tells gives the human's change away."""


class PerfTestShown(BaseModel):
    """A perf test that the agent sees."""

    model_config = ConfigDict(frozen=True)

    name: str
    """File name in `TESTS_DIR`."""
    text: str


class AgentPrompt(BaseModel):
    """What an agent is told."""

    model_config = ConfigDict(frozen=True)

    text: str
    sha: str
    """Of template, version and text."""
    perf_tests: list[PerfTestShown] = []
    notes: list[str] = []
    """Perf tests that are not shown since they tell too much."""


def write_prompt(instance: Instance, settings: AttemptConfig) -> AgentPrompt:
    """The prompt of an instance by the preset of the settings, with its statement as the row has it.

    Whatever it says passes `must_not_leak`; a perf test that holds a line of the human's is not shown. Raises
    PromptError.
    """
    shown, notes = perf_tests_shown(instance, settings)
    if settings.prompt == "gso" and not shown:
        raise PromptError(f"{instance.instance_id} has no perf test to show, of which prompt gso tells: use another")
    apis = list(dict.fromkeys(name for name in (instance.api, *instance.test_functions) if name))
    targets = target_files(instance.patch)
    statement = instance.problem_statement.strip() or f"Calls of {', '.join(apis)} are slow."
    if not instance.problem_statement.strip() and not apis:
        raise PromptError(f"{instance.instance_id} says neither what is slow nor which names it is about")
    made = _filled(instance.repo, statement, apis, shown, targets, settings.prompt)
    if "\0" in made.user:
        raise PromptError(f"what is said of {instance.instance_id} holds a NUL, which no command line can")
    # our own words say nothing of the change, whatever names it uses
    frame = _filled("", "", [], shown, [], settings.prompt)
    try:
        must_not_leak(made.user, instance.patch, [frame.user, *apis, *targets, *(test.text for test in shown)])
    except GivesAway as error:
        raise PromptError(f"the prompt of {instance.instance_id} is not shown to an agent: {error}") from error
    return AgentPrompt(text=made.user + "\n", sha=made.sha, perf_tests=shown, notes=notes)


def perf_tests_shown(instance: Instance, settings: AttemptConfig) -> tuple[list[PerfTestShown], list[str]]:
    """(the perf tests that an agent sees, notes on those that it does not see although it should)."""
    if settings.perf_tests == "none" or settings.prompt == "iso-bench":
        return [], []
    found: list[PerfTestShown] = []
    notes = []
    dialects = instance.dialects or ["isobench"] * len(instance.efficiency_test)
    for number, (script, dialect) in enumerate(zip(instance.efficiency_test, dialects, strict=False), 1):
        if dialect not in _SCRIPTS:
            notes.append(f"perf test {number} is a command, which is not shown")
        elif find_leaks(script, instance.patch).lines_leaked:
            notes.append(f"perf test {number} holds lines of the human's change and is not shown")
        else:
            found.append(PerfTestShown(name=f"perf_test_{number}.py", text=script))
        if found and settings.perf_tests == "example":
            break
    return found, notes


def target_files(patch: str) -> list[str]:
    """Files of base that the human changed: source only, no tests, benchmarks or documentation."""
    found = []
    for section in read_diff(patch.encode("utf-8", "surrogateescape")).sections:
        old = next((line for line in section.head if line.startswith(b"--- ")), b"")
        match = re.fullmatch(rb'--- "?a/([^\t"]+)"?\t?', old)
        name = match[1].decode("utf-8", "backslashreplace") if match else ""
        if name and not (is_test_path(name) or is_benchmark_path(name) or is_docs_path(name)):
            found.append(name)
    return sorted(found)


def _filled(
    repo: str, statement: str, apis: Sequence[str], shown: Sequence[PerfTestShown], targets: Sequence[str],
    preset: PromptPreset,
) -> Prompt:  # fmt: skip
    return render(
        TEMPLATES[preset], repo=repo, workspace=REPOSITORY_DIR, tests_dir=TESTS_DIR, statement=statement, apis=apis,
        perf_tests=shown, target_files=targets,
    )  # fmt: skip
