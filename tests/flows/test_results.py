"""Results in a store are data: a record of anybody else's, of whatever form, is a miss and runs nothing."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from flows.engine.results import NotBelieved, ResultJson, StoreResults
from tasks.environments.models import Built
from tests.flows.conftest import environment

SCRIPT = r"""
import base64, json, os, pickle, sys, warnings, zlib
from datetime import datetime, timedelta, UTC
from base64 import b64encode
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from prefect import flow, task

from flows.engine.run import Run
from storage import marks
from storage.store import Store
from tasks.environments.models import Built

root = Path(sys.argv[1])
store, canary = root / "store", root / "canary"


class Bomb:
    def __reduce__(self):
        return Path.touch, (canary,)


@task(cache_key_fn=lambda context, parameters: f"environments.tiny-{parameters['item']}")
def tiny(item: int, store: str) -> Built:
    return Built(environment=None, reason="done")


@flow
def once(items) -> tuple[int, int]:
    run = Run(Store(store), "r")
    found = run.map("tiny", tiny, {str(item): {"item": item} for item in items})
    assert {key: result.reason for key, result in found.items()} == {str(item): "done" for item in items}, found
    run.close()
    return run.executed, run.cached


def place(item):
    return store / ".cache" / f"environments.tiny-{item}"


assert once([0]) == (1, 0)
ours = place(0).read_bytes()
body = json.loads(ours.partition(b"\n")[2])
bomb = base64.encodebytes(pickle.dumps(Bomb())).decode()
touch = f"pathlib.Path({str(canary)!r}).touch()"
(root / "evil.py").write_text(f"import pathlib\n\ndef decode(*a, **k):\n    {touch}\n\ndecode()\n")
sys.path.insert(0, str(root))


def record_of(serializer, result, **metadata):
    return {"metadata": {**body["metadata"], "serializer": serializer, **metadata}, "result": result}


forged = {"environment": None, "reason": "forged"}
model = json.dumps({"model": "tasks.environments.models:Built", "value": forged})
later = (datetime.now(UTC) + timedelta(days=9)).isoformat()
forms = [
    record_of({"type": "pickle"}, bomb),
    record_of({"type": "pickle", "picklelib": "pickle"}, bomb),
    record_of({"type": "compressed/pickle", "compressionlib": "zlib"},
              base64.encodebytes(zlib.compress(bomb.encode())).decode()),
    record_of({"type": "compressed", "serializer": {"type": "pickle"}}, bomb),
    record_of({"type": "pickle", "picklelib": "evil"}, bomb),
    record_of({"type": "json", "object_decoder": "evil.decode"}, "{}"),
    record_of({"type": "json", "jsonlib": "evil"}, "{}"),
    record_of({"type": "json"}, json.dumps({"__class__": "evil.decode", "data": {}})),
    record_of({"type": "isobench", "object_decoder": "evil.decode"}, model),
    {"serializer": {"type": "pickle"}, "data": bomb},
    {"result": bomb},
    record_of({"type": "json"}, json.dumps({"__class__": "tasks.environments.models.Built", "data": forged})),
    None,
]
fair = [record_of({"type": "isobench"}, model), record_of({"type": "isobench"}, model, expiration=later)]
written = []
for form in [*forms, *fair]:
    content = json.dumps(form).encode()
    for head in (b"", b"isobench-result-1 " + b"0" * 64 + b"\n", ours.partition(b"\n")[0] + b"\n"):
        written.append(head + content)
items = list(range(len(written)))
for item, content in zip(items, written):
    place(item).write_bytes(content)
# by somebody who has the key: still not of our form
for form in forms:
    item = items[-1] + 1
    content = json.dumps(form).encode()
    head = b"isobench-result-1 " + marks.mark("result", place(item).name, content).encode()
    place(item).write_bytes(head + b"\n" + content)
    items.append(item)
# what is no file; an own record in another's place
for make in (os.mkfifo, lambda path: os.symlink("/dev/zero", path), os.mkdir, lambda path: path.write_bytes(ours)):
    item = items[-1] + 1
    make(place(item))
    items.append(item)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    assert once(items) == (len(items), 0)
said = [str(warning.message) for warning in said if "your mark" in str(warning.message)]
assert len(said) == 1 and said[0].startswith(f"{len(items)} results"), said
assert not canary.exists() and "evil" not in sys.modules
assert once(items) == (0, len(items)), "own results are used"
moved = root / "moved"
store.rename(moved)
store = moved
assert once(items[:3]) == (0, 3), "also of a store that was moved"
os.environ["ISOBENCH_CACHE_KEY"] = "the secret of somebody else"
assert once(items[:3]) == (3, 0), "another key is another user"
print("held")
"""


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_no_form_of_a_record_runs_anything_or_is_believed(tmp_path: Path, server: dict[str, str]) -> None:
    variables = (
        environment() | server | {"XDG_STATE_HOME": str(tmp_path / "state"), "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=Path(__file__).parents[2], env=variables,
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["held"], done.stderr[-3000:]


def test_results_come_back_as_they_were() -> None:
    json = ResultJson()
    for value in (Built(environment=None, reason="ü"), None, 3, ["a", {"model": "x", "value": 1}]):
        assert json.loads(json.dumps(value)) == value
    fault = json.loads(json.dumps(ValueError("no")))
    assert isinstance(fault, RuntimeError)
    assert str(fault) == "ValueError: no"


@pytest.mark.parametrize(
    "blob",
    [
        '{"model": "os:system", "value": "true"}',
        '{"model": "tasks.environments.models:Path", "value": "/"}',
        '{"model": "tasks.environments.models:no_such", "value": {}}',
        '{"model": "subprocess:Popen", "value": {}}',
        '{"__class__": "subprocess.Popen", "data": {}}',
        "[1]",
    ],
)
def test_no_other_thing_comes_out(blob: str) -> None:
    with pytest.raises(NotBelieved):
        ResultJson().loads(blob.encode())


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", ".hidden", "a/b", ""])
def test_a_record_has_a_plain_name(tmp_path: Path, name: str) -> None:
    results = StoreResults(root=str(tmp_path / "cache"))
    with pytest.raises(NotBelieved):
        results.read_path(name)
    with pytest.raises(NotBelieved):
        results.write_path(name, b"{}")


@pytest.mark.slow
def test_nobody_else_uses_a_commands_server(server: dict[str, str]) -> None:
    """It holds the block that says where results are; builds that have the network can reach its port."""
    request = Request(
        f"{server['PREFECT_API_URL']}/block_documents/filter", b"{}", {"Content-Type": "application/json"}
    )
    with pytest.raises(HTTPError, match="401"):
        urlopen(request, timeout=30)
    request.add_header("Authorization", "Basic " + b64encode(server["PREFECT_API_AUTH_STRING"].encode()).decode())
    with urlopen(request, timeout=30) as answer:
        assert answer.status == 200
