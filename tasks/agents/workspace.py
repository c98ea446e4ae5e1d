"""The folders of one attempt: the repository as it was at base, writable, with git but without a future, and a home.

An agent sees its workspace, the environment of the commit's day (read-only), and what it is mounted beside. Nothing of
the clone, of the human's patch, of hidden perf tests or of the store is mounted. Folders are filled by a command inside
the sandbox, so that their files belong to who works in them; and are taken back the same way.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from storage.ids import content_hash
from tasks.agents.base_tree import BaseTree, BaseTreeError
from tasks.agents.gateway.inside import forwarder
from tasks.agents.inside import measure
from tasks.own_pytest import TOOLS_DIR, tools_folder
from tasks.sandbox import foreign
from tasks.sandbox.foreign_folders import remove
from tasks.sandbox.models import ARM_DIR, ENV_DIR, Arm, Command, Limits, Mount, Sandbox, SandboxError
from tasks.sandbox.ownership import OWNER, owner_is_alive

REPOSITORY_DIR = "/workspace"
"""The repository, and where the agent starts."""
HOME_DIR = "/home/agent"
"""Fresh for every attempt, and outside of /tmp, where some agents refuse to run their helpers."""
OUT_DIR = "/out"
"""For trajectories and other files that we want to have."""
_ROOTS = {HOME_DIR: "home", OUT_DIR: "out"}
"""Folder inside -> its name among those that are filled."""
TESTS_DIR = "/perf_tests"
"""Perf tests that the agent may see, read-only."""
OWN_DIR = "/opt/workspace"
"""`bin` with the repository's own Python, and whatever else of ours is needed inside."""
FORWARDER = f"{OWN_DIR}/forwarder.py"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FILLING = "/filling"
_PREPARED = "/prepared"
_FILL = f"""set -e
umask 022
cd {_FILLING}
mkdir repository home out
cp -a {ARM_DIR}/. repository/
cp -a {_PREPARED}/git repository/.git
for folder in home out; do if [ -d {_PREPARED}/$folder ]; then cp -a {_PREPARED}/$folder/. $folder/; fi; done
"""
_HAND_BACK = f"chmod -R a+rwX {_FILLING}; exit 0"
_MOVING = Limits(memory_mb=1024, pids=64, tmp_mb=16 * 1024, timeout_s=900)
_PYTHON = """#!/bin/sh
# the Python of this repository's environment, which imports the repository from {repository}
case ":$PYTHONPATH:" in
  *":{paths}:"*) ;;
  *) export PYTHONPATH="{paths}${{PYTHONPATH:+:$PYTHONPATH}}" ;;
esac
if [ "$1 $2" = "-m pytest" ]; then shift 2; exec {own}/bin/pytest "$@"; fi
exec {python} "$@"
"""
_PYTEST = """#!/bin/sh
# the environment's pytest; where it has none, another
exec {own}/bin/python -c 'import sys; sys.path[0] = ""; sys.path.append("{tools}"); import pytest; \
sys.exit(pytest.main())' "$@"
"""
_PROFILE = 'export PATH="{path}"\n'
_numbers = itertools.count()
_swept: set[Path] = set()


class WorkspaceError(RuntimeError):
    """A workspace cannot be made; the message says why."""


@dataclass(frozen=True)
class Workspace:
    """The folders of one attempt on this machine, and what of them is seen inside."""

    folder: Path
    """Nobody else of this machine gets in."""
    base: BaseTree
    arm: Arm
    work: Path
    built: frozenset[str] = frozenset()
    """Files of the repository that the commit does not have: what building the project made, and our links."""
    shown: Mapping[str, str] = field(default_factory=dict)
    """Perf tests that the agent sees: file name -> text."""

    @property
    def inside(self) -> Path:
        """All that an agent writes to."""
        return self.folder / "inside"

    @property
    def repository(self) -> Path:
        """What is at `REPOSITORY_DIR`."""
        return self.inside / "repository"

    @property
    def home(self) -> Path:
        """What is at `HOME_DIR`."""
        return self.inside / "home"

    @property
    def out(self) -> Path:
        """What is at `OUT_DIR`."""
        return self.inside / "out"

    @property
    def path(self) -> str:
        """Of programs: the repository's Python first, then what its environment has, then the system's."""
        own = f"{ENV_DIR}/bin:" if self.arm.environment.path is not None or self.arm.environment.image else ""
        return f"{OWN_DIR}/bin:{own}{SYSTEM_PATH}"

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """What is seen beside the system."""
        env = self.arm.environment
        found = [
            Mount(source=self.repository, target=REPOSITORY_DIR, read_only=False),
            Mount(source=self.home, target=HOME_DIR, read_only=False),
            Mount(source=self.out, target=OUT_DIR, read_only=False),
            Mount(source=self.folder / "own", target=OWN_DIR),
            Mount(source=tools_folder(self.work), target=TOOLS_DIR),
        ]
        if self.shown:
            found.append(Mount(source=self.folder / "perf_tests", target=TESTS_DIR))
        if env.path is not None:
            found.append(Mount(source=self.work / env.path, target=ENV_DIR))
        return tuple(found)

    @property
    def variables(self) -> dict[str, str]:
        """What every program inside finds; PYTHONPATH is not among them, as an agent may be in Python itself."""
        return {
            **self.arm.environment.variables,
            "PATH": self.path,
            "HOME": HOME_DIR,
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "SETUPTOOLS_SCM_PRETEND_VERSION": "0.0.0",
            # files of a home that was made outside may seem another user's
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }

    def command(
        self, argv: Sequence[str], *, mounts: Sequence[Mount] = (), variables: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> Command:  # fmt: skip
        """A command in the repository, which sees what an agent sees."""
        return Command(
            argv=tuple(argv),
            mounts=(*self.mounts, *mounts),
            variables={**self.variables, **(variables or {})},
            cwd=REPOSITORY_DIR,
            image=self.arm.environment.image,
            limits=limits or Limits(),
        )


@contextmanager
def make_workspace(
    arm: Arm, base: BaseTree, work: Path, sandbox: Sandbox, shown: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Iterator[Workspace]:  # fmt: skip
    """A workspace for the time of the block. `arm` is base's checkout, so what is compiled is there, too.

    `shown`: perf tests to be seen, file name -> text; `files`: what its home and its out folder begin with, path
    inside -> text. Raises WorkspaceError, SandboxError, OSError.
    """
    _sweep(work, sandbox, arm.environment.image)
    folder = work / "attempts" / f"{_machine()}-{OWNER}-{next(_numbers)}"
    folder.mkdir(parents=True, mode=0o700)
    made = Workspace(folder, base, arm, work, shown=shown or {})
    try:
        checkout = work / arm.checkout
        entries = [entry.name for entry in foreign.walk(checkout) if entry.kind != "folder"]
        made = replace(made, built=frozenset(name for name in entries if name not in base.files))
        _prepare(made, files or {})
        done = sandbox.run(
            Command(
                argv=("/bin/sh", "-c", _FILL),
                mounts=(
                    Mount(source=checkout, target=ARM_DIR),
                    Mount(source=folder / "prepared", target=_PREPARED),
                    Mount(source=made.inside, target=_FILLING, read_only=False),
                ),
                image=arm.environment.image,
                limits=_MOVING,
            )
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise WorkspaceError(f"the repository cannot be copied: {said[-1] if said else 'it takes too long'}")
        yield made
    except BaseTreeError as error:
        raise WorkspaceError(f"the repository at {base.sha[:12]} cannot be written: {error}") from error
    finally:
        _clear(folder, sandbox, arm.environment.image)


def take_back(workspace: Workspace, sandbox: Sandbox) -> None:
    """Make all that an agent wrote readable and removable by this user, whatever it did to its files' modes.

    In a container they belong to its own user. Raises SandboxError.
    """
    _hand_back(workspace.inside, sandbox, workspace.arm.environment.image)


def _hand_back(inside: Path, sandbox: Sandbox, image: str | None) -> None:
    mount = Mount(source=inside, target=_FILLING, read_only=False)
    sandbox.run(Command(argv=("/bin/sh", "-c", _HAND_BACK), mounts=(mount,), image=image, limits=_MOVING))


def _clear(folder: Path, sandbox: Sandbox, image: str | None) -> None:
    """Remove an attempt's folder, also where a container's user has files in it that were never taken back."""
    remove(folder)
    if os.path.lexists(folder):
        with contextlib.suppress(SandboxError, OSError):
            (folder / "inside").chmod(0o777)
            _hand_back(folder / "inside", sandbox, image)
        remove(folder)


def _prepare(made: Workspace, files: Mapping[str, str]) -> None:
    """Write on this machine what is copied or mounted."""
    made.inside.mkdir()
    made.inside.chmod(0o777)  # of a container's user; the folder above is closed to everybody else here
    prepared = made.folder / "prepared"
    made.base.write_history(prepared / "git", sorted(made.built))
    foreign.write(prepared, "home/.profile", _PROFILE.format(path=made.path).encode())
    for name, text in files.items():
        root = next((root for root in _ROOTS if name.startswith(f"{root}/")), None)
        if root is None:
            raise WorkspaceError(
                f"a file of the agent would lie at {foreign.shown(name)}, not in its home or out folder"
            )
        foreign.replace(prepared, _ROOTS[root] + name.removeprefix(root), text.encode("utf-8", "surrogateescape"))
    paths = ":".join(REPOSITORY_DIR if path == "." else f"{REPOSITORY_DIR}/{path}" for path in made.arm.import_paths)
    python = made.arm.environment.python
    if not python.startswith("/"):  # a name, which our own folder on PATH must not answer to again
        python = f'"$(PATH="{SYSTEM_PATH}" command -v {shlex.quote(python)})"'
    shim = _PYTHON.format(repository=REPOSITORY_DIR, paths=paths, python=python, own=OWN_DIR)
    for name, text in {"python": shim, "python3": shim, "pytest": _PYTEST.format(own=OWN_DIR, tools=TOOLS_DIR)}.items():
        with foreign.created(made.folder, f"own/bin/{name}", executable=True) as file:
            file.write(text.encode())
    foreign.write(made.folder, "own/forwarder.py", Path(forwarder.__file__).read_bytes())
    if made.shown:
        foreign.write(made.folder, "perf_tests/measure.py", Path(measure.__file__).read_bytes())
    for name, text in made.shown.items():
        foreign.write(made.folder, f"perf_tests/{name}", text.encode("utf-8", "surrogateescape"))
    for name in ("prepared", "own", "perf_tests"):
        _show(made.folder / name)


def _show(folder: Path) -> None:
    """Let the sandbox's user read what was written here, whatever this process's umask says."""
    if foreign.is_folder(folder, "."):
        folder.chmod(0o755)
        for entry in foreign.walk(folder):
            if entry.kind != "link":
                execute = 0o111 if entry.kind == "folder" or entry.mode & 0o100 else 0
                (folder / entry.name).chmod(0o644 | execute)


def _sweep(work: Path, sandbox: Sandbox, image: str | None) -> None:
    """Remove what processes that were killed left behind; looked for once by each process."""
    if work in _swept:
        return
    _swept.add(work)
    for left in (work / "attempts").glob(f"{_machine()}-*.*-*"):
        if not owner_is_alive(left.name.split("-")[1]):
            _clear(left, sandbox, image)


def _machine() -> str:
    """Stands for this machine: processes of others, which may use the same store, are not seen from here."""
    return content_hash(os.uname().nodename, length=8)
