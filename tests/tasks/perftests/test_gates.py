"""For each gate a script that only it catches, and scripts that pass; in the real sandbox."""

from __future__ import annotations

from dataclasses import replace

import pytest

from configs.models import PerfTestConfig, SandboxConfig
from tasks.perftests.gates import Bench, run_gates, screen
from tasks.perftests.models import Proposal
from tasks.perftests.sources.pytest.source import from_tests
from tasks.perftests.targets import Targets, find_targets
from tasks.sandbox import Environment, open_sandbox
from tasks.sandbox.local.sandbox import LocalSandbox
from tests.speed import sized
from tests.tasks.perftests.conftest import Kit
from tests.tasks.perftests.gate_scripts import BAD, GOOD, GSO, WITHOUT, WORDS, changed

pytestmark = pytest.mark.quiet


def script(text: str, dialect: str = "isobench") -> Proposal:
    return Proposal("it", "kit.words.Counter.top", text, "seeded", dialect)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "dialect"), [(GOOD, "isobench"), (GSO, "gso")])
def test_good_scripts_pass_with_what_they_cover(text: str, dialect: str, bench: Bench, config: PerfTestConfig) -> None:
    verdict = run_gates(script(text, dialect), bench, config)
    assert verdict.accepted, verdict.reason
    assert verdict.covered == ["kit/words.py::Counter.top"]
    assert verdict.base_duration_s is not None
    seen = verdict.evidence
    assert (seen.line_share_base, seen.line_share_human) == (6 / 8, 2 / 4)  # all of top, nothing of middle and explode
    assert seen.setup_share in (0, None)
    assert {"values", "one value", "items", "nothing"} <= set(seen.check_rejects)
    assert seen.screen_speedup is not None
    assert seen.flags == []
    assert verdict.results_compared


def test_without_bubblewrap_gates_and_sources_see_the_changed_functions(
    kit: Kit, bench: Bench, config: PerfTestConfig
) -> None:
    """There the checkout lies where it is on this machine, and not at a path of the sandbox."""
    with LocalSandbox(use_bubblewrap=False) as sandbox:
        plain = replace(bench, sandbox=sandbox)
        verdict = run_gates(script(GOOD), plain, config.model_copy(update={"screen_rounds": 0}))
        offered = from_tests(
            kit.commit, [script("").api], PerfTestConfig(tests_per_commit=1), sandbox=sandbox, work=kit.work,
            base=kit.base, human=kit.human, limits=bench.limits,
        )  # fmt: skip
    assert verdict.accepted, verdict.reason
    assert verdict.evidence.line_share_base == 6 / 8
    assert len(offered) == 2  # twice as many as wanted: the gates choose


@pytest.mark.parametrize("gate", BAD)
def test_each_gate_catches_its_script(gate: str, bench: Bench, config: PerfTestConfig) -> None:
    if gate == "screen":  # however busy the machine is: five rounds of code that is as fast do not reach ten times
        config = config.model_copy(update={"screen_speedup": 10})
    verdict = run_gates(script(BAD[gate]), bench, config)
    assert verdict.gate == gate, verdict.reason
    assert verdict.detail


@pytest.mark.rotated(4)
@pytest.mark.parametrize("gate", WITHOUT)
def test_no_other_gate_would(gate: str, bench: Bench, config: PerfTestConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, stand_in in WITHOUT[gate]:
        monkeypatch.setattr(module, name, stand_in)
    verdict = run_gates(script(BAD[gate]), bench, config.model_copy(update={"screen_rounds": 0}))
    assert verdict.accepted, verdict.reason


VARIANTS = {
    "a name that the change removes": ("imports", changed("import Counter", "import Counter, no_such_name")),
    "a new function, if it is there": ("leak", changed("import random", "import random, kit").replace(
        "return Counter", "return hasattr(kit, 'no') and kit.words._ranked({}) or Counter")),
    "a look-up of a name": ("network", changed(
        "    rng =", "    __import__('socket').gethostbyname('example.org')\n    rng =")),
    "a file beside the code": ("writes", changed("    rng =", "    open('/arm/notes', 'w')\n    rng =")),
    "a result that is nothing": ("trivial", changed("return Counter.top(text, 40)", "Counter.top(text, 40)")),
    "a check of the first item only": ("check", changed("reference == candidate", "reference[0] == candidate[0]")),
    "a check that returns True": ("check", changed("assert reference == candidate", "return True")),
    "setup that raises": ("base_runs", changed("rng = random.Random(seed)", "raise ValueError('no workload')")),
    "a process that ends": ("base_runs", changed("return Counter.top(text, 40)", "import os; os._exit(0)")),
    "sys.exit": ("base_runs", changed("return Counter.top(text, 40)", "raise SystemExit(0)")),
    "a result that cannot be carried out": ("base_runs", changed("return Counter.top(text, 40)", "return object()")),
    "an empty result": ("trivial", changed("return Counter.top(text, 40)", "Counter.top(text, 40); return []")),
    "results from the clock": (
        "deterministic",
        changed("return Counter.top(text, 40)", "import time; return [('x', time.time_ns()), *Counter.top(text, 40)]"),
    ),
    "a second run that fails": (
        "deterministic",
        changed("    return C", "    seen.append(1)\n    assert len(seen) < 2\n    return C") + "\n\nseen = []\n",
    ),
    "a result without the change in it": (
        "trivial", changed("return Counter.top(text, 40)", "Counter.top(text, 40)\n    return [text[:99], len(text)]")),
    "too long": ("duration", changed("Counter.top(text, 40)", "[Counter.top(text, 40) for _ in range(40)]")),
    "the change only in setup": (
        "coverage",
        changed("    return Counter.top(text, 40)", "    return sorted(text)").replace(
            "    rng =", "    Counter.top('a b', 1)\n    rng ="
        ),
    ),
}  # fmt: skip


@pytest.mark.rotated(5)
@pytest.mark.parametrize("name", VARIANTS)
def test_other_ways_to_fail_a_gate(name: str, bench: Bench) -> None:
    gate, text = VARIANTS[name]
    longest = 0.01 if name == "too long" else 5
    config = PerfTestConfig(min_duration_s=1e-5, max_duration_s=longest, gate_timeout_s=60, screen_rounds=0)
    verdict = run_gates(script(text), bench, config)
    assert verdict.gate == gate, verdict.reason


def test_a_script_that_hangs_is_stopped(bench: Bench) -> None:
    hangs = changed("return Counter.top(text, 40)", "import time; time.sleep(600)")
    verdict = run_gates(script(hangs), bench, PerfTestConfig(gate_timeout_s=1.5))
    assert verdict.gate == "base_runs"
    assert "longer than" in verdict.detail


def test_the_complaint_holds_what_a_repair_needs(bench: Bench, config: PerfTestConfig) -> None:
    verdict = run_gates(script(BAD["base_runs"]), bench, config)
    assert "TypeError" in verdict.reason
    assert "experiment" in verdict.reason


def test_a_wrong_human_result_is_not_the_scripts_fault(bench: Bench, config: PerfTestConfig) -> None:
    words = bench.work / "human" / "kit" / "words.py"
    words.write_text(words.read_text().replace("[:number]", "[:number - 1]"))
    assert run_gates(script(GOOD), bench, config).accepted


def test_functions_that_are_all_new_are_looked_for_on_human(bench: Bench, config: PerfTestConfig) -> None:
    targets = find_targets(["kit/words.py::_ranked"], ["kit/words.py"], bench.work / "base", bench.work / "human")
    assert targets.arm == "human"
    on_human = Bench(bench.sandbox, bench.work, bench.base, bench.human, targets, bench.limits)
    assert run_gates(script(GOOD), on_human, config).covered == ["kit/words.py::_ranked"]


def test_without_known_functions_lines_of_changed_files_count(bench: Bench, config: PerfTestConfig) -> None:
    targets = find_targets([], ["kit/words.py", "README.md"], bench.work / "base", bench.work / "human")
    on_files = Bench(bench.sandbox, bench.work, bench.base, bench.human, targets, bench.limits)
    assert run_gates(script(GOOD), on_files, config).covered == ["kit/words.py"]
    assert run_gates(script(BAD["coverage"]), on_files, config).gate == "coverage"


def test_what_is_not_python_cannot_be_traced_and_passes(bench: Bench, config: PerfTestConfig) -> None:
    targets = find_targets(["kit/fast.c::top"], ["kit/fast.c"], bench.work / "base", bench.work / "human")
    assert targets == Targets(arm="human", code=frozenset(["kit/fast.c"]))
    on_c = Bench(bench.sandbox, bench.work, bench.base, bench.human, targets, bench.limits)
    verdict = run_gates(script(BAD["coverage"]), on_c, config.model_copy(update={"screen_rounds": 0}))
    assert verdict.accepted
    assert verdict.covered == []


FIXED = changed("random.Random(seed)", "random.Random(1)")
CALL = "return Counter.top(text, 40)"
PASSED = "Counter.top(text, 40)\n    return {'test': 'tests/test_top.py', 'outcome': 'passed'}"
SAYS_NOTHING = {
    "that it passed": FIXED.replace(CALL, PASSED),
    "something else": FIXED.replace(CALL, "Counter.top(text, 40)\n    return len(text)"),
}


@pytest.mark.parametrize("name", SAYS_NOTHING)
def test_a_result_that_says_nothing_about_the_work_is_marked(name: str, bench: Bench, config: PerfTestConfig) -> None:
    """Of a workload that cannot vary no three seeds tell it."""
    own = Proposal("it", "kit.words.Counter.top", SAYS_NOTHING[name], "pytest")
    verdict = run_gates(own, bench, config)
    assert verdict.accepted, verdict.reason
    assert not verdict.results_compared


def test_an_experiment_that_has_no_end_without_the_change_tells_of_it(bench: Bench, config: PerfTestConfig) -> None:
    waits = FIXED.replace(
        "return Counter.top(text, 40)", "while not Counter.top(text, 40):\n        pass\n    return len(text)"
    )
    verdict = run_gates(Proposal("it", "kit.words.Counter.top", waits, "asv"), bench, config)
    assert verdict.accepted, verdict.reason
    assert verdict.results_compared


@pytest.mark.docker
@pytest.mark.rotated(1)
@pytest.mark.parametrize("gate", [None, "coverage", "human_runs"])
def test_in_containers(gate: str | None, bench: Bench, config: PerfTestConfig, docker_image: str) -> None:
    environment = Environment(env_id="docker", kind="docker", python="python3", image=docker_image)
    arms = [arm.model_copy(update={"environment": environment}) for arm in (bench.base, bench.human)]
    sandbox = open_sandbox(SandboxConfig(kind="docker"))
    try:
        verdict = run_gates(
            script(BAD[gate] if gate else GOOD),
            Bench(sandbox, bench.work, arms[0], arms[1], bench.targets, bench.limits),
            config,
        )
    finally:
        sandbox.close()
    assert verdict.gate == gate, verdict.reason


SIZED = changed("def setup", "SIZE = 30\n\n\ndef setup").replace(f"range({WORDS})", "range(SIZE)").replace("40)", "3)")


@pytest.mark.parametrize(("size", "longest"), [(30, 2.0), (sized(120_000), 0.01)], ids=["too short", "too long"])
def test_a_script_that_offers_its_size_is_resized(size: int, longest: float, bench: Bench) -> None:
    config = PerfTestConfig(min_duration_s=0.0005, max_duration_s=longest, screen_rounds=0)
    verdict = run_gates(script(SIZED.replace("SIZE = 30", f"SIZE = {size}")), bench, config)
    assert verdict.accepted, verdict.reason
    assert verdict.script is not None
    found = int(verdict.script.partition("SIZE = ")[2].split()[0])
    assert (found > size) == (size == 30)
    assert found != size


def test_a_repeated_input_that_only_a_cache_serves_faster_is_flagged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "MAX_COLD", 1000)  # first calls that a busy machine holds up still tell something
    base = (bench.work / "base" / "kit" / "words.py").read_text()
    human = base.replace("    @staticmethod\n    def top(", "    @staticmethod\n    @functools.lru_cache\n    def top(")
    (bench.work / "human" / "kit" / "words.py").write_text(human.replace("import re", "import functools\nimport re"))
    text = GOOD.replace("return Counter.top(text, 40)", "return [Counter.top(text, 40) for _ in range(NUMBER)][-1]")
    own = Proposal("it", "kit.words.Counter.top", f"{text}\nCOPIES = 1\nNUMBER = 20\n", "pytest")
    verdict = run_gates(own, bench, PerfTestConfig())
    assert verdict.accepted, verdict.reason
    assert verdict.evidence.flags == ["faster_only_when_repeated"]
