"""Every attempt at cheating ends as a failed status or with a flag, in both sandboxes; honest patches never do."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.models import SandboxConfig
from storage.store import Store
from tests.hacks.lab import HERE, Attempt, Lab, attempts, honest_patches, run, sessions_of

pytestmark = [pytest.mark.slow, pytest.mark.exclusive, pytest.mark.timeout(300)]
SESSIONS = sessions_of(attempts())


@pytest.fixture(scope="module", params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The demo's instance, ready to be attacked."""
    if request.param == "docker":
        request.getfixturevalue("docker_image")
    return Lab(Store(tmp_path_factory.mktemp("hacks") / "store"), SandboxConfig(kind=request.param))


@pytest.mark.parametrize("chosen", SESSIONS, ids=[f"{len(group)}-with-{group[0].name}" for group in SESSIONS])
def test_no_attempt_succeeds(lab: Lab, chosen: list[Attempt]) -> None:
    for name, outcome in run(lab, chosen).items():
        allowed = next(attempt.ends for attempt in chosen if attempt.name == name)
        assert not outcome.succeeded, (name, outcome)
        # On a busy machine a cheat may run into a time limit before it is flagged, or stay in doubt: no success either.
        failed = outcome.status in ("incorrect", "error", "timeout")
        assert failed or "work_unaccounted" in outcome.flags or set(outcome.ends) & set(allowed), (
            name,
            str(outcome),
            outcome.reason,
            allowed,
        )


@pytest.mark.parametrize("turn", range(2))
def test_honest_patches_are_never_flagged(lab: Lab, turn: int) -> None:
    outcomes = lab.score("count", honest_patches(), lab.timing.model_copy(update={"processes": 2}))
    assert {name: outcome.flags for name, outcome in outcomes.items()} == {name: [] for name in outcomes}
    assert {outcome.status for outcome in outcomes.values()} == {"ok"}
    assert outcomes["human"].opt_base == "yes"
    assert not outcomes["comment"].succeeded


def test_the_attempts_are_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the flags these would count as many times faster than the human, whatever the size of their batches."""
    lab = Lab(Store(tmp_path / "store"), SandboxConfig())
    monkeypatch.setattr("tasks.timing.judgement.clock_flags", lambda samples, arm: [])
    names = ("probe-run", "probe-encoding", "setup-replaced")
    outcomes = run(lab, [attempt for attempt in attempts() if attempt.name in names])
    assert {name for name, outcome in outcomes.items() if outcome.opt_human == "yes"} == set(names)


def test_every_patch_is_in_the_manifest_and_every_not_faster_has_its_reason() -> None:
    assert {attempt.name for attempt in attempts()} == {path.stem for path in Path(HERE / "patches").glob("*.patch")}
    assert len({attempt.verb for attempt in attempts()}) == 21
    assert all(attempt.why for attempt in attempts() if attempt.ends == ["not faster"])
    assert all(attempt.what and attempt.ends for attempt in attempts())
