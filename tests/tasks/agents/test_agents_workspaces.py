"""What an agent finds: base, importable and with its tests, one commit, and no line that the human wrote."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.models import EnvironmentConfig, SandboxConfig
from tasks.agents.base_tree import BaseTree
from tasks.agents.patches import take_patch
from tasks.agents.workspace import Workspace, make_workspace
from tasks.environments.arms.checking_out import check_out
from tasks.environments.builds.building import build_environment
from tasks.environments.models import EnvironmentWanted
from tasks.sandbox import open_sandbox
from tasks.sandbox.models import Environment, Limits, Sandbox
from tests.tasks.agents.lab import FAST, PERF_TEST, SLOW, TEST
from tests.tasks.environments.conftest import History
from tests.tasks.environments.test_environments_building import _FAST_C, PYPROJECT, backend
from tests.tasks.environments.test_environments_own_code import own_build

LAYOUT = {"__init__.py": "src/tinylib/__init__.py", "core.py": "src/tinylib/core.py", "made.py": "=answer = 42\n"}
ADDED = [line.strip() for line in FAST.splitlines() if line not in SLOW.splitlines()]
SEARCH = """
import json, os, sys
wanted = [line.encode() for line in json.loads(sys.argv[1])]
found, files = [], 0
for top in sys.argv[2:]:
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    content = file.read()
                files += 1
                found += [path for line in wanted if line in content]
print(json.dumps([files, found]))
"""
EVERYWHERE = ("/workspace", "/home", "/out", "/opt", "/perf_tests", "/tools", "/env", "/work", "/tmp", "/srv")


@pytest.fixture(scope="module", params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Workspace, Sandbox, History]]:
    """A workspace in a built environment (local), or in a bare image."""
    history = History(tmp_path_factory.mktemp("history"))
    base = history.commit({"src/tinylib/__init__.py": "", "src/tinylib/core.py": SLOW, "tests/test_core.py": TEST,
                           ".gitattributes": "*.py text eol=crlf\n", **own_build(LAYOUT)})  # fmt: skip
    human = history.commit({"src/tinylib/core.py": FAST})
    history.git("tag", "v2")
    history.commit({"notes.txt": "later\n"})
    sandbox = SandboxConfig(kind=request.param)
    config = EnvironmentConfig(pin_to_date=False, build_timeout_s=120)
    if request.param == "docker":
        image = request.getfixturevalue("docker_image")
        environment = Environment(env_id="bare", kind="docker", python="python3", image=image)
    else:
        built = build_environment(
            EnvironmentWanted(history.repository, config, sandbox, base, human, None), history.work
        )
        assert built.environment is not None, built.reason
        environment = built.environment
    checked = check_out(history.repository, config, environment, sandbox, base, "base", None, history.work)
    assert checked.arm is not None, checked.reason
    tree = BaseTree(history.source / ".git", base)
    files = {"/home/agent/.codex/config.toml": "x = 1\n", "/out/begun.txt": "y\n"}
    with open_sandbox(sandbox) as opened:
        shown = {"perf_test_1.py": PERF_TEST}
        with make_workspace(checked.arm, tree, history.work, opened, shown, files) as workspace:
            yield workspace, opened, history
    assert not list((history.work / "attempts").iterdir())


def said(workspace: Workspace, sandbox: Sandbox, *argv: str) -> str:
    """What a command inside prints."""
    done = sandbox.run(workspace.command(argv, limits=Limits(timeout_s=120)))
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", str(folder), *arguments], capture_output=True, check=True
    ).stdout


def test_no_object_and_no_file_holds_a_line_that_the_human_added(made: tuple[Workspace, Sandbox, History]) -> None:
    workspace, sandbox, history = made
    assert len(ADDED) == 3
    objects = git(workspace.repository, "cat-file", "--batch-all-objects", "--batch", "--unordered")
    assert SLOW.splitlines()[1].encode() in objects
    assert [line for line in ADDED if line.encode() in objects] == []
    assert [
        line for line in ADDED if line.encode() in git(history.source, "cat-file", "--batch-all-objects", "--batch")
    ]
    search = ("python", "-c", SEARCH, json.dumps(ADDED))
    files, found = json.loads(said(workspace, sandbox, *search, *EVERYWHERE))
    assert found == []
    assert files > 20
    said(workspace, sandbox, "sh", "-c", 'printf %s "$1" > /out/planted', "sh", FAST)  # the search would find them
    assert json.loads(said(workspace, sandbox, *search, "/out"))[1] == ["/out/planted"] * 3
    said(workspace, sandbox, "rm", "/out/planted")


def test_its_history_is_one_commit_without_a_way_to_others(made: tuple[Workspace, Sandbox, History]) -> None:
    workspace, sandbox, _ = made
    inside = workspace.repository / ".git"
    assert git(workspace.repository, "for-each-ref", "--format=%(refname)") == b"refs/heads/main\n"
    assert git(workspace.repository, "rev-list", "--all", "--reflog", "--count") == b"1\n"
    assert git(workspace.repository, "rev-parse", "HEAD^{tree}").decode().strip() == str(
        git(workspace.base.clone, "rev-parse", f"{workspace.base.sha}^{{tree}}").decode().strip()
    )
    assert git(workspace.repository, "fsck", "--no-progress") == b""
    assert not (inside / "logs").exists()
    assert not (inside / "hooks").exists()
    assert not (inside / "objects/info/alternates").exists()
    texts = [path.read_text() for name in ("config", "info", "HEAD") for path in _files(inside / name)]
    assert [text for text in texts if str(workspace.work.parent) in text or workspace.base.sha in text] == []
    if sandbox.kind == "local":  # the image has no git
        assert said(workspace, sandbox, "git", "status", "--porcelain", "--ignored=no") == ""
        assert said(workspace, sandbox, "git", "log", "--format=%an %ai %s") == "base 2024-03-01 12:00:00 +0000 base\n"
        assert said(workspace, sandbox, "git", "remote") == ""


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [below for below in path.rglob("*") if below.is_file()]


def test_the_repository_is_imported_from_its_workspace_and_its_tests_run(
    made: tuple[Workspace, Sandbox, History],
) -> None:
    workspace, sandbox, _ = made
    where = "import tinylib.core as c; print(c.__file__)"
    for shell in (("python", "-c", where), ("python3", "-c", where), ("sh", "-lc", f"cd /tmp; python -c '{where}'")):
        assert said(workspace, sandbox, *shell) == "/workspace/src/tinylib/core.py\n"
    assert "1 passed" in said(workspace, sandbox, "pytest", "-q", "-p", "no:cacheprovider")
    assert "1 passed" in said(workspace, sandbox, "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    if sandbox.kind == "local":  # what the build made is there, too, and the tree is still clean
        assert said(workspace, sandbox, "python", "-c", "import tinylib.made as m; print(m.answer)") == "42\n"
        assert workspace.built == {"src/tinylib/made.py"}
    # an agent in Python must not import the repository in the place of a package of its own
    assert "PYTHONPATH" not in said(workspace, sandbox, "env")


def test_perf_tests_that_it_may_see_are_timed_and_compared(made: tuple[Workspace, Sandbox, History]) -> None:
    workspace, sandbox, _ = made
    measure = ("python", "/perf_tests/measure.py", "--seconds", "0.01")
    first = said(workspace, sandbox, *measure, "--save", "/out/kept")
    assert first.startswith("perf_test_1.py: best ")
    assert first.endswith("; result kept\n")
    assert said(workspace, sandbox, *measure, "--check", "/out/kept").endswith("; same result\n")
    wrong = "sed -i 's/return found/return found[1:]/' src/tinylib/core.py; "
    right = "; code=$?; git checkout -q src; exit $code"
    command = ("sh", "-c", f"{wrong}{' '.join(measure)} --check /out/kept{right}")
    done = sandbox.run(workspace.command(command, limits=Limits(timeout_s=60)))
    assert done.returncode == 1
    assert done.stdout == b"perf_test_1.py: FAILED: AssertionError: \n"


def test_a_home_begins_with_the_agents_files(made: tuple[Workspace, Sandbox, History]) -> None:
    workspace, sandbox, _ = made
    shown = said(
        workspace, sandbox, "sh", "-c", "cat ~/.codex/config.toml /out/begun.txt; echo $HOME; pwd; touch ~/new"
    )
    assert shown == "x = 1\ny\n/home/agent\n/workspace\n"


REBUILD = """
python -c 'import tinylib; print(tinylib.answer())'
sed -i 's/FromLong(1)/FromLong(2)/' src/tinylib/_fast.c
include=$(python -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
suffix=$(python -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
gcc -O1 -shared -fPIC "-I$include" src/tinylib/_fast.c -o src/tinylib/_fast$suffix
python -c 'import tinylib; print(tinylib.answer(), tinylib._fast.__file__.rpartition("/")[0])'
"""


def test_a_compiled_project_is_imported_and_can_be_built_again(tmp_path: Path) -> None:
    history = History(tmp_path)
    files = ["src/tinylib/__init__.py", "src/tinylib/_fast.c"]
    base = history.commit({
        "src/tinylib/__init__.py": "from tinylib._fast import answer\n", "src/tinylib/_fast.c": _FAST_C.format(1),
        "pyproject.toml": PYPROJECT, "backend.py": backend(files, compile_c=True), ".gitignore": "_version.py\n",
    })  # fmt: skip
    repository = history.repository.model_copy(update={"languages": ["python", "c"]})
    config, sandbox = EnvironmentConfig(pin_to_date=False), SandboxConfig()
    built = build_environment(EnvironmentWanted(repository, config, sandbox, base, base, None), history.work)
    assert built.environment is not None, built.reason
    arm = check_out(repository, config, built.environment, sandbox, base, "base", None, history.work).arm
    assert arm is not None
    tree = BaseTree(history.source / ".git", base)
    with open_sandbox(sandbox) as opened, make_workspace(arm, tree, history.work, opened) as workspace:
        assert said(workspace, opened, "git", "status", "--porcelain") == ""
        assert said(workspace, opened, "sh", "-c", REBUILD) == "1\n2 /workspace/src/tinylib\n"
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        taken = take_patch(workspace.repository, tree, scratch, workspace.built)
    assert taken.files == 1
    assert "+static PyObject *answer" in taken.patch
    assert len(taken.notes) == 1
    assert taken.notes[0].startswith("left out: 1 build products (src/tinylib/_fast.")
