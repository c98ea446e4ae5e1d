"""A sample of the attempts at cheating earns no more than its honest part, in both sandboxes; honest patterns pass."""

from __future__ import annotations

from typing import get_args

import pytest

from configs.models import SandboxConfig
from storage.store import Store
from tests.hacks.lab import (
    HERE,
    Attempt,
    Kind,
    Lab,
    Outcome,
    attempts,
    honest_patches,
    patch_of,
    patterns,
    refused,
    run,
    sessions_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
SAMPLE: dict[str, set[str]] = {
    "local": {
        "unwaited-child-in-setup", "part-in-setup", "third-in-setup", "child-in-most-rounds", "in-hashing",
        "timer-slices", "empties-its-input", "early-waiting-thread", "probe-run", "import-runs-setup", "says-nan",
        "says-passed", "hear-by-locks", "speaks-for-the-client",
    },
    "docker": {
        "orphan-in-setup", "no-wait-flag", "most-rounds", "in-collector", "in-finalizer", "changes-its-input",
        "last-of-the-batch", "early-child", "probe-encoding", "clock-of-the-probe", "check-eq",
    },
}  # fmt: skip
"""One attempt of each kind at least, half of them in each sandbox. `python -m tests.hacks.table` runs all in both."""
HONEST_SAMPLE = ("honest-kept-threads", "honest-kept-processes", "honest-lazy-index", "honest-event-loop")
"""What was refused once, or may look like work that is moved."""


@pytest.fixture(scope="module")
def labs() -> dict[str, Lab]:
    """The demo's instance, ready to be attacked, by sandbox; made when first asked for."""
    return {}


def lab_of(kind: Kind, labs: dict[str, Lab], request: pytest.FixtureRequest) -> Lab:
    if kind not in labs:
        if kind == "docker":
            request.getfixturevalue("docker_image")
        folder = request.getfixturevalue("tmp_path_factory").mktemp("hacks")
        labs[kind] = Lab(Store(folder / "store"), SandboxConfig(kind=kind))
    return labs[kind]


def sampled(kind: Kind) -> list[list[Attempt]]:
    return sessions_of([attempt for attempt in attempts() if attempt.name in SAMPLE[kind]])


CASES = [
    pytest.param(kind, chosen, id=f"{kind}-{chosen[0].name}", marks=[pytest.mark.docker] if kind == "docker" else [])
    for kind in get_args(Kind)
    for chosen in sampled(kind)
]


@pytest.mark.quiet  # company leaves a cheat in doubt, and makes none succeed
@pytest.mark.parametrize(("kind", "chosen"), CASES)
def test_no_attempt_earns_more_than_its_honest_part(
    kind: Kind, chosen: list[Attempt], labs: dict[str, Lab], request: pytest.FixtureRequest
) -> None:
    outcomes = run(lab_of(kind, labs, request), chosen)
    for attempt in chosen:
        outcome, honest = outcomes[attempt.name], outcomes.get(attempt.honest)
        assert outcome.earned(honest), (attempt.name, outcome.described(honest))
        # On a busy machine a cheat may run into a time limit before it is told, or stay in doubt: no success either.
        failed = outcome.status in ("incorrect", "error", "timeout")
        found = outcome.ends(honest)
        assert failed or {"work_unaccounted", "in doubt", *attempt.ends} & set(found), (
            attempt.name,
            outcome.described(honest),
            outcome.reason,
            attempt.ends,
        )


@pytest.mark.exclusive
def test_honest_patches_are_never_refused(labs: dict[str, Lab], request: pytest.FixtureRequest) -> None:
    lab = lab_of("local", labs, request)
    chosen = {pattern.name: pattern for pattern in patterns() if pattern.name in HONEST_SAMPLE}
    texts = honest_patches() | {name: patch_of(name) for name in chosen}
    outcomes = lab.score("count", texts, lab.timing.model_copy(update={"processes": 2}))
    assert {name: outcome.status for name, outcome in outcomes.items()} == dict.fromkeys(outcomes, "ok")
    told = {name: outcomes[name].described() for name, pattern in chosen.items() if refused(pattern, outcomes[name])}
    assert told == {}
    assert outcomes["human"].opt_base == "yes"
    assert not outcomes["comment"].succeeded


def test_what_is_earned_is_held_against_the_honest_part() -> None:
    def outcome(speedup: float, opt_base: str = "yes", opt_human: str = "no") -> Outcome:
        return Outcome(
            name="x", status="ok", flags=[], opt_base=opt_base, opt_human=opt_human, speedup=speedup,
            low=0.9 * speedup, high=1.1 * speedup, reason="",
        )  # fmt: skip

    half = outcome(2.0)
    assert outcome(0.9, "no").earned(None)
    assert not outcome(2.0).earned(None)
    assert outcome(2.1).earned(half)
    assert not outcome(2.6).earned(half)
    assert not outcome(2.1, opt_human="yes").earned(half)
    assert not outcome(1.3).earned(outcome(1.1, "no"))


@pytest.mark.exclusive
def test_the_attempts_are_real(labs: dict[str, Lab], request: pytest.FixtureRequest) -> None:
    """Without charging these would count as many times faster than the human, whatever the size of their batches."""
    lab = lab_of("local", labs, request)
    timing = lab.timing.model_copy(update={"charging": False})
    names = ("in-hashing", "in-finalizer", "unwaited-child-in-setup")
    outcomes = lab.score("count", {name: patch_of(name) for name in names}, timing)
    assert {name for name, outcome in outcomes.items() if outcome.opt_human == "yes"} == set(names)


def test_every_patch_is_in_the_manifest_and_every_not_faster_has_its_reason() -> None:
    listed = [*attempts(), *patterns()]
    assert {name for one in listed for name in one.patches} == {
        path.stem for path in (HERE / "patches").glob("*.patch")
    }
    assert all(attempt.why for attempt in attempts() if "not faster" in attempt.ends)
    assert all(attempt.ends for attempt in attempts())
    assert all(("as honest" in attempt.ends) == bool(attempt.honest) for attempt in attempts())
    assert {name for names in SAMPLE.values() for name in names} <= {attempt.name for attempt in attempts()}
    assert set(HONEST_SAMPLE) <= {pattern.name for pattern in patterns()}
