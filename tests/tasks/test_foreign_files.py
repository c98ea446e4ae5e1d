"""Modules that touch what strangers made open it through `tasks.sandbox.foreign` only: read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPENING = {
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "is_file", "is_dir", "exists", "stat", "lstat",
    "is_symlink", "glob", "rglob", "iterdir", "walk", "fwalk", "scandir", "listdir", "resolve", "realpath", "isfile",
    "isdir", "getsize", "chmod", "utime", "copy", "copy2", "copyfile", "copytree", "move", "rmtree", "unlink", "rename",
    "replace_file", "mkdir", "makedirs", "symlink_to", "hardlink_to", "touch", "extract", "extractall", "ZipFile",
    "unpack_archive", "loadtxt", "fromfile", "memmap", "samefile", "readlink", "truncate",
}  # fmt: skip
"""Names of functions and methods that open, look at, make or change a file by its name."""
ARCHIVES = {"zipfile", "tarfile", "shutil", "glob", "gzip", "bz2", "lzma", "pickle", "fileinput", "linecache"}
OURS = {"HERE", "__file__"}
"""A path that begins with one of these is a file of this project."""
INSIDE = {
    "environments/build_wheel.py", "environments/strip_project.py", "perftests/watch.py", "perftests/gates/watching.py",
    "perftests/gates/mutating.py", "perftests/pytest_source/discovery.py", "perftests/pytest_source/workload.py",
    "perftests/asv_source/discovery.py", "perftests/asv_source/workload.py",
}  # fmt: skip
"""Run inside a sandbox."""
ALLOWED = {
    # folders and files that isobench names and makes itself, before or after a stranger's turn
    "environments/checking_out.py": {
        "folder.parent.mkdir", "folder.exists", "folder.parent.glob", "note.unlink", "note.write_text",
        "temporary.rename", "note.exists", "note.read_text", 
    },
    "environments/building.py": {"folder.parent.mkdir", "folder.parent.glob", "log.write_text", "temporary.rename",
                                 "(temporary / 'generated').mkdir"},
    "environments/settling.py": {"os.scandir", "(folder / 'plain').mkdir", "(folder / 'plain').rename"},
    "environments/trees.py": {"folder.mkdir", "index.unlink", "folder.resolve", "os.chmod", "os.utime"},
    "environments/models.py": {"(work / item.checkout).is_dir", "(work / item.path).is_dir"},
    # interpreters and programs of this machine
    "environments/interpreters.py": {"versions.glob", "(folder / 'bin/python').exists"},
    "environments/images.py": {"import shutil", "shutil.copy2", "shutil.copyfile", "cache.mkdir", "build.resolve",
                               "cache.resolve", "os.path.isfile"},
    "sandbox/bubblewrap.py": {
        "import glob", "import shutil", "(folder / 'passwd').write_text", "(folder / 'group').write_text",
        "filter_file.write_bytes", "os.open", "os.path.isdir", "os.path.exists", "glob.glob", "os.readlink",
        "prefix.glob", "home.resolve", "parent.resolve",
    },
    "sandbox/docker.py": {"mount.source.resolve"},
    "sandbox/opened.py": {"mount.source.exists", "mount.source.is_symlink"},
    "perftests/trying.py": {"part.read_text"},
    "perftests/signatures.py": {"target.mkdir"},
    # no files: a name of Python's
    "apis/graph.py": {"self.resolve"},
    # the helper itself
    "sandbox/foreign.py": None,
    "sandbox/foreign_folders.py": None,
}  # fmt: skip
"""Module -> what it may do beside the helper, as written there; None: anything."""


def _watched() -> list[str]:
    tasks = ROOT / "tasks"
    found = [path for package in ("environments", "perftests", "apis") for path in (tasks / package).rglob("*.py")]
    found += [tasks / "sandbox" / name for name in ("bubblewrap.py", "docker.py", "opened.py")]
    names = sorted(path.relative_to(tasks).as_posix() for path in found)
    return [name for name in names if name not in INSIDE]


def _opens(source: str) -> Iterator[str]:
    """What a module does with files other than through the helper, as it is written."""
    tree = ast.parse(source)
    helpers = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tasks.")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {alias.name}" for alias in node.names if alias.name in ARCHIVES)
        elif isinstance(node, ast.ImportFrom) and node.module in {*ARCHIVES, "os", "os.path"}:
            yield f"from {node.module} import"
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            written = ast.unparse(node.func)
            words = {word.id for word in ast.walk(node.func) if isinstance(word, ast.Name)}
            attributes = {word.attr for word in ast.walk(node.func) if isinstance(word, ast.Attribute)}
            by_helper = isinstance(node.func, ast.Name | ast.Attribute) and written.split(".")[0] in helpers
            if name in OPENING and not by_helper and not OURS & (words | attributes) and written != "ast.walk":
                yield written


@pytest.mark.parametrize("module", _watched())
def test_strangers_files_are_opened_by_the_helper(module: str) -> None:
    allowed = ALLOWED.get(module, set())
    if allowed is not None:
        assert set(_opens((ROOT / "tasks" / module).read_text())) - allowed == set()


@pytest.mark.parametrize("module", [name for name, allowed in ALLOWED.items() if allowed])
def test_no_exception_outlives_its_use(module: str) -> None:
    assert (ALLOWED[module] or set()) - set(_opens((ROOT / "tasks" / module).read_text())) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("(checkout / name).read_text()", ["(checkout / name).read_text"]),
        ("open(path)", ["open"]),
        ("import os\nfor x in os.walk(checkout): pass", ["os.walk"]),
        ("zipfile.ZipFile(f).extractall(x)", ["zipfile.ZipFile(f).extractall", "zipfile.ZipFile"]),
        ("import tarfile", ["import tarfile"]),
        ("import ast\nast.walk(tree)", []),
        ("from shutil import copyfile", ["from shutil import"]),
        ("from pathlib import Path\nPath(x, 'a').is_file()", ["Path(x, 'a').is_file"]),
        ("from tasks.sandbox import foreign\nforeign.is_file(root, name)", []),
        ("(HERE / 'own.py').read_text()", []),
    ],
)  # fmt: skip
def test_the_search_finds_what_it_is_to_find(source: str, found: list[str]) -> None:
    assert sorted(_opens(source)) == sorted(found)
