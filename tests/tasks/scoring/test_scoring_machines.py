"""Sessions of different machines are not combined, unless asked for; then the scores say so."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.models import EnvironmentConfig, RepositoryConfig, ScoringConfig
from storage.ids import patch_id
from storage.store import Store
from storage.tables import Commit, Comparison, Instance, Machine, Measurement, PerfTest, Prediction, Score, TimedSession
from tasks.scoring.instances import MadeInstance, build_instance
from tasks.scoring.predictions import build_scores

REPO, SHA, PATCH = "a/b", "1234567" + "0" * 33, "diff x"
WHEN = datetime(2024, 5, 1, tzinfo=UTC)
ALLOWED = ScoringConfig(allow_mixed_machines=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def machine(name: str, **facts) -> Machine:
    values = {"cpu_model": "Xeon", "cores": 8, "memory_mb": 1, "kernel": "6.1", "architecture": "x", "governor": ""}
    return Machine(machine_id=name, python="3.11", seen_at=WHEN, **{**values, **facts})


def session(test: str, machine_id: str, **more) -> TimedSession:
    values = {"sandbox": "local", "fingerprint": f"f-{machine_id}"}
    return TimedSession(
        session_id=f"s-{test}", test_id=test, repo=REPO, arms=["base"], protocol="interleaved", machine_id=machine_id,
        cores=[0, 1], started_at=WHEN, duration_s=1, **{**values, **more},
    )  # fmt: skip


def comparison(test: str, arm: str, against: str, machine_id: str) -> Comparison:
    return Comparison(
        session_id=f"s-{test}", test_id=test, arm=arm, against=against, repo=REPO, ratio=2.0, ci_low=1.9, ci_high=2.1,
        status="ok", question=1.2, verdict="yes", machine_id=machine_id, n_rounds=8,
    )  # fmt: skip


def timed(store: Store, **machine_of: str) -> None:
    arm = f"patch:{patch_id(PATCH)}"
    pairs = [("human", "base"), (arm, "base"), (arm, "human")]
    store.append([comparison(test, *pair, key) for test, key in machine_of.items() for pair in pairs])


def score(store: Store, scoring: ScoringConfig | None = None) -> Score:
    store.append([Prediction(prediction_id="p", instance_id="i", model="m", sample=0, model_patch=PATCH)])
    build_scores("i", ["p"], ["s-t1", "s-t2"], {}, scoring or ScoringConfig(), "run", store)
    return store.rows(Score)[0]


def instance(store: Store, scoring: ScoringConfig | None = None) -> MadeInstance:
    store.append([
        Commit(
            repo=REPO, sha=SHA, parent_sha="b" * 40, author_date=WHEN, subject="s", message="m", patch="p",
            score=1.0, kept=True, reason="", files=["b.py"], additions=1, deletions=1,
        ),
        *(
            Measurement(
                session_id=f"s-{t}", test_id=t, arm=arm, process=0, round=0, repo=REPO, wall_ns=1, cpu_ns=1,
                outside_ns=1, order=0, seed=1, correct=True, machine_id="m", started_at=WHEN,
            )
            for t in ("t1", "t2") for arm in ("base", "human")
        ),
        *(
            PerfTest(test_id=t, repo=REPO, sha=SHA, api="b", script=f"# {t}", source="seeded", status="accepted")
            for t in ("t1", "t2")
        ),
    ])  # fmt: skip
    repository = RepositoryConfig(name=REPO)
    return build_instance(
        repository, SHA, EnvironmentConfig(), scoring or ScoringConfig(), ["s-t1", "s-t2"], store
    )  # fmt: skip


def test_two_machines_give_no_speedup_and_the_reason_says_what_differs(store):
    timed(store, t1="m1", t2="m2")
    store.append([session("t1", "m1"), session("t2", "m2"), machine("m1"), machine("m2", governor="powersave")])
    found = score(store)
    assert (found.status, found.opt_human, found.speedup_base) == ("not_timed", "inconclusive", None)
    assert "governor ( / powersave)" in found.reason
    assert "allow_mixed_machines" in found.reason
    made = instance(store)
    assert made.instance_id is None
    assert made.reason.startswith("mixed_machines: ")
    assert store.rows(Instance) == []


def test_asked_for_they_are_combined_and_flagged(store):
    timed(store, t1="m1", t2="m2")
    found = score(store, ALLOWED)
    assert (found.status, found.opt_human, found.flags) == ("ok", "yes", ["mixed_machines"])
    assert instance(store, ALLOWED).instance_id == "a__b-1234567"
    assert "mixed_machines" in store.rows(Instance)[0].notes


def test_another_image_or_sandbox_on_the_same_machine_is_another_fingerprint(store):
    timed(store, t1="m1", t2="m1")
    store.append([
        machine("m1"),
        session("t1", "m1", fingerprint="f1", sandbox="docker", image_digests=["sha256:1"]),
        session("t2", "m1", fingerprint="f2", sandbox="docker", image_digests=["sha256:2"]),
    ])  # fmt: skip
    assert "container image" in score(store).reason
    store.append([session("t2", "m1", fingerprint="f2")])
    assert "sandbox" in score(store).reason
    store.append([session("t1", "m1", fingerprint="f1"), session("t2", "m1", fingerprint="f2", meter="worker")])
    assert "meter of CPU time (unknown / worker)" in score(store).reason


def test_one_machine_is_no_matter_also_where_a_session_is_not_in_the_store(store):
    timed(store, t1="m1", t2="m1")
    store.append([session("t1", "m1"), machine("m1")])
    assert (score(store).status, score(store).flags) == ("ok", [])
    assert instance(store).instance_id is not None
