"""Repositories in odd shape: each is mined, and one odd commit, name or file stops nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from configs.models import MiningConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Commit
from tasks.apis.find import find_apis
from tasks.mining.errors import MiningError
from tasks.mining.git.clone import sync_repository
from tasks.mining.mine import mine_repository
from tests.tasks.mining.conftest import FAST, NAME, SLOW, GitRepository

WHO = b"A <a@example.org> 1700000000 +0000"


def mined(url: str | Path, store: Store) -> dict[str, Commit]:
    """Rows by subject; the APIs of what was kept are looked for, too."""
    repository = RepositoryConfig(name=NAME, url=str(url), languages=["python", "c", "cython"])
    clone = sync_repository(repository, store)
    found = mine_repository(repository, MiningConfig(use_keywords=True), clone.head_sha, store)
    for sha in found.kept:
        find_apis(repository, sha, None, store)
    return {row.subject: row for row in store.rows(Commit, NAME)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "a store" / "$HOME")


def commit_by_hand(repository: GitRepository, head: bytes, message: bytes, files: dict[str, str]) -> None:
    """A commit that git itself would not make: `head` follows its parent."""
    repository.write(dict(files))
    repository.git("add", "-A")
    made = f"tree {repository.git('write-tree')}\nparent {repository.head()}\n".encode() + head + b"\n\n" + message
    done = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--literally", "--stdin"],
        input=made, cwd=repository.path, capture_output=True, check=True,
    )  # fmt: skip
    repository.git("update-ref", "HEAD", done.stdout.decode().strip())


def test_commits_that_git_would_not_make_today(repository: GitRepository, store: Store) -> None:
    author, committer = b"author " + WHO, b"committer " + WHO
    heads = {
        "epoch": b"author A <a@b> 0 +0000\n" + committer, "before": b"author A <a@b> -12345 +0000\n" + committer,
        "far": b"author A <a@b> 4102444800 +1400\n" + committer, "never": b"author A <a@b> \n" + committer,
        "farther": b"author A <a@b> 1831000000000 +0000\n" + committer,
        "bits": b"author A <a@b> 99999999999999999999 -0700\ncommitter A <a@b> -99999999999999999999 +9999",
        "zone": b"author A <a@b> 1312735823 +51800\n" + committer, "nobody": b"author <>\ncommitter ",
        "encoding": author + b"\n" + committer + b"\nencoding x-no-such", "signed": author + b"\n" + committer +
        b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n abc\n -----END PGP SIGNATURE-----", "escape": author[:7] +
        b"A\x01\x1b[31m <a@b> 1700000000 +0000\n" + committer,
    }  # fmt: skip
    for number, (name, head) in enumerate(heads.items()):
        text = f"{FAST if number % 2 == 0 else SLOW}\nN = {number}\n"
        commit_by_hand(repository, head, f"perf: {name}".encode() + b"\n\n\xfc \x1e \0 hidden\n", {"sums.py": text})
    commit_by_hand(repository, author + b"\n" + committer, b"", {"sums.py": SLOW})
    rows = mined(repository.path, store)
    kept = {subject.removeprefix("perf: ") for subject, row in rows.items() if row.kept}
    assert kept == set(heads)
    assert rows["perf: zone"].author_date.date().isoformat() == "2011-08-07"
    assert rows["perf: far"].author_date.year == 2100
    assert all("sums.py::total" in row.functions_changed for row in rows.values() if row.kept)
    assert rows[""].reason == "no_keyword"


def test_names_and_sources_of_all_kinds(repository: GitRepository, store: Store) -> None:
    names = [
        "a b.py", "tab\tx.py", "new\nline.py", '"q".py', "ünï.py", "-dash.py", "CASE.py", "case.py", "{a => b}.py",
        "back\\slash.py", " .py", os.fsdecode(b"\xff\xfe.py"),
    ]  # fmt: skip
    dressed = {
        "feed.py": lambda text: b"\x0c" + text, "py2.py": lambda text: b"print 'x'\n" + text,
        "invalid.py": lambda text: b"x = '\xff\xfe'\n" + text, "dos.py": lambda text: text.replace(b"\n", b"\r\n"),
        "mac.py": lambda text: text.replace(b"\n", b"\r"), "bom.py": lambda text: b"\xef\xbb\xbf" + text,
        "latin.py": lambda text: b"# coding: latin-1\nx = '\xe4'\n" + text,
        "c.pyx": lambda text: b"\xef\xbb\xbf" + text,
        "deep.py": lambda text: b"y = " + b"(" * 5000 + b")" * 5000 + b"\n" + text,
        "minus.py": lambda text: b"y = " + b"-" * 50_000 + b"1\n" + text,
    }  # fmt: skip
    for text, message in ((SLOW, "Add"), (FAST, "perf: faster everywhere")):
        for name in names:
            (repository.path / name).write_text(text)
        for name, dress in dressed.items():
            (repository.path / name).write_bytes(dress(text.encode()))
        (repository.path / "flat.py").write_bytes(text.encode() + b"\0")
        (repository.path / "long.py").write_bytes(b"x = '" + b"a" * 3_000_000 + b"'\n" + text.encode())
        repository.commit(message)
    changed = mined(repository.path, store)["perf: faster everywhere"].functions_changed
    shown = {*names[:-1], "\ufffd\ufffd.py"}
    assert {f"{name}::total" for name in [*shown, *dressed]} <= set(changed)


def test_links_submodules_and_merges_of_all_kinds(repository: GitRepository, store: Store, tmp_path: Path) -> None:
    for name, target in (("link.py", "sums.py"), ("passwords.py", "/etc/passwd"), ("nowhere.py", "no such file")):
        os.symlink(target, repository.path / name)
    repository.commit("perf: links")
    (repository.path / "link.py").unlink()
    repository.commit("perf: a link becomes a file", {"link.py": SLOW})
    (repository.path / "sums.py").unlink()
    repository.commit("perf: a file becomes a folder", {"sums.py/__init__.py": SLOW})
    other = GitRepository(tmp_path / "other")
    other.commit("Start", {"x.py": "x = 1\n"})
    repository.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other.path), "ext")
    repository.commit("perf: submodule")
    for branch in "abc":
        repository.git("checkout", "-q", "-b", branch, "main")
        repository.commit(f"Branch {branch}", {f"{branch}.py": SLOW})
    repository.git("checkout", "-q", "main")
    repository.merge("perf: octopus", *"abc")
    repository.git("notes", "add", "-m", "a note")
    last = repository.commit("perf: faster", {"a.py": FAST, ".mailmap": "X <x@y.org> Ada <ada@example.org>\n"})
    repository.git("replace", last, f"{last}~2")
    repository.git("checkout", "-q", "--orphan", "lonely")
    repository.commit("perf: on an orphan", {"a.py": SLOW})
    repository.git("checkout", "-q", "main")
    rows = mined(repository.path, store)
    assert {subject for subject in rows if subject.startswith("perf")} == {
        "perf: links", "perf: a link becomes a file", "perf: a file becomes a folder", "perf: submodule",
        "perf: octopus", "perf: faster",
    }  # fmt: skip
    assert rows["perf: faster"].functions_changed == ["a.py::total"]
    assert rows["perf: faster"].sha == last


@pytest.mark.parametrize(
    "kind", ["bare", ".git", "worktree", "objects are a link", "alternates", "odd name", "detached"]
)
def test_places_where_a_repository_may_lie(kind: str, repository: GitRepository, store: Store, tmp_path: Path) -> None:
    repository.commit("perf: faster sums", {"sums.py": FAST})
    place = tmp_path / "place"
    if kind == "bare":
        repository.git("clone", "-q", "--bare", str(repository.path), str(place))
    elif kind == ".git":
        place = repository.path / ".git"
    elif kind == "worktree":
        repository.git("worktree", "add", "-q", str(place))
    elif kind == "objects are a link":
        place = repository.path
        (place / ".git/objects").rename(tmp_path / "objects")
        (place / ".git/objects").symlink_to(tmp_path / "objects")
    elif kind == "alternates":
        repository.git("clone", "-q", "--shared", str(repository.path), str(place))
    elif kind == "odd name":
        place = repository.path.rename(tmp_path / "-a $HOME ü %41 #x?:y'\"")
    else:
        place = repository.path
        repository.git("checkout", "-q", "--detach")
    assert mined(place, store)["perf: faster sums"].functions_changed == ["sums.py::total"]


@pytest.mark.parametrize("form", ["{path}", "file://{path}"])
def test_a_repository_of_longer_hashes(form: str, store: Store, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "main", "--object-format=sha256", tmp_path / "origin"], check=True)
    made = GitRepository.__new__(GitRepository)
    made.path, made.clock = tmp_path / "origin", 1_600_000_000
    made.commit("Start", {"sums.py": SLOW})
    head = made.commit("perf: faster sums", {"sums.py": FAST})
    row = mined(form.format(path=made.path), store)["perf: faster sums"]
    assert (row.kept, row.sha, len(row.sha)) == (True, head, 64)


def test_what_is_no_repository_is_said(repository: GitRepository, store: Store, tmp_path: Path) -> None:
    GitRepository(tmp_path / "empty")
    repository.write({"sub/x.py": ""})
    repository.git("bundle", "create", "-q", str(tmp_path / "all.bundle"), "--all")
    for url, reason in (
        (tmp_path / "empty", "has no commits"), (f"file://{tmp_path}/empty", "has no commits"),
        (repository.path / "sub", "check repository.name and repository.url"),
        (tmp_path / "all.bundle", "is not a folder"), (tmp_path / "absent", "is not a folder"),
    ):  # fmt: skip
        with pytest.raises(MiningError, match=reason):
            mined(url, store)


@pytest.mark.parametrize("form", ["{path}", "file://{path}"])
def test_the_repository_where_the_user_stands_has_no_say(
    form: str, repository: GitRepository, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = GitRepository(tmp_path / "here")
    here.git("config", "url.file:///nowhere.insteadOf", "file://")
    here.git("config", "core.hooksPath", "/nowhere")
    here.git("config", "remote.origin.url", "/nowhere")
    (here.path / "store").mkdir()
    monkeypatch.chdir(here.path / "store")
    repository.commit("perf: faster sums", {"sums.py": FAST})
    assert mined(form.format(path=repository.path), Store(Path("mine")))["perf: faster sums"].kept
