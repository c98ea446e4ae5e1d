"""The Hub's real client against a server on this machine that speaks enough of the Hub's protocol."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from configs.models import PublishingConfig
from storage import tables
from storage.exchange.hub import DATA_FILE, PublishError, dataset_card, publish
from storage.store import Store
from storage.tables import Instance

TOKEN = "hf_not_a_real_token_4711"


class Hub(ThreadingHTTPServer):
    """Keeps what was uploaded: `files` after a commit."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server_address[1]}"
        self.created: list[dict] = []
        self.blobs: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.tags: list[str] = []
        self.refuse: int | None = None


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid credentials"}, 401)
        if self.server.refuse:
            return self.answer({"error": "no"}, self.server.refuse)
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            return self.answer({"url": f"{self.server.endpoint}/datasets/acme/fast"})
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if self.path == "/api/datasets/acme/fast/preupload/main":
            files = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "lfs" if "parquet" in f["path"] else "regular"} for f in files]
            return self.answer({"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        if self.path == "/datasets/acme/fast.git/info/lfs/objects/batch":
            objects = json.loads(body)["objects"]
            links = [{"upload": {"href": f"{self.server.endpoint}/blob/{item['oid']}"}} for item in objects]
            found = [{**item, "actions": link} for item, link in zip(objects, links, strict=True)]
            return self.answer({"transfer": "basic", "objects": found})
        if self.path == "/api/datasets/acme/fast/commit/main":
            self.commit(body)
            url = f"{self.server.endpoint}/datasets/acme/fast/commit/abc"
            return self.answer({"commitUrl": url, "commitOid": "abc", "success": True})
        if self.path == "/api/datasets/acme/fast/tag/main":
            self.server.tags.append(json.loads(body)["tag"])
            return self.answer({})
        return self.answer({"error": f"unknown {self.path}"}, 404)

    def commit(self, body: bytes) -> None:
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                self.server.files[value["path"]] = self.server.blobs[value["oid"]]

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.blobs[oid] = body
        self.answer({})

    def answer(self, value: dict, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub():
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "store")
    store.append(instance(number) for number in range(3))
    return store


def instance(number: int, url: str = "https://example.org/acme/logkit.git") -> Instance:
    return Instance(
        instance_id=f"acme__logkit-PR-{number}", repo="acme/logkit", repo_url=url,
        created_at=datetime(2024, 1, 1, tzinfo=UTC), base_commit="a" * 40, head_commit=f"{number:040x}", patch="--- a",
        efficiency_test=["def setup(seed): ..."], human_performance=2.5,
        duration_changes=[tables.TestDurations(base=[1.0, 1.1], head=[0.4, 0.5])],
    )  # fmt: skip


def environment(hub: Hub, token: str) -> dict[str, str]:
    """The client reads these variables when it is imported: it runs in a process of its own."""
    return {
        **os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_TOKEN": token, "COLUMNS": "200",
    }  # fmt: skip


def run(hub: Hub, store: Store, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """`isobench publish`."""
    env = environment(hub, token)
    config = Path(store.root).parent / "config.yaml"
    config.write_text("repository: {name: acme/logkit}\npublishing: {hub_dataset: acme/fast}\n")
    command = [sys.executable, "-c", "from flows.cli import main; main()", "publish", config, "--store", store.root]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_instances_and_card_arrive_in_one_commit(hub, store):
    done = run(hub, store)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"Published: {hub.endpoint}/datasets/acme/fast"
    (created,) = hub.created
    assert created["type"] == "dataset"
    assert created.get("private") is True or created.get("visibility") == "private"  # versions of the client differ
    assert set(hub.files) == {DATA_FILE, "README.md"}
    rows = pq.read_table(io.BytesIO(hub.files[DATA_FILE])).to_pylist()
    assert [Instance.model_validate(row) for row in rows] == [instance(number) for number in range(3)]
    assert "| acme/logkit | 3 |" in hub.files["README.md"].decode()
    assert TOKEN not in done.stdout + done.stderr
    assert all(TOKEN.encode() not in content for content in hub.files.values())


TAGGED = """
import sys
from datetime import UTC, datetime
from pydantic import SecretStr
from configs.models import PublishingConfig
from storage.exchange.hub import publish
from storage.store import Store
from storage.tables import DatasetVersion
at = datetime(2026, 1, 1, tzinfo=UTC)
version = DatasetVersion(number=7, at=at, instances=[], contents=[], changelog="## Version 7\\n\\n- added x\\n")
publish(Store(sys.argv[1]), PublishingConfig(hub_dataset="acme/fast"), SecretStr(sys.argv[2]), version=version)
"""


def test_a_version_is_tagged_and_its_card_says_what_changed(hub, store):
    command = [sys.executable, "-c", TAGGED, store.root, TOKEN]
    subprocess.run(command, env=environment(hub, TOKEN), check=True, capture_output=True)
    assert hub.tags == ["v7"]
    assert hub.files["README.md"].decode().endswith("under their licences.\n\n## Version 7\n\n- added x\n")


def test_a_refused_token_is_the_users_to_mend(hub, store):
    done = run(hub, store, "hf_wrong")
    assert done.returncode == 2
    assert "the Hub refused acme/fast (HTTP 401): HF_TOKEN may not write there" in done.stderr
    assert hub.files == {}


def test_a_fault_of_the_hub_is_not_the_users(hub, store):
    hub.refuse = 503
    done = run(hub, store)
    assert done.returncode == 1
    assert "run the command again" in done.stderr
    assert "503" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_missing_is_said_before_anything_is_sent(store, tmp_path):
    config = PublishingConfig(hub_dataset="acme/fast")
    token = SecretStr(TOKEN)
    with pytest.raises(PublishError, match="hub_dataset is not set"):
        publish(store, PublishingConfig(), token)
    with pytest.raises(PublishError, match="HF_TOKEN is not set"):
        publish(store, config, None)
    with pytest.raises(PublishError, match="no instances in"):
        publish(Store(tmp_path / "empty"), config, token)
    store.append([instance(7, url="/home/me/logkit")])
    with pytest.raises(PublishError, match="acme__logkit-PR-7 is a path of this machine"):
        publish(store, config, token)


def test_the_card_shows_names_as_text():
    import yaml

    bad = "a/b|c](http://evil.example)![x](y)<img src=x>\x1b[2J\n# big"
    card = dataset_card([instance(1).model_copy(update={"repo": bad})], "acme/fast: {x}\n---\n")
    row = next(line for line in card.splitlines() if line.startswith("| a/b"))
    assert row.endswith(r"\<img src\=x\>\\x1b\[2J \# big | 1 |")
    assert r"b\|c\]\(http\://evil\.example\)\!\[x\]\(y\)" in row
    assert yaml.safe_load(card.split("---\n")[1])["pretty_name"] == "fast: {x}\n---\n"


def test_the_card_has_metadata_that_parses():
    import yaml

    card = dataset_card([instance(1)], "acme/fast")
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["configs"][0]["data_files"] == [{"split": "test", "path": "data/test-*"}]
