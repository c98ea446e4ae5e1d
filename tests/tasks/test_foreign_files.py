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
OURS = {"INSIDE", "STRUCTURE", "WATCH", "__file__"}
"""A path that begins with one of these is a file of this project."""
ALLOWED = {
    # folders and files that isobench names and makes itself, before or after a stranger's turn
    "environments/arms/checking_out.py": {
        "folder.parent.mkdir", "folder.exists", "folder.parent.glob", "note.unlink", "note.write_text",
        "temporary.rename", "note.exists", "note.read_text",
    },
    "environments/builds/building.py": {
        "(work / clone_path(repository.name)).resolve", "folder.parent.mkdir", "folder.parent.glob", "log.write_text",
        "place.cache.parent.mkdir", "place.cache.parent.chmod",
        "temporary.mkdir", "temporary.chmod", "temporary.rename", "place.build.mkdir",
        "(place.build / 'generated').rename",  # whatever it is; `settle` looks at it
    },
    "environments/builds/settling.py": {"os.scandir", "(folder / 'plain').mkdir", "(folder / 'plain').rename"},
    "environments/trees.py": {
        "folder.mkdir", "index.unlink", "os.chmod", "os.utime",
        "os.rename",  # from a name with random letters, which git has just written, back to the one beside it
        "(folder / '.git' / 'info').mkdir", "(folder / '.git' / 'info' / 'attributes').write_text",
    },
    "environments/patches/patching.py": {  # a repository of our own that holds nothing but settings
        "(home / name).mkdir", "(home / 'HEAD').write_text", "(home / 'config').write_text",
        "(home / 'info' / 'attributes').write_text", "folder.resolve", "self._patch.write_bytes",
    },
    "environments/models.py": {"(work / item.checkout).is_dir", "(work / item.path).is_dir"},
    "environments/builds/runners.py": {
        "folder.mkdir", "(place.tools / 'uv.toml').write_text", "clone.resolve", "path.resolve", "path.exists",
    },
    "environments/builds/tools.py": {  # new folders, filled before any step runs
        "import shutil", "shutil.copy2", "(folder / name).mkdir", "(folder / place).mkdir",
        "(folder / place).write_text", "(folder / '.local/bin/uv').symlink_to",
        "(folder / 'pythons' / name).symlink_to",
        "(folder / 'shims' / name).write_text", "(folder / 'shims' / name).chmod",
    },
    # interpreters, programs and the user's own settings on this machine
    "interpreters.py": {
        "versions.glob", "(folder / 'bin/python').exists", "home.glob", "(home / 'bin' / f'python{version}').exists",
        "(Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')) / 'versions').glob",
        "Path(os.environ.get('UV_PYTHON_INSTALL_DIR') or data / 'uv' / 'python').glob",
    },
    "registry.py": {"path.read_text", "path.exists", "(folder / name).exists"},
    "environments/builds/images.py": {"import shutil", "shutil.copyfile", "os.path.isfile", "mount.source.resolve"},
    "sandbox/local/bubblewrap.py": {
        "import glob", "import shutil", "filter_file.write_bytes", "os.open", "os.path.isdir", "glob.glob",
        "os.readlink", "prefix.glob", "home.resolve", "parent.resolve", "Path('/etc').glob",
    },
    "sandbox/docker/sandbox.py": {"mount.source.resolve"},
    "sandbox/base.py": {"mount.source.exists", "mount.source.is_symlink"},
    "agents/attempt.py": {"keep.mkdir", "out.mkdir"},
    "agents/base_tree.py": {"folder.mkdir", "tree.mkdir"},
    "agents/patches.py": {"contents.mkdir"},
    "agents/running.py": {"log.open"},
    "agents/workspace.py": {
        "(work / 'attempts').glob", "made.inside.chmod", "made.inside.mkdir", "folder.mkdir",
        "folder.chmod", "(folder / entry.name).chmod",
        "(folder / 'inside').chmod",
    },
    # folders of our own, before an agent is let in
    "agents/doctor/trial.py": {
        "(folder / 'out' / 'task.md').write_text", "(folder / 'workspace' / FILE).write_text",
        "(folder / _LOG).write_bytes", "(folder / name).chmod", "(folder / name).mkdir", "folder.rglob", "made.chmod",
        "made.is_dir",
    },
    "agents/installed/installing.py": {
        "(building / 'build' / 'uv.toml').write_text", "(building / _RECORD).write_text", "(building / name).mkdir",
        "(folder / _RECORD).exists", "(folder / _RECORD).read_text", "building.rename", "folder.parent.glob",
        "import shutil", "shutil.copy2", "top.mkdir",
    },
    "agents/installed/pythons.py": {"path.resolve"},
    "agents/installed/recipes.py": {"(home / '.npmrc').read_text"},
    # what is above all names of a stranger's store
    "llm/cache.py": {"self._folder.mkdir"},
    "llm/first_asked.py": {"folder.mkdir"},
    "llm/requests.py": {"self._folder.mkdir"},
    "perftests/sources/workloads.py": {"part.read_text"},
    "perftests/sources/signatures.py": {"target.mkdir"},
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
    found += [tasks / "sandbox" / name for name in ("local/bubblewrap.py", "docker/sandbox.py", "base.py")]
    found += [tasks / "llm" / name for name in ("cache.py", "first_asked.py", "requests.py", "sent.py")]
    # what agents leave in their workspaces
    attempts = ("attempt", "base_tree", "comparing", "patches", "running", "workspace")
    found += [tasks / "agents" / f"{name}.py" for name in attempts]
    found += [tasks / name for name in ("registry.py", "interpreters.py")]
    # what agents' packages put into their folders, and what they write about an attempt
    found += [path for name in ("installed", "doctor") for path in (tasks / "agents" / name).rglob("*.py")]
    names = sorted(path.relative_to(tasks).as_posix() for path in found)
    return [name for name in names if "/inside/" not in name]


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
        ("(INSIDE / 'own.py').read_text()", []),
    ],
)  # fmt: skip
def test_the_search_finds_what_it_is_to_find(source: str, found: list[str]) -> None:
    assert sorted(_opens(source)) == sorted(found)
