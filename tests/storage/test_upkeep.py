"""What is broken is named, what nobody needs goes, what is needed stays."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.commands.store import run_check, run_compact, run_du, run_prune
from storage.files import LOGS, TRAJECTORIES, put
from storage.store import Store
from storage.tables import Funnel, Instance, Prediction, Score
from storage.upkeep.checking import check
from storage.upkeep.orphans import orphans
from storage.upkeep.usage import usage
from tasks.housekeeping import prunable, prune


def funnel(key: str, repo: str = "a/b") -> Funnel:
    return Funnel(run_id="r", stage="s", key=key, repo=repo, outcome="kept")


def prediction(number: int, **changes) -> Prediction:
    data = {"prediction_id": f"p{number}", "instance_id": "i", "model": "m", "sample": number, "model_patch": ""}
    return Prediction.model_validate(data | changes)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def aged(path: Path, days: float) -> Path:
    moment = time.time() - days * 86400
    os.utime(path, (moment, moment))
    return path


def test_what_is_broken_is_named_and_the_rest_is_not(store):
    instance = Instance(
        instance_id="i", repo="a/b", repo_url="u", created_at=None, base_commit="b", head_commit="h", patch="",
        efficiency_test=[],
    )  # fmt: skip
    there, _ = put(store, TRAJECTORIES, b"one", ".json")
    changed, _ = put(store, TRAJECTORIES, b"two", ".json")
    rows = [funnel("x"), instance, prediction(0, trajectory=there), prediction(1, trajectory=changed)]
    store.append(rows)
    assert list(check(store)) == []
    (Path(store.root) / changed).write_bytes(b"something else")
    lost = {"instance_id": "gone", "trajectory": "trajectories/aa/aabb.json"}
    score = Score(
        prediction_id="none", run_id="r", instance_id="i", model="m", sample=0, status="ok", correct=True,
        speedup_base=None, speedup_human=None, ci_low=None, ci_high=None, opt_base="no", opt_human="no",
    )  # fmt: skip
    store.append([prediction(2, **lost), score])
    (part,) = store.parts(store.folders(Funnel)[0])
    odd = pq.read_table(part)
    odd = odd.set_column(odd.schema.get_field_index("outcome"), "outcome", [["lost"]])
    pq.write_table(odd, part)
    astray = Path(store.root) / "funnel" / "repo=c__d" / "x.parquet"
    astray.parent.mkdir()
    Store(store.root).append([funnel("y", "e/f")])
    (other,) = store.parts(f"{store.root}/funnel/repo=e__f")
    os.rename(other, astray)
    found = "\n".join(check(store))
    assert "x.parquet: holds rows of 'e/f', which belong into another folder" in found
    assert "scores none, r: the prediction is not in the store" in found
    assert "predictions: 1 are for gone, which is not in the store" in found
    assert "p2: trajectories/aa/aabb.json is not there" in found
    assert f"{changed}: its content is not what it is named by" in found
    assert len(found.splitlines()) == 5
    astray.unlink()
    (row,) = [line for line in check(Store(store.root)) if line.startswith("funnel")]
    assert row.startswith("funnel r, s, x: outcome: Input should be 'kept'")
    Path(part).write_bytes(b"PAR1 half")
    assert any(line.startswith(f"{part}: ") for line in check(Store(store.root)))


def test_files_that_no_row_names_go_when_they_are_a_day_old(store):
    kept, _ = put(store, LOGS, b"named", ".txt")
    store.append([prediction(0, trajectory=kept)])
    for relative in (kept, put(store, LOGS, b"nobody's", ".txt")[0]):
        aged(Path(store.root) / relative, 2)
    put(store, TRAJECTORIES, b"its row is not written yet", ".json")
    folder = Path(store.folders(Prediction)[0])
    old, new = folder / ".run-1-a.parquet.tmp", folder / ".run-2-b.parquet.tmp"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    aged(old, 2)
    names = sorted(Path(path).name[:6] for path in orphans(store))
    assert names[0] == ".run-1"
    assert len(names) == 2


def of_result(store: Store, name: str, days: float, **names: str) -> Path:
    path = Path(store.cache) / name
    path.write_text("isobench-result-1 mark\n" + json.dumps({"metadata": {}, "result": json.dumps(names)}))
    return aged(path, days)


def test_results_that_nobody_asks_for_go_and_then_what_only_they_name(store, monkeypatch):
    """A folder's age is its inode's, which no test can set: time is moved instead."""
    work = store.work
    names = ["kept", "unnamed", ".unnamed-0123abcd", "young"]
    for name in names:
        (work / "checkouts" / name / "src").mkdir(parents=True)
    for name in ("env1", "env2"):
        (work / "environments" / name).mkdir(parents=True)
    (work / "checkouts" / ".gone.note").write_text("of a checkout that is gone")
    (work / "checkouts" / ".kept.note").write_text("")
    (work / "units-3").mkdir()
    (work / "clones" / "a__b.git").mkdir(parents=True)
    (work / "clones" / "c__d.git").mkdir()
    (Path(store.cache) / "llm").mkdir()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100 * 86400)
    record = of_result(store, "environments.check_out-1", 1, checkout="checkouts/kept", path="environments/env1/venv")
    of_result(store, "environments.check_out-2", 99, checkout="checkouts/unnamed", path="environments/env2/venv")
    store.append([funnel("x"), Instance(
        instance_id="i", repo="a/b", repo_url="u", created_at=None, base_commit="b", head_commit="h", patch="",
        efficiency_test=[],
    )])  # fmt: skip
    found = {str(item.path.relative_to(store.cache)): item.why for item in prunable(store, days=60)}
    inside = work.name
    assert set(found) == {
        "environments.check_out-2", f"{inside}/checkouts/unnamed", f"{inside}/checkouts/.unnamed-0123abcd",
        f"{inside}/checkouts/young", f"{inside}/checkouts/.gone.note", f"{inside}/environments/env2",
        f"{inside}/units-3", f"{inside}/clones/c__d.git",
    }  # fmt: skip
    assert found["environments.check_out-2"] == "a result that no run asked for in 60 days"
    for item in list(prunable(store, days=60)):
        prune(item)
    assert list(prunable(store, days=60)) == []
    assert {path.name for path in (work / "checkouts").iterdir()} == {"kept", ".kept.note"}
    assert record.exists()
    assert (Path(store.cache) / "llm").exists()
    monkeypatch.setattr(time, "time", lambda: now)
    (work / "checkouts" / "being-made").mkdir()
    assert list(prunable(store, days=60)) == []


def test_use_is_counted_by_table_and_by_cache(store):
    store.append([funnel("x"), funnel("y", "c/d"), prediction(0)])
    store.append([funnel("x")])
    (store.work / "checkouts").mkdir()
    (store.work / "checkouts" / "big").write_bytes(b"x" * 100_000)
    found = {use.what: use for use in usage(store)}
    assert (found["funnel"].parts, found["funnel"].rows) == (3, 3)
    assert found["funnel"].bytes > 1000
    assert found[f".cache/{store.work.name}/checkouts"].bytes >= 100_000
    assert "trajectories" not in found


def test_the_commands_say_what_they_do(store, capsys):
    store.append([funnel("x")])
    store.append([funnel("x")])
    assert run_compact(store.root, dry_run=True) == 0
    assert run_compact(store.root, dry_run=False) == 0
    assert capsys.readouterr().out.splitlines() == [
        "would be 2 parts -> 1; 1 older rows of keys that have a newer one would go",
        "2 parts -> 1; 1 older rows of keys that have a newer one are gone",
    ]
    left = aged(put_tmp(store), 2)
    assert run_prune(store.root, 60, dry_run=True) == 0
    assert left.exists()
    assert run_prune(store.root, 60, dry_run=False) == 0
    assert not left.exists()
    assert "1 are gone: no row names it" in capsys.readouterr().out
    assert run_check(store.root) == 0
    Path(store.parts(store.folders(Funnel)[0])[0]).write_bytes(b"")
    assert run_check(store.root) == run_compact(store.root, dry_run=False) == 1
    assert run_du(store.root) == 0
    assert "funnel" in capsys.readouterr().out


def put_tmp(store: Store) -> Path:
    path = Path(store.folders(Funnel)[0]) / ".run-9-x.parquet.tmp"
    path.write_bytes(b"half")
    return path
