"""Clones that break off go on: a real git daemon behind a wire that can be cut or held."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import socketserver
import subprocess
import sys
import threading

import git
import pytest

from configs.models import RepositoryConfig
from storage.store import Store
from tasks.mining.errors import MiningError
from tasks.mining.git import missing_objects, transfer
from tasks.mining.git.clone import sync_repository
from tasks.mining.git.missing_objects import promisor
from tasks.progress import heard_by

FILES, BYTES = 60, 4000
FIRST_BLOBS = 2
"""Connections of a sync: the list of branches, commits and trees, then a batch of blobs each."""


class Wire:
    """Carries each connection to a `git daemon` of its own; `after[n]` bytes of the n-th are let through."""

    def __init__(self, base: str) -> None:
        self.after: dict[int, int] = {}
        self.hold = False
        """Whether what comes after is held back, instead of being cut off."""
        self.held, self.release = threading.Event(), threading.Event()
        self.sent: list[int] = []
        wire = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                wire.carry(self.request, base)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads, request_queue_size = True, 50

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"git://127.0.0.1:{self.server.server_address[1]}/origin"

    def carry(self, client: socket.socket, base: str) -> None:
        number = len(self.sent)
        self.sent.append(0)
        command = ["git", "daemon", "--inetd", "--export-all", f"--base-path={base}"]
        daemon = subprocess.Popen(command, stdin=client, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert daemon.stdout is not None
        with contextlib.suppress(OSError):
            while chunk := daemon.stdout.read1(2048):
                if self.sent[number] + len(chunk) > self.after.get(number, 1 << 40):
                    if not self.hold:
                        break
                    self.held.set()
                    self.release.wait()
                client.sendall(chunk)
                self.sent[number] += len(chunk)
        daemon.kill()
        daemon.wait()
        daemon.stdout.close()
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(repository, monkeypatch):
    """A remote with 60 files that do not compress, which allows filters; asked for 20 blobs at a time."""
    rng = random.Random(1)
    for number in range(FILES):
        repository.write({f"data/{number}.bin": rng.randbytes(BYTES)})
    repository.commit("Data")
    repository.git("config", "uploadpack.allowFilter", "true")
    monkeypatch.setattr(missing_objects, "BATCH", 20)
    wire = Wire(str(repository.path.parent))
    yield wire
    wire.release.set()
    wire.server.shutdown()
    wire.server.server_close()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def sync(wire, store):
    return sync_repository(RepositoryConfig(name="acme/sums", url=wire.url), store)


def names(store) -> list[str]:
    return sorted(path.name for path in (store.work / "clones").iterdir())


def assert_whole(store, repository, tmp_path) -> None:
    assert names(store) == ["acme__sums.git", "acme__sums.git.lock"]
    path = store.work / "clones" / "acme__sums.git"
    with git.Repo(path) as repo:
        assert promisor(repo) is None
        assert not missing_objects.missing_objects(repo, "--all")
    assert not list((path / "objects").rglob("tmp_*"))
    # what later stages do with it
    subprocess.run(["git", "clone", "-q", "--shared", path, tmp_path / "copy"], check=True)
    assert len(list((tmp_path / "copy" / "data").iterdir())) == FILES
    assert git.Repo(tmp_path / "copy").head.commit.hexsha == repository.head()


def test_blobs_come_in_batches_and_the_clone_is_whole(wire, store, repository, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_WORD_S", 0.0)
    monkeypatch.setattr(transfer, "EVERY_S", 0.0)
    told: list[tuple[int, int]] = []
    with heard_by(lambda done, total: told.append((done, total))):
        clone = sync(wire, store)
    assert (clone.head_sha, clone.partial, clone.branch) == (repository.head(), False, "main")
    assert_whole(store, repository, tmp_path)
    assert sum(size > BYTES * 15 for size in wire.sent) == 3
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > FILES


@pytest.mark.parametrize("cut", [1, FIRST_BLOBS + 1])
def test_a_cut_connection(wire, store, repository, tmp_path, cut):
    wire.after = {cut: 2000 if cut == 1 else BYTES * 10}
    with pytest.raises(MiningError) as caught:
        sync(wire, store)
    assert caught.value.outside
    assert names(store) == [".acme__sums.git.part", "acme__sums.git.lock"]
    first = len(wire.sent)
    wire.after = {}
    sync(wire, store)
    assert_whole(store, repository, tmp_path)
    batches = [size for size in wire.sent[first:] if size > BYTES]
    # the batch that had come is not asked for again; the one that broke off is
    assert len(batches) == (3 if cut == 1 else 2)


def test_a_killed_process(wire, store, repository, tmp_path):
    wire.hold, wire.after = True, {FIRST_BLOBS + 1: BYTES * 10}
    program = (
        "import sys; from configs.models import RepositoryConfig; from storage.store import Store\n"
        "from tasks.mining.git import clone, missing_objects; missing_objects.BATCH = 20\n"
        "clone.sync_repository(RepositoryConfig(name='acme/sums', url=sys.argv[1]), Store(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, wire.url, store.root])
    assert wire.held.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = len(wire.sent)
    wire.after = {}
    sync(wire, store)  # the other's git still waits for its answer
    assert_whole(store, repository, tmp_path)
    assert sum(size > BYTES for size in wire.sent[first:]) == 2


def test_what_a_killed_git_left_does_not_refuse_the_next(wire, store, repository, tmp_path):
    path = store.work / "clones" / sync(wire, store).path.rpartition("/")[2]
    new = repository.commit("More", {"a.py": "x = 1\n"})
    old = path / "objects" / "pack" / "tmp_pack_old"
    for left in (path / "packed-refs.lock", path / "refs" / "heads" / "main.lock", path / "shallow.lock", old):
        left.touch()
    os.utime(old, (0, 0))
    assert sync(wire, store).head_sha == new
    assert_whole(store, repository, tmp_path)


def test_a_server_that_cannot_filter_sends_all(wire, store, repository, tmp_path):
    repository.git("config", "uploadpack.allowFilter", "false")
    sync(wire, store)
    assert_whole(store, repository, tmp_path)
    assert sum(size > BYTES for size in wire.sent) == 1


def test_a_server_that_sends_no_single_objects(wire, store, repository, tmp_path, monkeypatch):
    for name, value in {"COUNT": "1", "KEY_0": "protocol.version", "VALUE_0": "0"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)  # of old, only what a branch points to may be asked for
    sync(wire, store)
    assert_whole(store, repository, tmp_path)


def test_a_silent_server_is_given_up(wire, store, monkeypatch):
    monkeypatch.setattr(transfer, "SILENCE_S", 0.5)
    wire.hold, wire.after = True, {1: 0}
    with pytest.raises(MiningError, match="nothing came for") as caught:
        sync(wire, store)
    assert caught.value.outside
