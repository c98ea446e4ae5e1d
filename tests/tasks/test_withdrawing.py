"""Which instances no longer hold, and which are back; what versions of the dataset say of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from storage.exchange.export import complete_instances, export
from storage.exchange.read import read_instances
from storage.store import Store
from storage.tables import Commit, DatasetVersion, Funnel, Instance, Withdrawal
from tasks.versioning import latest_version, next_version
from tasks.withdrawing import decide, decide_unconfigured, withdraw

RUN = "build-1"


def sha(number: int) -> str:
    return f"{number:040x}"


def instance(number: int, repo: str = "a/b", **changes) -> Instance:
    data = {
        "instance_id": f"{repo.replace('/', '__')}-{number}", "repo": repo, "repo_url": "https://example.org/x.git",
        "created_at": datetime(2024, 1, 1, tzinfo=UTC), "base_commit": "b", "head_commit": sha(number), "patch": "p",
        "efficiency_test": ["t"], "human_performance": 1.5, "human_ci_low": 1.4, "human_ci_high": 1.6,
    }  # fmt: skip
    return Instance.model_validate(data | changes)


def commit(number: int, kept: bool = True, reason: str = "", repo: str = "a/b") -> Commit:
    return Commit(
        repo=repo, sha=sha(number), parent_sha=None, author_date=datetime(2024, 1, 1, tzinfo=UTC), subject="s",
        message="m", kept=kept, reason=reason,
    )  # fmt: skip


def said(stage: str, number: int, outcome: str = "kept", reason: str = "", run: str = RUN, repo: str = "a/b") -> Funnel:
    return Funnel.model_validate(
        {"run_id": run, "stage": stage, "key": sha(number), "repo": repo, "outcome": outcome, "reason": reason}
    )


@pytest.fixture
def store(tmp_path) -> Store:
    """Three instances of one repository that hold, as a build leaves them; and one of a file that was evaluated."""
    store = Store(tmp_path / "store")
    for number in (1, 2, 3):
        rows = [instance(number), commit(number), said("mining", number), said("instances", number, reason="1.5x")]
        store.append(rows)
    store.append([instance(9, "else/where")])
    return store


def ids(rows: list[Withdrawal]) -> dict[str, tuple[bool, str]]:
    return {row.instance_id: (row.withdrawn, row.cause) for row in rows}


def test_while_all_hold_nothing_is_said(store):
    assert withdraw(store, "a/b", [RUN], leaving=True) == []
    assert store.rows(Withdrawal) == []


def test_what_upstream_reverted_is_withdrawn_and_comes_back_under_the_same_id(store):
    store.append([commit(1, False, "reverted: by 0123456789ab"), said("mining", 1, "dropped", "reverted: by 0123")])
    (row,) = withdraw(store, "a/b", [RUN])
    assert (row.instance_id, row.withdrawn, row.cause) == ("a__b-1", True, "reverted")
    assert row.why == "reverted: by 0123456789ab"
    assert withdraw(store, "a/b", [RUN]) == []  # said once
    store.append([commit(1), said("mining", 1)])
    (row,) = withdraw(store, "a/b", [RUN])
    assert (row.instance_id, row.withdrawn, row.cause) == ("a__b-1", False, "holds")


@pytest.mark.parametrize(
    ("outcome", "reason", "cause"),
    [
        ("dropped", "too_slow: 1.05x [1.02, 1.08]", "too_slow"),
        ("dropped", "moved_work: 1.02x [1.00, 1.04] with a charge of 3 ms", "too_slow"),
        ("dropped", "inconclusive: 1.2x [0.9, 1.5]", None),
        ("dropped", "not_timed: 1 of its 2 perf tests met a fault", None),
        ("failed", "SandboxError: the disk is full", None),
        ("waiting", "for a batch", None),
    ],
)
def test_only_a_no_of_timing_withdraws(store, outcome, reason, cause):
    store.append([said("instances", 2, outcome, reason)])
    found = decide(store, "a/b", [RUN], leaving=True)
    assert ids(found) == ({} if cause is None else {"a__b-2": (True, cause)})


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (said("mining", 3, "dropped", "max_candidates: 2"), "mining: max_candidates: 2"),
        (said("classify", 3, "dropped", "only a refactoring"), "classify: only a refactoring"),
        (
            said("perftests", 3, "dropped", "seeded: no script for this commit"),
            "perftests: seeded: no script for this commit",
        ),
    ],
)
def test_what_left_the_configuration_is_withdrawn_by_a_refresh_only(store, row, why):
    store.append([row])
    assert decide(store, "a/b", [RUN], leaving=False) == []
    (found,) = decide(store, "a/b", [RUN], leaving=True)
    assert (found.instance_id, found.cause, found.why) == ("a__b-3", "left", why)


def test_a_new_configuration_that_has_not_mined_says_nothing(store):
    assert decide(store, "a/b", ["build-new"], leaving=True) == []
    store.append([said("mining", 1, run="build-new"), said("mining", 2, "failed", "git", run="build-new")])
    found = decide(store, "a/b", ["build-new"], leaving=True)
    assert ids(found) == {"a__b-3": (True, "left")}
    assert found[0].why == "gone: no longer in the history"


def test_one_configuration_of_a_repository_that_proves_a_commit_is_enough(store):
    store.append(
        [
            said("mining", 1, "dropped", "max_candidates: 1", run="build-2"),
            said("mining", 2, run="build-2"),
            said("instances", 2, "dropped", "too_slow: 1.0x", run="build-2"),
            said("mining", 3, "dropped", "keywords", run="build-2"),
            said("mining", 3, "dropped", "keywords"),
        ]
    )
    assert ids(decide(store, "a/b", [RUN, "build-2"], leaving=True)) == {"a__b-3": (True, "left")}


def test_repositories_that_no_configuration_names_leave_but_not_what_no_build_made(store):
    assert decide_unconfigured(store, ["a/b"], "refresh") == []
    found = decide_unconfigured(store, ["c/d"], "refresh")
    assert ids(found) == {f"a__b-{number}": (True, "left") for number in (1, 2, 3)}
    store.append(found)
    assert decide_unconfigured(store, ["c/d"], "refresh") == []
    back = decide(store, "a/b", [RUN], leaving=True)
    assert ids(back) == {f"a__b-{number}": (False, "holds") for number in (1, 2, 3)}


def test_exports_and_evaluations_pass_over_what_was_withdrawn_and_it_stays_readable(store, tmp_path):
    store.append([said("instances", 2, "dropped", "too_slow: 1.05x")])
    withdraw(store, "a/b", [RUN])
    left = ["a__b-1", "a__b-3", "else__where-9"]
    assert [row.instance_id for row in complete_instances(store)] == left
    assert [row.instance_id for row in read_instances(store.root)[0]] == left
    assert export(store, tmp_path / "some.jsonl", repo="a/b") == 2
    assert export(store, tmp_path / "all.jsonl", repo="a/b", withdrawn=True) == 3
    lines = [json.loads(line)["instance_id"] for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert lines == ["a__b-1", "a__b-2", "a__b-3"]
    assert len(store.rows(Instance)) == 4


def test_a_version_says_what_was_added_changed_and_withdrawn(store):
    first = next_version(store)
    assert first is not None
    assert (first.number, len(first.added), first.changed, first.withdrawn) == (1, 4, [], [])
    assert latest_version(store) is None  # nothing is appended by asking
    store.append([first])
    assert next_version(store) is None
    store.append([said("instances", 2, "dropped", "too_slow: 1.05x [1.02, 1.08]"), instance(4)])
    store.append([instance(1, human_performance=1.7)])
    withdraw(store, "a/b", [RUN])
    second = next_version(store)
    assert second is not None
    assert (second.number, second.added, second.changed, second.withdrawn) == (2, ["a__b-4"], ["a__b-1"], ["a__b-2"])
    assert second.changelog.splitlines()[2:] == [
        "4 instances: 1 added, 1 changed, 1 withdrawn.",
        "",
        "- added `a__b-4`: 1.5x [1.4, 1.6]",
        "- changed `a__b-1`: 1.7x [1.4, 1.6]",
        r"- withdrawn `a__b-2`: too\_slow\: 1\.05x \[1\.02, 1\.08\]",
    ]
    store.append([second])
    assert latest_version(store) == second
    assert [row.number for row in store.rows(DatasetVersion)] == [1, 2]


def test_an_empty_store_has_no_version(tmp_path):
    assert next_version(Store(tmp_path / "none")) is None
