"""All sources together, from the store to the store; the model is the provider that answers from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from configs.models import LLMConfig, PerfTestConfig, RepositoryConfig, SandboxConfig
from storage.store import Store
from storage.tables import Api, LlmCall, PerfTest
from tasks.llm import LlmError, demo
from tasks.perftests import writing
from tasks.perftests.models import Written
from tasks.perftests.sources.llm import build_prompt
from tasks.perftests.sources.signatures import describe_apis
from tasks.perftests.stage import _key
from tests.speed import sized

pytestmark = pytest.mark.quiet

Kit = Any  # of conftest.py
LLM = LLMConfig(model=demo.MODEL)
GOOD = '''
import random
from kit.words import Counter


def setup(seed):
    """Words of a page."""
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(200)}" for _ in range(3000))


def experiment(text):
    return Counter.top(text, 40)


def check_equivalence(reference, candidate):
    assert reference == candidate
'''.replace("3000", str(sized(3000)))
FIXED_SEED = GOOD.replace("Random(seed)", "Random(1)")


@pytest.fixture
def store(kit: Kit) -> Store:
    found = Store(kit.work / "store")
    api = Api(
        repo="o/kit", sha=kit.commit.sha, api="kit.words.Counter.top", rank=1, evidence=["kit.words.Counter.top"],
        source="static",
    )  # fmt: skip
    found.append([kit.commit, api])
    return found


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes what the model answers, turn by turn."""
    folder = tmp_path / "answers"
    folder.mkdir()
    monkeypatch.setattr(demo, "FOLDER", folder)

    def write(*turns: Any) -> None:
        index = []
        for attempt, turn in enumerate(turns, 1):
            text = turn if isinstance(turn, str) else json.dumps({"tests": turn})
            (folder / f"{attempt}.txt").write_text(text)
            index.append({"task": "perf_test", "commit": "b" * 40, "attempt": attempt, "file": f"{attempt}.txt"})
        (folder / "index.yaml").write_text(json.dumps(index))

    return write


def one(name: str, script: str) -> dict[str, str]:
    return {"name": name, "api": "kit.words.Counter.top", "script": script}


def write_tests(kit: Kit, store: Store, seeded: list[str] | None = None, **config: Any) -> Written:
    llm = config.pop("llm", LLM)
    chosen = PerfTestConfig(**{"min_duration_s": 0.0005, "screen_rounds": 0, "sources": ["llm"], **config})
    base, human = (
        arm.model_copy(update={"checkout": str(kit.work / arm.checkout)}) for arm in (kit.base, kit.human)
    )  # absolute: the work folder of the store is elsewhere
    return writing.write_perf_tests(
        "o/kit", chosen, llm, SandboxConfig(memory_mb=1024), kit.commit.sha, base, human, seeded or [], store
    )


def rows(store: Store) -> dict[str, PerfTest]:
    return {row.test_id: row for row in store.rows(PerfTest, "o/kit")}


def test_a_rejected_script_is_repaired_with_the_gates_complaint(kit: Kit, store: Store, answers: Any) -> None:
    answers([one("page", GOOD), one("fixed", FIXED_SEED)], [one("fixed", GOOD.replace("a page", "a book"))])
    written = write_tests(kit, store, tests_per_commit=2)
    assert len(written.accepted) == 2
    assert written.rejected == {}
    kept = rows(store)
    assert [kept[test_id].attempts for test_id in written.accepted] == [1, 2]
    assert all(kept[test_id].covered == ["kit/words.py::Counter.top"] for test_id in written.accepted)
    assert all(kept[test_id].model == demo.MODEL for test_id in written.accepted)
    assert [row.outcome for row in store.rows(LlmCall)] == ["ok", "ok"]


def test_a_script_that_stays_bad_is_kept_with_its_reason(kit: Kit, store: Store, answers: Any) -> None:
    answers([one("fixed", FIXED_SEED)])
    written = write_tests(kit, store, repair_turns=1)
    assert written.accepted == []
    [(test_id, reason)] = written.rejected.items()
    assert reason.startswith("seeds: ")
    assert rows(store)[test_id].status == "rejected"
    assert rows(store)[test_id].attempts == 2


def test_an_answer_that_cannot_be_used_is_a_row_with_its_reason(kit: Kit, store: Store, answers: Any) -> None:
    answers("I cannot do this.")
    written = write_tests(kit, store)
    [(test_id, reason)] = written.rejected.items()
    assert reason.startswith("answer: ")
    assert rows(store)[test_id].script == ""
    assert len(store.rows(LlmCall)) == 2


def test_a_fault_of_the_model_is_not_a_result(kit: Kit, store: Store, answers: Any) -> None:
    answers()
    with pytest.raises(LlmError, match="no answer"):
        write_tests(kit, store)


def test_without_a_model_the_other_sources_go_on(kit: Kit, store: Store) -> None:
    written = write_tests(kit, store, sources=["llm", "pytest"], llm=None, tests_per_commit=1, min_duration_s=0.01)
    assert len(written.accepted) == 1
    assert written.reason == "llm: skipped, no model is configured (section llm)"
    [row] = [row for row in rows(store).values() if row.status == "accepted"]
    assert (row.source, row.api) == ("pytest", "kit.words.Counter.top")
    others = [row for row in rows(store).values() if row.status == "rejected"]
    assert len(others) <= 1  # twice as many are offered; one that is not needed is judged, or not even that
    assert all(row.reason.startswith("choice: accepted, but 1 others looked faster") for row in others)


def test_seeded_scripts(kit: Kit, store: Store) -> None:
    written = write_tests(kit, store, [GOOD, FIXED_SEED, "def setup(:"], sources=["seeded"], llm=None)
    assert len(written.accepted) == 1
    assert sorted(reason.split(":")[0] for reason in written.rejected.values()) == ["parses", "seeds"]
    assert write_tests(kit, store, sources=["seeded"], llm=None).reason == "seeded: none is given for this commit"


def test_a_commit_that_was_not_mined(kit: Kit, tmp_path: Path) -> None:
    with pytest.raises(writing.UnknownCommit, match="run mining first"):
        write_tests(kit, Store(tmp_path / "other"))


def test_the_prompt_says_what_the_change_is_about(kit: Kit) -> None:
    described = describe_apis(["kit.words.Counter.top", "kit.nowhere.x"], kit.work / "base", ["."])
    assert described == ["kit.words.Counter.top(text, number)\n    The most frequent words.", "kit.nowhere.x"]
    prompt = build_prompt(LLMConfig(model="a/model"), kit.commit, described, PerfTestConfig())
    for line in ("task: perf_test", f"commit: {kit.commit.sha}", "subject: Rank words by sorting once"):
        assert line in prompt.user.splitlines()
    assert "The most frequent words." in prompt.user
    assert "0.005 s and 60 s" in prompt.system


def test_the_cache_key_is_made_of_content(kit: Kit, store: Store, tmp_path: Path) -> None:
    def key(**changes: Any) -> str:
        parameters = {
            "repository": RepositoryConfig(name="o/kit", url="/somewhere"),
            "perf_tests": PerfTestConfig(sources=["llm", "seeded"]),
            "llm": LLM,
            "sandbox": SandboxConfig(),
            "sha": kit.commit.sha,
            "base": kit.base,
            "human": kit.human,
            "seeded": [GOOD],
            "store": store.root,
        }
        return _key(None, {**parameters, **changes})

    moved = Store(tmp_path / "moved")
    moved.append([*store.rows(Api)])
    same = [
        {"store": moved.root},
        {"repository": RepositoryConfig(name="o/kit", url="/elsewhere")},
        {"perf_tests": PerfTestConfig(sources=["llm", "seeded"], seeded={"b" * 7: ["other/path.py"]})},
        {"llm": LLM.model_copy(update={"budget_usd": 5.0, "retries": 9})},
    ]
    other = [
        {"sha": "c" * 40},
        {"perf_tests": PerfTestConfig(sources=["seeded"])},
        {"llm": LLM.model_copy(update={"model": "openai/x"})},
        {"seeded": [FIXED_SEED]},
        {"human": kit.human.model_copy(update={"arm_id": "another"})},
        {"store": str(tmp_path / "without-apis")},
    ]
    assert {key(**change) for change in same} == {key()}
    assert len({key(**change) for change in other} | {key()}) == 1 + len(other)
