"""Checkouts: no history, no clue to which arm it is, every kind of patch."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import git
import pytest

from configs.models import EnvironmentConfig, SandboxConfig
from storage.store import Store
from tasks.code.clones import clone_path
from tasks.environments.arms.checking_out import add_missing, check_out, import_paths
from tasks.environments.models import CheckedOut, missing
from tasks.environments.trees import clone_at
from tasks.mining.git.clone import clone_path as mining_clone_path
from tasks.sandbox.models import Arm, Environment

BARE = Environment(env_id="bare", kind="local", python="python3")


def _check_out(history: Any, sha: str, patch: str | None = None, name: str = "patch:x", **config: Any) -> CheckedOut:
    settings = EnvironmentConfig(**config)
    return check_out(history.repository, settings, BARE, SandboxConfig(), sha, name, patch, history.work)


def _files(history: Any, result: CheckedOut) -> dict[str, bytes]:
    assert result.arm is not None, result.reason
    folder = history.work / result.arm.checkout
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_clones_are_where_mining_keeps_them() -> None:
    assert clone_path("a/b.c") == mining_clone_path("a/b.c")


def test_files_of_the_commit_and_nothing_else(history: Any) -> None:
    first = history.commit({"pkg/__init__.py": "A = 1\n", "tool.sh": "#!/bin/sh\n", ".hidden": "x"})
    history.commit({"pkg/__init__.py": "A = 2\n", "secret_future.py": "faster"})
    result = _check_out(history, first)
    assert _files(history, result) == {"pkg/__init__.py": b"A = 1\n", "tool.sh": b"#!/bin/sh\n", ".hidden": b"x"}
    assert result.arm is not None
    assert not Path(result.arm.checkout).is_absolute()
    assert sorted(path.name for path in (history.work / "checkouts").iterdir() if not path.name.endswith(".lock")) == [
        result.arm.arm_id
    ]


def test_nothing_tells_which_arm_it_is(history: Any) -> None:
    history.commit({"a/b.py": "1", "run.sh": "x"})
    (history.source / "run.sh").chmod(0o700)
    (history.source / "link").symlink_to("a/b.py")
    sha = history.commit({"c.py": "2"})
    old = os.umask(0o077)
    try:
        result = _check_out(history, sha, name="base")
    finally:
        os.umask(old)
    assert result.arm is not None
    folder = history.work / result.arm.checkout
    modes = {path.name: oct(path.lstat().st_mode)[-3:] for path in folder.rglob("*") if not path.is_symlink()}
    assert modes == {"a": "755", "b.py": "644", "run.sh": "755", "c.py": "644"}
    assert len({path.lstat().st_mtime for path in [folder, *folder.rglob("*")]}) == 1
    assert (folder / "link").is_symlink()


def test_same_content_is_the_same_folder(history: Any) -> None:
    first = history.commit({"a.py": "1\n"})
    second = history.commit({"a.py": "2\n"})
    patch = history.diff(first, second)
    one, other = _check_out(history, first, patch, "human"), _check_out(history, first, patch, "patch:1")
    assert one.arm is not None
    assert other.arm is not None
    assert (one.arm.checkout, one.arm.arm_id) == (other.arm.checkout, other.arm.arm_id)
    assert (one.arm.name, other.arm.name) == ("human", "patch:1")
    assert _check_out(history, first).arm != one.arm


def test_patches_that_apply(history: Any) -> None:
    base = history.commit(
        {"a.py": "one\ntwo\nthree\n", "old.py": "moved\n" * 9, "bin": bytes(range(256)), "gone.py": "x\n"}
    )
    (history.source / "old.py").unlink()
    head = history.commit(
        {"a.py": "one\n2\nthree\n", "new/name.py": "moved\n" * 9, "bin": bytes(reversed(range(256))), "gone.py": None}
    )
    wanted = _files(history, _check_out(history, head))
    patch = history.diff(base, head, "-M")
    assert "rename from" in patch
    for text in (patch, patch.rstrip("\n")):
        assert _files(history, _check_out(history, base, text)) == wanted


def test_crlf_patch_of_an_lf_file_and_crlf_file(history: Any) -> None:
    base = history.commit({"a.py": "one\ntwo\nthree\n", "dos.py": "one\r\ntwo\r\n"})
    head = history.commit({"a.py": "one\n2\nthree\n"})
    mailed = history.diff(base, head).replace("\n", "\r\n")
    assert _files(history, _check_out(history, base, mailed))["a.py"] == b"one\n2\nthree\n"
    dos = history.commit({"dos.py": "one\r\n2\r\n"})
    result = _files(history, _check_out(history, base, history.diff(head, dos)))
    assert result["dos.py"] == b"one\r\n2\r\n"


@pytest.mark.parametrize("patch", ["", "  \n\t\n"])
def test_empty_patch_is_a_status(history: Any, patch: str) -> None:
    result = _check_out(history, history.commit({"a.py": "1\n"}), patch)
    assert (result.arm, result.status) == (None, "empty_patch")


NEW_FILE = "diff --git a/{0} b/{0}\nnew file mode 100644\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+x\n"
LINK = (
    "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+{0}\n"
    "\\ No newline at end of file\n"
)


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-not there\n+x\n", "a.py"),
        ("--- a/none.py\n+++ b/none.py\n@@ -1 +1 @@\n-1\n+x\n", "none.py"),
        ("this is no patch\n", "no unified diff"),
        ("--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n", "corrupt patch"),
        (NEW_FILE.format("../outside.py"), "invalid path"),
        (NEW_FILE.format(".git/config"), "invalid path"),
        (NEW_FILE.format("sub/.git/hooks/post-checkout"), "invalid path"),
        (LINK.format("/tmp") + NEW_FILE.format("l/through.py"), "beyond a symbolic link"),
    ],
)
def test_patches_that_fail_are_a_status(history: Any, patch: str, said: str) -> None:
    result = _check_out(history, history.commit({"a.py": "1\n"}), patch)
    assert (result.arm, result.status) == (None, "patch_failed")
    assert said in result.reason
    assert "\n" not in result.reason
    assert not (history.work / "checkouts" / "outside.py").exists()
    assert [path for path in (history.work / "checkouts").iterdir() if not path.name.endswith(".lock")] == []


def test_a_store_inside_a_users_repository(history: Any) -> None:
    """There git would take the patch's paths as that repository's, and skip them all in silence."""
    base = history.commit({"a.py": "1\n"})
    head = history.commit({"a.py": "2\n"})
    history.work.rename(history.source / "store")
    history.work = history.source / "store"
    (history.work / clone_path(history.repository.name)).exists()
    assert _files(history, _check_out(history, base, history.diff(base, head))) == {"a.py": b"2\n"}


def test_a_commit_that_is_not_there(history: Any) -> None:
    history.commit({"a.py": "1\n"})
    result = _check_out(history, "0" * 40)
    assert (result.arm, result.status) == (None, "missing_commit")
    assert "0" * 40 in result.reason


def test_many_at_once_make_one(history: Any) -> None:
    sha = history.commit({f"{i}.py": "1\n" for i in range(50)})
    results: list[CheckedOut] = []
    threads = [threading.Thread(target=lambda: results.append(_check_out(history, sha))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result.arm.arm_id for result in results if result.arm}) == 1
    assert all(len(_files(history, result)) == 50 for result in results)


def test_a_half_made_folder_of_a_crash_is_no_arm(history: Any) -> None:
    sha = history.commit({"a.py": "1\n"})
    arm = _check_out(history, sha).arm
    assert arm is not None
    folder = history.work / arm.checkout
    folder.rename(folder.parent / f".{arm.arm_id}-left")
    (folder.parent / f".{arm.arm_id}-left" / "a.py").unlink()
    assert missing(arm, history.work)
    assert _files(history, _check_out(history, sha)) == {"a.py": b"1\n"}
    assert not missing(arm, history.work)
    assert not (folder.parent / f".{arm.arm_id}-left").exists()


def test_no_filter_or_hook_of_the_user_is_run(history: Any, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    history.git("config", "core.hooksPath", str(tmp_path))
    (tmp_path / "post-checkout").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (tmp_path / "post-checkout").chmod(0o755)
    _files(history, _check_out(history, history.commit({"a.py": "1\n"})))
    assert not mark.exists()


def test_import_paths(tmp_path: Path) -> None:
    config = EnvironmentConfig()
    assert import_paths(tmp_path, config, []) == (".",)
    (tmp_path / "src").mkdir()
    assert import_paths(tmp_path, config, []) == ("src", ".")
    assert import_paths(tmp_path, config, ["src", "gone"]) == ("src",)
    assert import_paths(tmp_path, EnvironmentConfig(import_paths=["lib"]), ["src"]) == ("lib",)


def test_nothing_is_added_through_a_link(tmp_path: Path) -> None:
    source, checkout, outside = tmp_path / "made", tmp_path / "checkout", tmp_path / "outside"
    for folder in (source / "pkg", checkout, outside):
        folder.mkdir(parents=True)
    (source / "pkg" / "_version.py").write_text("x")
    (checkout / "pkg").symlink_to(outside)
    add_missing(source, checkout, (".",))
    assert list(outside.iterdir()) == []


def test_missing_environment(tmp_path: Path) -> None:
    here = Environment(env_id="e", kind="local", python="p", path="environments/e/venv")
    assert missing(here, tmp_path)
    (tmp_path / "environments/e/venv").mkdir(parents=True)
    assert not missing(here, tmp_path)
    arm = Arm(name="base", arm_id="a", checkout="checkouts/a", environment=here)
    assert missing(arm, tmp_path)
    (tmp_path / "checkouts/a").mkdir(parents=True)
    assert not missing(arm, tmp_path)


def test_doors_cache_by_content(history: Any, tmp_path: Path) -> None:
    from tasks.environments.stage import _arm_key
    from tasks.environments.stage import check_out as door

    sha = history.commit({"a.py": "1\n"})
    parameters = {
        "repository": history.repository, "environment_config": EnvironmentConfig(), "environment": BARE, "sha": sha,
        "sandbox": SandboxConfig(), "name": "base", "patch": None, "store": "one",
    }  # fmt: skip
    elsewhere = history.repository.model_copy(update={"url": "/elsewhere"})
    assert _arm_key(None, parameters) == _arm_key(None, {**parameters, "store": "two", "repository": elsewhere})
    assert _arm_key(None, parameters) != _arm_key(None, {**parameters, "patch": "x"})
    store = Store(tmp_path / "store")
    store.work.rmdir()
    history.work.rename(store.work)
    result = door.fn(**{**parameters, "store": store.root})
    assert result.status == "ok"


ATTRIBUTES = (
    "* text eol=crlf\n*.py ident filter=leave\nutf16.txt text working-tree-encoding=UTF-16\nx.py export-ignore\n"
)


def test_attributes_of_a_repository_do_not_decide_what_an_arm_holds(history: Any, tmp_path: Path) -> None:
    """Patches speak of what git keeps; what it would write into a work tree is another text."""
    ran = tmp_path / "ran"
    base = history.commit({"x.py": "a = 1  # $Id$\nb = 2\n", "utf16.txt": "é\n", "sub/y.py": "y\n"})

    def commit(files: dict[str, str]) -> str:
        for name, text in files.items():
            (history.source / name).write_text(text)
        history.git("add", *files)  # and no more: the work tree's other files are not as the attributes want them
        history.git("commit", "-q", "-m", "change")
        return str(history.git("rev-parse", "HEAD").strip())

    base = commit({".gitattributes": ATTRIBUTES, "sub/.gitattributes": "* eol=crlf\n"})
    history.git("config", "filter.leave.smudge", f"touch {ran}; cat")
    history.git("config", "core.autocrlf", "true")
    plain = {name: history.git("show", f"{base}:{name}").encode() for name in ("x.py", "utf16.txt", "sub/y.py")}
    head = commit({"x.py": "a = 2  # $Id$\nb = 2\n"})
    patch = history.diff(base, head)

    files = _files(history, _check_out(history, base, None, "base"))
    assert {name: files[name] for name in plain} == plain
    assert (files[".gitattributes"], files["sub/.gitattributes"]) == (ATTRIBUTES.encode(), b"* eol=crlf\n")
    assert sorted(files) == [".gitattributes", "sub/.gitattributes", "sub/y.py", "utf16.txt", "x.py"]
    patched = _files(history, _check_out(history, base, patch))
    assert patched == {**files, "x.py": b"a = 2  # $Id$\nb = 2\n"} == _files(history, _check_out(history, head))

    clone_at(history.work / clone_path(history.repository.name), base, tmp_path / "building")
    assert {name: (tmp_path / "building" / name).read_bytes() for name in plain} == plain
    assert git.Git(tmp_path / "building").status("--porcelain") == ""  # a version made from it is not `dirty`
    assert not ran.exists()


def test_what_was_forgiven_of_a_patch_is_said_of_every_arm_that_it_made(history: Any) -> None:
    base = history.commit({"a.py": "1\n2\n"})
    stripped = "--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n-1\n+one\n 2\n"
    for name in ("human", "patch:1"):
        result = _check_out(history, base, stripped, name)
        assert (result.status, result.reason) == ("ok", "the patch as it could be read: names without a/ and b/")
