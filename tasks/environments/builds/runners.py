"""Where the steps of a build run: in a sandbox of this machine, or in a builder container that becomes an image.

What is built was written by strangers: projects, what they depend on, the commands of a dataset's rows. A step reaches
the network, its build folder, its environment and a cache of its own; it sees the system, and nothing of the user's.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tasks.environments.builds.tools import make_home, make_tools, search_path
from tasks.environments.builds.unisolated import run_unisolated
from tasks.registry import Registry, registry
from tasks.sandbox.local.bubblewrap import is_installation
from tasks.sandbox.local.sandbox import LocalSandbox
from tasks.sandbox.models import ENV_DIR, Command, Limits, Mount
from tasks.sandbox.streams import Tail, drain

BUILD_DIR = "/isobench-build"
TOOLS_DIR = "/isobench-tools"
CACHE_DIR = "/isobench-cache"
OUTPUT_CHARACTERS = 20_000
PROCESSES = 8192
"""Processes and threads of a build: compilers run side by side."""
TEMPORARY_MB = 32 * 1024
"""Largest file, and what /tmp may hold."""


LONGEST_WORD = 128 * 1024
"""Bytes of one word of a command line, its end included: Linux's own limit."""


@dataclass(frozen=True)
class Ran:
    """How a step ended; `output` is stdout and stderr together, its last part."""

    code: int
    output: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0

    @property
    def last_line(self) -> str:
        """What it said last: most often the error."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


class Runner(Protocol):
    """Runs steps with the build folder and the environment visible."""

    build: str
    """The build folder as the steps see it: `checkout`, `generated` and `dist` are in it."""
    environment: str
    """The virtual environment as the steps see it."""
    tools: str
    """The folder of tools as the steps see it: they can read it, and isobench alone writes to it."""
    uv: str
    """The uv program as the steps see it."""
    python: str
    """The interpreter to build on as the steps see it, unless a version is asked for."""

    def run(
        self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None, variables: dict[str, str] | None = None
    ) -> Ran:
        """Run one step to its end. Never raises for what the step does; a step out of time has code 124."""


@dataclass(frozen=True)
class Place:
    """Folders of this machine that a build is made of. All but `build`, `environment` and `cache` are only read."""

    build: Path
    environment: Path
    tools: Path
    cache: Path
    clone: Path
    """The bare clone that the checkout borrows its history from."""
    pythons: dict[str, str] = field(default_factory=dict)
    """`python3.9` -> its path, for commands that ask for a version."""
    named: tuple[Path, ...] = ()
    """Files and folders that the user's own configuration names as packages."""


def memory_mb() -> int:
    """What a build may take of this machine's memory, in MiB: nine tenths."""
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 0.9 / 2**20)


def steps_variables(build: str, environment: str, tools: str, cache: str, found: Registry) -> dict[str, str]:
    """All that a step finds in its environment, as it sees the folders: nothing is inherited."""
    settings = {"UV_CONFIG_FILE": f"{tools}/uv.toml"} if found.uv_settings else {"UV_NO_CONFIG": "1"}
    return {
        **found.variables,
        **settings,
        "PATH": search_path(environment, tools),
        "HOME": f"{build}/home",
        "TMPDIR": f"{build}/tmp",
        "LANG": "C.UTF-8",
        "UV_CACHE_DIR": cache,
        "UV_LINK_MODE": "copy",
        "UV_PYTHON_INSTALL_DIR": f"{build}/python",
        # the checkout belongs to another user in a container
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }


def prepare(place: Place, environment: str, uv: str, found: Registry) -> None:
    """Make the folders of a build. Before any step runs: later their content is a stranger's."""
    for folder in (place.build / "tmp", place.build / "generated", place.environment, place.cache):
        folder.mkdir(parents=True, exist_ok=True)
    make_tools(place.tools, environment, place.pythons)
    (place.tools / "uv.toml").write_text(found.uv_settings)
    make_home(place.build / "home", uv)


class LocalRunner:
    """Steps run in bubblewrap with the network; without bubblewrap as plain processes, for users who said so."""

    def __init__(self, place: Place, python: str) -> None:
        self._place = place
        self._sandbox = LocalSandbox()
        self._registry = registry()
        isolated = self._sandbox.isolated
        self.build = BUILD_DIR if isolated else str(place.build)
        self.environment = ENV_DIR if isolated else str(place.environment)
        self.tools = TOOLS_DIR if isolated else str(place.tools)
        self.uv = f"{self.tools}/bin/uv"
        self.python = python
        cache = CACHE_DIR if isolated else str(place.cache)
        prepare(place, self.environment, self.uv, self._registry)
        self._variables = steps_variables(self.build, self.environment, self.tools, cache, self._registry)
        if not isolated:
            self._variables["PIP_CONFIG_FILE"] = os.devnull  # the system's, which a sandbox does not show

    def run(
        self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None, variables: dict[str, str] | None = None
    ) -> Ran:
        """See `Runner`."""
        started = time.monotonic()
        variables = {**self._variables, **(variables or {})}
        cwd = cwd or self.build
        if reason := not_sayable(argv):
            return Ran(126, f"\n{reason}", 0)
        if not self._sandbox.isolated:
            code, output = run_unisolated(argv, cwd, variables, timeout_s)
        else:
            code, output = self._run_isolated(argv, cwd, variables, timeout_s)
        return Ran(code, output.decode(errors="replace")[-OUTPUT_CHARACTERS:], time.monotonic() - started)

    def _run_isolated(
        self, argv: Sequence[str], cwd: str, variables: dict[str, str], timeout_s: float
    ) -> tuple[int, bytes]:
        limits = Limits(memory_mb=memory_mb(), pids=PROCESSES, tmp_mb=TEMPORARY_MB, timeout_s=max(timeout_s, 0.1))
        command = Command(
            argv=("/bin/sh", "-c", 'exec "$@" 2>&1', "sh", *argv), mounts=self._mounts(), variables=variables, cwd=cwd,
            network=True, limits=limits,
        )  # fmt: skip
        process = self._sandbox.start(command)
        said = Tail(4 * OUTPUT_CHARACTERS)  # what it says last, however much there is
        try:
            process.stdin.close()
            drain(process.stdout, said)
            process.wait()
        finally:
            done = process.close(timeout_s=0)
        output = said.value()
        if done.timed_out:
            return 124, output + f"\nout of time after {timeout_s:.0f} s".encode()
        if done.out_of_memory:
            output += f"\nout of memory: a build may take {limits.memory_mb} MiB".encode()
        return (137 if done.returncode is None else done.returncode), output

    def _mounts(self) -> tuple[Mount, ...]:
        place = self._place
        named = {Path(path).parent.parent for path in (*place.pythons.values(), self.python) if os.path.isabs(path)}
        # a dataset says which Python it wants: no way to have another folder shown
        interpreters = [home for path in sorted(named) for home in (path, path.resolve()) if is_installation(home)]
        seen = [*interpreters, *clone_folders(place.clone)]
        return (
            *self._registry.files,
            *[Mount(source=path, target=str(path)) for path in dict.fromkeys([*seen, *place.named]) if path.exists()],
            Mount(source=place.build, target=BUILD_DIR, read_only=False),
            Mount(source=place.environment, target=ENV_DIR, read_only=False),
            Mount(source=place.cache, target=CACHE_DIR, read_only=False),
            Mount(source=place.tools, target=TOOLS_DIR),
        )

    def close(self) -> None:
        """End what still runs. Idempotent."""
        self._sandbox.close()

    def __enter__(self) -> LocalRunner:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def not_sayable(argv: Sequence[str]) -> str:
    """Why a system would not start a command with these words; empty if it would."""
    for word in argv:
        if "\0" in word or word.encode("utf-8", "replace").decode() != word:
            return "error: a command holds a character that no command line can"
        if len(word.encode()) >= LONGEST_WORD:
            return f"error: a command is longer than {LONGEST_WORD} bytes"
    if sum(len(word.encode()) + 9 for word in argv) > 8 * LONGEST_WORD:
        return f"error: the commands are longer than {8 * LONGEST_WORD} bytes together"
    return ""


def clone_folders(clone: Path) -> list[Path]:
    """The clone as git wrote it down, and where it really is."""
    return list(dict.fromkeys([clone.absolute(), clone.resolve()]))


def shown(argv: Sequence[str]) -> str:
    """A command line as one would type it."""
    return shlex.join(argv)
