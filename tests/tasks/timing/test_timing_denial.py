"""An arm that denies the session its time or its memory ends alone; the others are timed as if it were not there."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import pytest

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from tasks.sandbox import open_sandbox
from tasks.sandbox.models import Environment, Limits
from tasks.timing import patience
from tasks.timing.models import ArmState, Session, SessionState
from tasks.timing.processes import SessionContext
from tasks.timing.protocols.interleaved import interleaved
from tasks.timing.result_check import ResultChecker
from tasks.timing.session import run_session
from tests.tasks.timing.sessions import FAST, SCRIPT, SLOW, arm

pytestmark = pytest.mark.quiet

TIMING = TimingConfig(min_rounds=4, max_rounds=4, processes=1, budget_s=60, call_timeout_s=3, seed=1)
DENIALS = {
    "sleeps while it is imported": ("import time\ntime.sleep(60)\n", "timeout", "load took longer"),
    "works while it is imported": ("while True: pass\n", "timeout", "load took longer"),
    "floods every pipe it has": (
        "import os\nfor fd in range(3, 9):\n    try:\n        while True: os.write(fd, bytes(1 << 20))\n"
        "    except OSError: pass\n",
        "error", "an answer to load of more than 1 MiB",
    ),
    "closes every pipe it has": ("import os\nos.closerange(3, 50)\n", "error", "died"),
    "returns 40 MB": ("def total(values): return bytes(40 << 20)\n", "error", "an answer to result of more than"),
    "returns an integer of 100 million bits": ("def total(values): return 1 << 10**8\n", "error", "more than"),
    "returns lists within lists": (
        "def total(values):\n    for _ in range(100_000): values = [values]\n    return values\n", "error", "nested",
    ),
    "raises 50 MB": ("def total(values): raise ValueError('x' * (50 << 20))\n", "error", "ValueError: x"),
    "takes all memory": ("def total(values):\n    while True: values = values * 2\n", "error", "out of memory"),
    "leaves in the middle": ("import os\ndef total(values): os._exit(3)\n", "error", "exit code 3"),
    "takes its time to be looked at": (
        "import enum, time\nclass Slow(enum.Enum):\n    ONE = 1\n    name = property(lambda self: time.sleep(60))\n"
        "def total(values): return Slow.ONE\n",
        "incorrect", "",  # nobody asks it
    ),
}  # fmt: skip

IN_A_CONTAINER = ("sleeps while it is imported", "floods every pipe it has", "returns 40 MB", "takes all memory")
"""The ways that meet other code of ours there."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps may take two seconds in any case, instead of ten."""
    monkeypatch.setattr(patience, "LIMIT_S", 2.0)


@pytest.mark.rotated(1)
@pytest.mark.parametrize("kind", ["local", pytest.param("docker", marks=pytest.mark.docker)])
def test_whoever_denies_ends_alone(store: Store, impatient: None, kind: str, request: pytest.FixtureRequest) -> None:
    denials = DENIALS if kind == "local" else {name: DENIALS[name] for name in IN_A_CONTAINER}
    bodies = {"base": SLOW, "human": FAST, "patch:honest": FAST}
    bodies |= {f"patch:{name}": FAST + body for name, (body, _, _) in denials.items()}
    environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
    if kind == "docker":
        image = request.getfixturevalue("docker_image")
        environment = Environment(env_id="image", kind="docker", python="python3", image=image)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: Session = run_session(
        repo="a/b", instance_id=None,
        arms=[arm(store, name, body).model_copy(update={"environment": environment}) for name, body in bodies.items()],
        test_id="t", script=SCRIPT, dialect="isobench", timing=TIMING, scoring=ScoringConfig(),
        sandbox=SandboxConfig(kind=kind, memory_mb=400, tmp_mb=64), store=store,
    )  # fmt: skip
    assert found.base_failure == ""
    ended = {outcome.arm.removeprefix("patch:"): outcome for outcome in found.outcomes}
    said = {name: (ended[name].status, reason in ended[name].reason) for name, (_, _, reason) in denials.items()}
    assert said == {name: (status, True) for name, (_, status, _) in denials.items()}, ended
    assert {ended[name].status for name in ("base", "human", "honest")} == {"ok"}
    assert found.n_rounds == 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 400 * 1024


def test_what_an_arm_wastes_is_not_taken_from_the_others(store: Store, impatient: None) -> None:
    """Three imports that never end take twice the budget; the session has all of its rounds."""
    bodies = {"base": SLOW, "human": FAST} | {f"patch:{n}": "import time\ntime.sleep(60)\n" for n in range(3)}
    arms = {name: arm(store, name, body) for name, body in bodies.items()}
    timing = TIMING.model_copy(update={"budget_s": 3})
    with open_sandbox(SandboxConfig()) as sandbox:
        context = SessionContext(sandbox, store.work, arms, SCRIPT, "isobench", timing, Limits())
        state = interleaved(context, (0,), lambda state, confidence: {"human"})
    assert [state.states[f"patch:{n}"].status for n in range(3)] == ["timeout"] * 3
    assert state.extra_s > (2 - patience.SLACK_S) - patience.ALLOWED * (
        state.base_load_s or 0
    )  # all at the same moment
    assert state.alive("human")


def test_who_wastes_a_whole_budget_is_out() -> None:
    state = SessionState(states={name: ArmState(name) for name in ("base", "patch:a", "patch:b")})
    for _ in range(4):
        taken_s = {"base": 1.0, "patch:a": 1.9, "patch:b": 6.0}
        patience.charge(state, patience.beyond(taken_s), budget_s=10)
    assert state.states["patch:a"].status == "ok"
    assert state.states["patch:b"].status == "timeout"
    assert "11 s more than base" in state.states["patch:b"].reason
    assert state.extra_s == pytest.approx(15.0)
    patience.charge(state, {"patch:a": 3.0, "patch:b": 2.0}, budget_s=10, at_once=True)
    assert state.extra_s == pytest.approx(18.0)  # who ran side by side took the session's time once


def test_a_comparison_that_never_ends_costs_its_candidate(store: Store, impatient: None) -> None:
    """The check looks at every item; what a candidate makes of its items is the candidate's fault."""
    script = SCRIPT.replace("    assert reference == candidate", "    assert sum(reference) == sum(candidate)")
    with open_sandbox(SandboxConfig()) as sandbox:
        timing = TIMING.model_copy(update={"call_timeout_s": 60})
        context = SessionContext(
            sandbox, store.work, {"base": arm(store, "base", FAST)}, script, "isobench", timing, Limits()
        )
        with ResultChecker(context) as checker:
            good, same = b'v["list",[1,2]]', b'v["tuple",[1,2]]'
            assert checker.check(good, same) == ("ok", "")
            start = time.monotonic()
            status, reason = checker.check(good, b'v["range",[0,100000000000000,1]]')
            assert (status, "check took longer" in reason) == ("timeout", True)
            assert time.monotonic() - start < 55
            assert checker.check(good, same) == ("ok", "")
            assert checker.check(good, b'v["list",[1,3]]')[0] == "incorrect"
