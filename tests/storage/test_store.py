"""The store: newest row wins, nothing half-written, many writers, any fsspec URL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

import storage.store
from storage import tables
from storage.schema import SchemaError
from storage.store import Store, StoreError
from storage.tables import Api, Commit, Funnel, Instance, OptAtK, Prediction


def commit(number: int, repo: str = "a/b", **changes) -> Commit:
    data = {
        "repo": repo, "sha": f"{number:040x}", "parent_sha": None, "author_date": datetime(2024, 1, 1, tzinfo=UTC),
        "subject": "s", "message": "m", "kept": True, "reason": "",
    }  # fmt: skip
    return Commit.model_validate({**data, **changes})


def funnel(key: str, outcome: str = "kept", repo: str = "a/b") -> Funnel:
    return Funnel.model_validate({"run_id": "r", "stage": "mining", "key": key, "repo": repo, "outcome": outcome})


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def parts(store: Store) -> list[Path]:
    return sorted(path for path in Path(store.root).rglob("*") if path.is_file())


def test_rows_come_back_as_they_went_in(store):
    rows = [
        commit(1, patch="ü\u2028\x00 'quoted'\r\n", files=["a.py"], inner_shas=[], pr_number=7, score=0.1),
        commit(2, repo="c/d", author_date=datetime(2024, 1, 1, 12, 30, 0, 5, tzinfo=timezone(timedelta(hours=5)))),
    ]
    instance = Instance(
        instance_id="i", repo="a/b", repo_url="u", created_at=datetime(2024, 1, 1, tzinfo=UTC), base_commit="b",
        head_commit="h", patch="p", efficiency_test=["t"],
        duration_changes=[tables.TestDurations(base=[1.0, 2.0], head=[])],
    )  # fmt: skip
    assert store.append([*rows, instance]) == 3
    assert store.rows(Commit) == rows
    assert store.rows(Instance) == [instance]
    assert store.tables() == ["commits", "instances"]


def test_parts_lie_where_the_picture_says_and_polars_reads_them(store):
    Store(store.root, run="nightly").append([commit(1), commit(2, repo="c/d")])
    names = [str(path.relative_to(store.root)) for path in parts(store)]
    assert [name.rsplit("-", 1)[0] for name in names] == [
        "commits/repo=a__b/nightly-1", "commits/repo=c__d/nightly-2",
    ]  # fmt: skip
    for pattern in ("commits/**/*.parquet", "commits/*/*.parquet"):
        frame = pl.read_parquet(f"{store.root}/{pattern}", hive_partitioning=False)
        assert frame["repo"].to_list() == ["a/b", "c/d"]
    assert pl.read_parquet(f"{store.root}/commits/**/*.parquet").height == 2


def test_an_absent_table_is_empty_with_its_columns(store):
    assert not store.exists()
    frame = store.frame(Commit)
    assert frame.columns == list(Commit.model_fields)
    assert (frame.height, store.rows(Commit), store.tables(), store.append([])) == (0, [], [], 0)
    assert store.frame(Commit, columns=("kept",)).columns == ["repo", "sha", "kept"]


def test_the_newest_row_of_a_key_wins_within_and_across_appends(store):
    store.append([commit(1, subject="old"), commit(1, subject="newer in the same part"), commit(2)])
    assert [row.subject for row in store.rows(Commit)] == ["newer in the same part", "s"]
    for number in range(12):  # more than nine, so that names do not sort as they were written
        store.append([commit(1, subject=f"again {number}")])
    assert store.rows(Commit, sha=commit(1).sha)[0].subject == "again 11"
    Store(store.root).append([commit(1, subject="from another store")])
    assert store.rows(Commit, sha=commit(1).sha)[0].subject == "from another store"


def test_a_clock_that_stands_still_or_goes_back_changes_nothing(store, monkeypatch):
    class Frozen(datetime):
        moments = iter([datetime(2030, 1, 1, tzinfo=UTC)] * 3 + [datetime(2029, 1, 1, tzinfo=UTC)] * 17)

        @classmethod
        def now(cls, tz=None):
            return next(cls.moments)

    monkeypatch.setattr(storage.store, "datetime", Frozen)
    monkeypatch.setattr(storage.store, "_last", datetime(2020, 1, 1, tzinfo=UTC))
    for number in range(20):
        store.append([commit(1, subject=str(number))])
    assert [row.subject for row in store.rows(Commit)] == ["19"]


def test_equal_times_from_two_processes_are_settled_the_same_way_every_time(store, monkeypatch):
    monkeypatch.setattr(storage.store, "_now", lambda: datetime(2030, 1, 1, tzinfo=UTC))
    for number in range(5):
        Store(store.root, run=f"p{number}").append([commit(1, subject=str(number))])
    found = {Store(store.root).rows(Commit)[0].subject for _ in range(5)}
    assert found == {"4"}


def test_rows_filters_by_keys_other_columns_lists_and_none(store):
    store.append(commit(number, pr_number=number or None, subject=f"s{number % 2}") for number in range(4))
    store.append([commit(3, subject="changed", pr_number=3)])
    assert [row.sha for row in store.rows(Commit, sha=commit(2).sha)] == [commit(2).sha]
    assert len(store.rows(Commit, sha=[commit(1).sha, commit(2).sha, "none"])) == 2
    assert [row.sha for row in store.rows(Commit, pr_number=None)] == [commit(0).sha]
    assert len(store.rows(Commit, pr_number={None, 1})) == 2
    # the older row of commit 3 matches, but is no longer what the store says
    assert [row.sha for row in store.rows(Commit, subject="s1")] == [commit(1).sha]


def test_repo_reads_one_repository_even_where_folders_are_shared(store):
    store.append([commit(1, repo="a__b/c"), commit(2, repo="a/b__c"), commit(3)])
    assert [row.repo for row in store.rows(Commit, "a/b__c")] == ["a/b__c"]
    assert [row.repo for row in store.rows(Commit, "a__b/c")] == ["a__b/c"]
    assert store.rows(Commit, "x/y") == []


@pytest.mark.parametrize("repo", ["..", "../../x", "a/\x00b", "a b/[c]*", "x" * 300, "ü/ö", "/etc", "a\nb"])
def test_strange_repository_names_stay_inside_the_store(store, repo):
    store.append([commit(1, repo=repo)])
    assert [row.repo for row in store.rows(Commit)] == [repo]
    assert [row.repo for row in store.rows(Commit, repo)] == [repo]
    assert [path.parent.parent.name for path in parts(store)] == ["commits"]


def test_run_names_are_made_safe(tmp_path):
    for run in ("a/b", "../x", ".hidden", "", "ü b"):
        store = Store(tmp_path / "store", run=run)
        store.append([funnel(run)])
    assert {row.key for row in store.rows(Funnel)} == {"a/b", "../x", ".hidden", "", "ü b"}


def test_asking_for_columns_brings_the_keys_and_the_newest_rows(store):
    store.append([commit(1, subject="old", score=1.0), commit(2)])
    store.append([commit(1, subject="new", score=2.0)])
    frame = store.frame(Commit, columns=("score", "subject"))
    assert frame.columns == ["repo", "sha", "subject", "score"]
    assert dict(frame.select("subject", "score").iter_rows()) == {"s": 0.0, "new": 2.0}


def test_tables_without_a_repository_lie_under_all(store):
    store.append(
        [OptAtK(run_id="r", model="m", k=1, opt=0.5, ci_low=0, ci_high=1, opt_if_inconclusive_no=0.5,
                opt_if_inconclusive_yes=0.5, n_instances=1, n_samples=1)]
    )  # fmt: skip
    assert [path.parent.name for path in parts(store)] == ["repo=_all"]
    assert store.frame(OptAtK, columns=("opt",)).columns == ["run_id", "model", "k", "opt"]


WRITER = """
import sys
from storage.store import Store
from storage.tables import Funnel
root, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = Store(root, run=name)
for number in range(count):
    rows = [Funnel(run_id="r", stage="s", key=f"{name}-{number}", repo="a/b", outcome="kept"),
            Funnel(run_id="r", stage="s", key="shared", repo="a/b", outcome="kept", reason=f"{name}-{number}")]
    store.append(rows)
    print(number, flush=True)
"""


def start(store: Store, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, store.root, name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_writers_in_several_processes_lose_nothing_while_others_read(store):
    writers = [start(store, f"w{number}", 30) for number in range(4)]
    seen = 0
    while any(writer.poll() is None for writer in writers):
        found = len(store.rows(Funnel))  # every read sees whole parts only
        assert found >= seen
        seen = found
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    rows = Store(store.root).rows(Funnel)
    assert {row.key for row in rows} == {f"w{w}-{n}" for w in range(4) for n in range(30)} | {"shared"}
    (shared,) = [row for row in rows if row.key == "shared"]
    assert shared.reason.endswith("-29")


def test_threads_of_one_store_write_at_once(store):
    def write(name: int) -> None:
        for number in range(20):
            store.append([funnel(f"{name}-{number}")])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.rows(Funnel)) == 120


def test_a_killed_writer_leaves_what_it_had_finished(store):
    store.append([funnel("before")])
    writer = start(store, "w", 100_000)
    assert writer.stdout is not None
    while int(writer.stdout.readline()) < 20:
        pass
    time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    keys = {row.key for row in store.rows(Funnel)}
    assert {"before", *(f"w-{number}" for number in range(21))} <= keys
    store.append([funnel("after")])
    assert {row.key for row in Store(store.root).rows(Funnel)} == keys | {"after"}


def test_a_write_that_dies_in_the_middle_leaves_the_old_version(store, monkeypatch):
    store.append([funnel("a", "dropped")])
    before = parts(store)

    def half(table, file, **options):
        file.write(b"PAR1 half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr("storage.parts.pq.write_table", half)
    with pytest.raises(KeyboardInterrupt):
        store.append([funnel("a", "kept")])
    assert parts(store) == before
    assert [row.outcome for row in store.rows(Funnel)] == ["dropped"]


def test_rubbish_of_a_killed_writer_is_not_read(store):
    store.append([funnel("a")])
    folder = parts(store)[0].parent
    (folder / ".run-9-abc.parquet.tmp").write_bytes(b"PAR1 half")
    (folder / "notes.txt").write_text("hello")
    assert len(store.rows(Funnel)) == 1
    assert pl.read_parquet(f"{store.root}/funnel/**/*.parquet").height == 1


def test_a_damaged_part_is_named_with_advice(store):
    store.append([funnel("a")])
    (part,) = parts(store)
    part.rename(part.with_name("other.parquet"))
    part.with_name("other.parquet").write_bytes(b"PAR1 half a file")
    with pytest.raises(
        StoreError, match=r"cannot read .*other\.parquet: .*; if it is damaged, delete it and run again"
    ):
        store.rows(Funnel)
    part.with_name("other.parquet").write_bytes(b"")
    with pytest.raises(StoreError, match=r"other\.parquet"):
        store.rows(Funnel)


def test_a_value_that_the_row_type_does_not_know_is_a_schema_error(store):
    frame = pl.DataFrame(
        {
            "run_id": ["r"], "stage": ["s"], "key": ["k"], "repo": ["a/b"], "outcome": ["lost"], "reason": [""],
            "written_at": [datetime(2024, 1, 1, tzinfo=UTC)],
        }
    )  # fmt: skip
    folder = Path(store.root) / "funnel" / "repo=a__b"
    folder.mkdir(parents=True)
    frame.write_parquet(folder / "x.parquet")
    with pytest.raises(
        SchemaError, match=r"funnel: a row's outcome: Input should be 'kept', 'dropped', 'failed' or 'waiting'"
    ):
        store.rows(Funnel)


FULL = """
import resource, signal, sys
from datetime import UTC, datetime
from storage.store import Store, StoreError
from storage.tables import Funnel
store = Store(sys.argv[1])
store.append([Funnel(run_id="r", stage="s", key="small", outcome="kept")])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    import random
    noise = "".join(random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(200_000))
    store.append([Funnel(run_id="r", stage="s", key="big", outcome="kept", reason=noise)])
except StoreError as error:
    print(error)
"""


def test_a_disk_that_is_full_is_a_store_error_and_keeps_what_was_there(store):
    done = subprocess.run([sys.executable, "-c", FULL, store.root], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {store.root}/funnel/repo=_all/run-2-")
    assert "File too large" in done.stdout
    assert [row.key for row in store.rows(Funnel)] == ["small"]
    assert len(parts(store)) == 1


def test_a_root_that_is_a_file_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        Store(tmp_path / "file").append([funnel("a")])
    assert Store(tmp_path / "file").rows(Funnel) == []


@pytest.mark.parametrize("url", ["nonsense://x", "gs://bucket/x"])  # the latter wants a package that we do not bring
def test_urls_that_cannot_be_opened_say_why(url):
    with pytest.raises(StoreError, match=f"cannot open a store at {url}: "):
        Store(url)


def test_a_remote_store_works_alike(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = Store("memory://bucket/one", run="r")
    store.append([commit(1, subject="old"), commit(2, repo="c/d")])
    store.append([commit(1, subject="new")])
    assert sorted(row.subject for row in store.rows(Commit)) == ["new", "s"]
    assert [row.sha for row in store.rows(Commit, "c/d")] == [commit(2).sha]
    assert store.tables() == ["commits"]
    assert store.exists()
    assert not store.is_local
    assert store.cache == "memory://bucket/one/.cache"
    assert store.work.is_relative_to(tmp_path)
    assert store.work != Store("memory://bucket/two").work
    assert Store("memory://bucket/two").rows(Commit) == []


def test_file_urls_and_home_are_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store(f"file://{tmp_path}/x").root == Store("~/x").root == str(tmp_path / "x")
    assert Store("~/x").is_local
    assert Store("~/x").work.parent == tmp_path / "x" / ".cache"


def test_a_moved_store_reads_the_same_and_a_deleted_one_is_forgotten(store, tmp_path):
    store.append([commit(1)])
    Path(store.root).rename(tmp_path / "moved")
    assert Store(tmp_path / "moved").rows(Commit) == [commit(1)]
    assert store.rows(Commit) == []


def test_a_prediction_of_unknown_repository_is_replaced_by_one_that_knows(store):
    first = Prediction(prediction_id="p", instance_id="i", model="m", sample=0, model_patch="")
    store.append([first])
    store.append([first.model_copy(update={"repo": "a/b", "steps": 3})])
    assert [(row.repo, row.steps) for row in store.rows(Prediction)] == [("a/b", 3)]


def test_one_append_of_several_tables_writes_a_part_for_each(store):
    api = Api(repo="a/b", sha="s", api="x.y", rank=1, evidence=["x.y"], source="static")
    store.append([commit(1), api, commit(2)])
    assert [path.parent.parent.name for path in parts(store)] == ["apis", "commits"]
    assert len(store.rows(Commit)) == 2


def test_half_of_a_character_is_spelled_out(store):
    row = commit(1, subject="caf\udce9", files=["a\ud800.py", "ü.py"])
    assert (row.subject, row.files) == ("caf\\udce9", ["a\\ud800.py", "ü.py"])
    store.append([row])
    assert store.rows(Commit) == [row]


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 1e19])
def test_a_number_that_no_column_holds_is_an_error_of_its_field(value):
    with pytest.raises(ValidationError) as raised:
        commit(1, pr_number=value)
    assert [error["loc"] for error in raised.value.errors()] == [("pr_number",)]


def test_a_row_that_cannot_be_written_costs_no_other(store):
    """A copy with other values is not checked again."""
    rows = [commit(1), commit(2).model_copy(update={"pr_number": 2**63}), commit(3), funnel("x")]
    rows.append(commit(4).model_copy(update={"subject": "s\udce9"}))
    with pytest.raises(StoreError, match=f"1 rows cannot be written, the first is of commits.*{2:040x}"):
        store.append(rows)
    assert [row.sha[-1] for row in store.rows(Commit)] == ["1", "3", "4"]
    assert [row.key for row in store.rows(Funnel)] == ["x"]


def test_what_a_store_from_elsewhere_holds_besides_files_is_not_followed(store, tmp_path):
    """Pipes and devices are not read; nothing is written through a link."""
    store.append([commit(1)])
    folder = parts(store)[0].parent
    os.mkfifo(folder / "pipe.parquet")
    (folder / "zero.parquet").symlink_to("/dev/zero")
    (folder / "folder.parquet").mkdir()
    assert [row.sha for row in Store(store.root).rows(Commit)] == [commit(1).sha]
    (tmp_path / "outside").mkdir()
    (Path(store.root) / "apis").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="a link"):
        store.append([Api(repo="a/b", sha="s", api="x.y", rank=1, evidence=["x.y"], source="static")])
    assert list((tmp_path / "outside").iterdir()) == []
