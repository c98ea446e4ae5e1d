"""Compaction: the same rows in fewer parts, whoever reads, writes or dies meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import storage.store
from storage import listing, tables
from storage.listing import Listing
from storage.parts import GROUP_BYTES
from storage.query import QueryError, open_table
from storage.schema import VERSION_KEY, WRITTEN_AT
from storage.store import Store
from storage.tables import Funnel, Instance
from storage.upkeep.compacting import compact


def funnel(key: str, reason: str = "", repo: str = "a/b") -> Funnel:
    return Funnel(run_id="r", stage="s", key=key, repo=repo, outcome="kept", reason=reason)


def instance(number: int) -> Instance:
    return Instance(
        instance_id=f"i{number}", repo="a/b", repo_url="u", created_at=datetime(2024, 1, 1, tzinfo=UTC),
        base_commit="b", head_commit="h", patch="ü" * 3, efficiency_test=["t"],
        duration_changes=[tables.TestDurations(base=[1.0], head=[])],
    )  # fmt: skip


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def files(store: Store) -> list[Path]:
    return sorted(path for path in Path(store.root).rglob("*") if path.is_file())


def fill(store: Store, count: int = 12) -> None:
    for number in range(count):
        rows = [funnel(f"k{number}"), funnel("shared", str(number)), instance(number % 5), funnel("x", repo="c/d")]
        store.append(rows)


def test_the_same_rows_in_the_same_order_in_one_part_a_partition(store):
    fill(store)
    before = {kind: Store(store.root).rows(kind) for kind in (Funnel, Instance)}
    planned = compact(store, dry_run=True)
    assert len(files(store)) == planned.parts_before == 36
    done = compact(store)
    assert (done.parts_before, done.parts_after, done.problems) == (36, 3, [])
    # of 12 rows each: 11 of `shared`, 11 of the other repository, and 7 of 5 instances
    assert done.rows_dropped == planned.rows_dropped == 29
    assert len(files(store)) == 3
    assert {kind: Store(store.root).rows(kind) for kind in before} == before
    assert store.rows(Funnel, "c/d") == [funnel("x", repo="c/d")]
    again = compact(store)
    assert (again.parts_before, again.parts_after, again.rows_dropped) == (3, 3, 0)
    store.append([funnel("shared", "newest")])
    assert [row.reason for row in store.rows(Funnel, key="shared")] == ["newest"]


def test_an_older_row_that_was_compacted_does_not_come_back_over_a_newer_one(store, monkeypatch):
    store.append([funnel("k", "old")])
    store.append([funnel("k", "new")])
    monkeypatch.setattr(storage.store, "_now", lambda: datetime(2000, 1, 1, tzinfo=UTC))
    store.append([funnel("k", "of a clock that is years behind")])
    for _ in range(2):
        assert [row.reason for row in Store(store.root).rows(Funnel)] == ["new"]
        compact(store)


KILLED = """
import os, signal, sys
import storage.parts
from storage.store import Store
from storage.upkeep.compacting import compact
store = Store(sys.argv[1])
fs = store.fs
steps = fs.open, fs.mv, fs.rm_file
def compact_until(point):
    seen = 0
    def dies(step):
        def counted(*arguments, **options):
            nonlocal seen
            seen += 1
            if seen == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*arguments, **options)
        return counted
    fs.open, fs.mv, fs.rm_file = map(dies, steps)
    compact(store)
for line in sys.stdin:
    child = os.fork() or compact_until(int(line)) or os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_a_kill_at_any_point_loses_nothing(store):
    """12 parts in one folder: their footers and rows are read (24), one is written (25), renamed, read, 12 removed."""
    for number in range(12):
        store.append([funnel(f"k{number}"), funnel("shared", str(number))])
    expected = store.rows(Funnel)
    left = []
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, store.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        for point in (25, 26, 27, 28, 33):
            print(point, file=other.stdin, flush=True)
            assert int(other.stdout.readline()) == signal.SIGKILL
            assert Store(store.root).rows(Funnel) == expected, point
            left.append(len(files(store)))
        other.stdin.close()
    assert left[:3] == [12, 13, 14]  # nothing yet; a file that nobody reads; that and the new part
    assert compact(store).parts_after == 1
    assert Store(store.root).rows(Funnel) == expected


COMPACTOR = """
import sys
from storage.store import Store
from storage.upkeep.compacting import compact
print("ready", flush=True)
for _ in sys.stdin:
    print(compact(Store(sys.argv[1])).parts_after, flush=True)
"""


def test_who_reads_and_writes_meanwhile_sees_all_rows(store):
    """Another process compacts all the time; it is told to go on after each row that is written here."""
    store.append([funnel("first")])
    with subprocess.Popen(
        [sys.executable, "-c", COMPACTOR, store.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        for number in range(40):
            other.stdin.write("\n")
            other.stdin.flush()
            store.append([funnel(f"k{number}")])
            for _ in range(3):
                keys = [row.key for row in store.rows(Funnel)]
                assert keys == ["first", *(f"k{n}" for n in range(number + 1))]
                assert len(store.rows(Funnel, key=f"k{number}")) == 1
        assert other.stdout is not None
        other.stdin.close()
        counts = [line.strip() for line in other.stdout]
    assert len(counts) == 41
    assert len(store.rows(Funnel)) == 41


def test_a_listing_that_missed_the_new_part_is_made_again(store, monkeypatch):
    """The folder is read entry by entry: here the first reading came to the new part's place too early."""
    fill(store, 3)
    folder = store.folders(Funnel)[0]
    before = store.parts(folder)
    compact(store)
    readings = iter([before[:1], store.parts(folder)])  # after the first, all old parts are gone
    true = listing._local
    monkeypatch.setattr(listing, "_local", lambda *args: next(readings, None) or true(*args))
    assert Listing(store.fs, store.path, is_local=True).parts(folder) == store.parts(folder)


def test_what_would_lose_something_is_left_as_it_is_and_named(store, tmp_path):
    fill(store, 3)
    folder = Path(store.folders(Funnel)[0])
    (folder / "damaged.parquet").write_bytes(b"PAR1 half")
    newer = pq.read_table(store.parts(str(folder))[1])
    pq.write_table(newer.append_column("mood", pa.array(["good"] * len(newer))), folder / "newer.parquet")
    pq.write_table(newer.replace_schema_metadata({VERSION_KEY: b"99"}), folder / "version.parquet")
    pq.write_table(newer, tmp_path / "elsewhere.parquet")
    (folder / "link.parquet").symlink_to(tmp_path / "elsewhere.parquet")
    done = compact(store)
    told = sorted(problem.rpartition("/")[2][:40] for problem in done.problems)
    assert [line.split(".")[0] for line in told] == ["damaged", "link", "newer", "version"]
    assert "columns of a newer isobench: mood" in "".join(done.problems)
    left = {path.name for path in folder.iterdir()}
    assert {"damaged.parquet", "newer.parquet", "version.parquet", "link.parquet"} < left
    assert len(left) == 5
    assert (tmp_path / "elsewhere.parquet").exists()


def test_large_parts_have_groups_so_that_one_row_is_found_without_reading_all(store, monkeypatch):
    rows = [funnel(f"k{number}", os.urandom(50_000).hex()) for number in range(200)]
    for number in range(0, 200, 50):
        store.append(rows[number : number + 50])
    compact(store)
    assert len(store.parts(store.folders(Funnel)[0])) == 1
    read = []
    true = storage.store.read_part
    monkeypatch.setattr(storage.store, "read_part", lambda *args: read.append(true(*args)) or read[-1])
    assert store.rows(Funnel, key="k77") == [rows[77]]
    (table,) = read
    assert table.nbytes < 3 * GROUP_BYTES


def test_asking_for_a_key_reads_only_the_parts_that_hold_it(store, monkeypatch):
    rows = [funnel(f"k{number}") for number in range(30)]
    for row in rows:
        store.append([row])
    store.append([funnel("k3", "newer")])
    read = []
    true = storage.store.read_part
    monkeypatch.setattr(storage.store, "read_part", lambda *args: read.append(args[1]) or true(*args))
    for row in rows[5:]:
        assert Store(store.root).rows(Funnel, key=row.key) == [row]
    assert len(read) == 25
    assert [row.reason for row in store.rows(Funnel, "a/b", key="k3")] == ["newer"]
    assert store.rows(Funnel, key="none") == []
    assert len(read) == 27


def test_a_part_of_an_older_time_is_found_by_key_too(store):
    """It lacks a column that came later, or has it under another name: then all of it is read."""
    store.append([funnel("k1")])
    (path,) = store.parts(store.folders(Funnel)[0])
    pq.write_table(pq.read_table(path).drop_columns(["repo"]), path.replace("run-1", "older"))
    assert len(store.rows(Funnel, key="k1")) == 1


def test_tables_are_read_without_knowing_our_classes(store, tmp_path):
    fill(store)
    expected = store.frame(Funnel)
    assert open_table(store.root, "funnel").equals(expected)
    assert open_table(store.root, "funnel", "c/d", ["outcome"])["key"].to_list() == ["x"]
    # the way that docs/how-to/read-the-tables.md gives to those who have no isobench
    newest = (
        pl.scan_parquet(f"{store.root}/funnel/**/*.parquet", hive_partitioning=False)
        .sort("written_at", maintain_order=True)
        .unique(["run_id", "stage", "key"], keep="last", maintain_order=True)
        .drop("written_at")
        .collect()
    )
    assert newest.sort("key", "repo").equals(expected.sort("key", "repo"))
    with pytest.raises(QueryError, match="did you mean funnel"):
        open_table(store.root, "funel")


def test_a_compacted_part_keeps_when_its_rows_were_written(store):
    fill(store, 4)
    before = pl.read_parquet(list(store.parts(store.folders(Funnel)[0])))
    compact(store)
    after = pl.read_parquet(store.parts(store.folders(Funnel)[0])[0])
    assert set(after[WRITTEN_AT]) <= set(before[WRITTEN_AT])
    assert after.filter(pl.col("key") == "shared")[WRITTEN_AT].to_list() == [before[WRITTEN_AT].max()]
