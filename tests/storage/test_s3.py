"""A store on S3: the real client against a server on this machine that speaks S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from flows.engine.results import StoreResults
from storage.files import TRAJECTORIES, get, put
from storage.store import Store, StoreError
from storage.tables import Funnel
from storage.upkeep.checking import check
from storage.upkeep.compacting import compact
from storage.upkeep.orphans import orphans
from storage.upkeep.usage import usage


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """URL of an empty bucket; clients find the server by these variables, as they would find another provider."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "none")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "none")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="runs")
        yield "s3://runs"
    server.stop()


def funnel(key: str, reason: str = "", repo: str = "a/b") -> Funnel:
    return Funnel(run_id="r", stage="s", key=key, repo=repo, outcome="kept", reason=reason)


def keys(prefix: str) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket="runs", Prefix=prefix)
    return [entry["Key"] for entry in found.get("Contents", [])]


def test_rows_go_there_and_come_back(bucket):
    store = Store(f"{bucket}/one")
    store.append([funnel("k1", "old"), funnel("k2", repo="c/d")])
    store.append([funnel("k1", "new")])
    assert sorted((row.key, row.reason) for row in Store(f"{bucket}/one").rows(Funnel)) == [("k1", "new"), ("k2", "")]
    assert [row.key for row in store.rows(Funnel, "c/d")] == ["k2"]
    assert store.rows(Funnel, key="k1")[0].reason == "new"
    assert store.tables() == ["funnel"]
    assert all(".tmp" not in key for key in keys("one/"))


def test_what_another_process_wrote_is_seen_at_once(bucket):
    """The client remembers listings unless it is told not to: this one has listed before the other writes."""
    store = Store(f"{bucket}/two")
    store.append([funnel("k1")])
    assert len(store.rows(Funnel)) == 1
    path = keys("two/")[0]
    client = boto3.client("s3")
    other = path.replace("run-1", "other-1")
    client.copy_object(Bucket="runs", CopySource=f"runs/{path}", Key=other)
    client.delete_object(Bucket="runs", Key=path)
    assert len(store.rows(Funnel)) == 1
    assert [part.rpartition("/")[2] for part in store.parts(store.folders(Funnel)[0])] == [other.rpartition("/")[2]]


def test_a_write_that_dies_leaves_nothing(bucket, monkeypatch):
    store = Store(f"{bucket}/three")

    def half(table, file, **options):
        file.write(b"PAR1 half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr("storage.parts.pq.write_table", half)
    with pytest.raises(KeyboardInterrupt):
        store.append([funnel("k")])
    assert keys("three/") == []


def test_it_is_compacted_checked_and_measured_like_a_folder(bucket):
    store = Store(f"{bucket}/four")
    for number in range(5):
        store.append([funnel(f"k{number}"), funnel("shared", str(number))])
    expected = store.rows(Funnel)
    done = compact(store)
    assert (done.parts_before, done.parts_after, done.rows_dropped, done.problems) == (5, 1, 4, [])
    assert len(keys("four/")) == 1
    assert Store(f"{bucket}/four").rows(Funnel) == expected
    relative, _ = put(store, TRAJECTORIES, b"steps", ".json")
    assert get(store, relative) == b"steps"
    assert list(check(store)) == []
    assert {use.what: (use.parts, use.rows) for use in usage(store)} == {"funnel": (1, 6), "trajectories": (None, None)}
    assert list(orphans(store)) == []  # the trajectory is younger than a day


def test_results_of_tasks_are_remembered_there(bucket):
    results = StoreResults(root=f"{bucket}/six/.cache")
    record = json.dumps({"metadata": {"serializer": {"type": "isobench"}}, "result": "{}"}).encode()
    results.write_path("mining.x-1", record)
    assert results.read_path("mining.x-1") == record
    assert keys("six/") == ["six/.cache/mining.x-1"]
    with pytest.raises(FileNotFoundError):
        results.read_path("mining.x-2")


def test_a_bucket_that_is_not_there_is_said_without_a_traceback(bucket):
    with pytest.raises(StoreError, match="cannot write nowhere/x/funnel/"):
        Store("s3://nowhere/x").append([funnel("k")])


def test_work_is_done_on_this_machine(bucket, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = Store(f"{bucket}/five")
    assert store.work.is_relative_to(tmp_path)
    assert not store.is_local
