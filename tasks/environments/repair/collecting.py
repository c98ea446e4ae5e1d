"""Whether a commit's tests can be imported: pytest is asked for them, and runs none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from configs.models import SandboxConfig
from tasks.code.paths import is_benchmark_path, is_docs_path, is_test_path
from tasks.sandbox import foreign, limits_of, open_sandbox
from tasks.sandbox.models import ARM_DIR, Arm

_TIMEOUT_S = 300
_MOST_FILES = 150
_NAME = re.compile(r"(test_.*|.*_test)\.py")
"""Names that pytest collects by itself: not the `tests.py` of `tasks.code.paths`, which Django runs with settings."""
_OPTIONS = ("-q", "--collect-only", "-p", "no:cacheprovider", "-o", "addopts=", "-o", "required_plugins=")
_ASK = "import os, sys; os.chdir(sys.argv[1]); import pytest; sys.exit(pytest.main(sys.argv[2:]))"
_ERROR = re.compile(r"^ERROR (\S+\.py)\b", re.MULTILINE)
_CAUSE = re.compile(r"^E  +(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Collected:
    """What pytest found; it is told by a stranger's code, and decides only what is tried next."""

    files: int
    imported: int
    said: str
    """The output, its last part."""
    timed_out: bool = False

    @property
    def share(self) -> float:
        """Of the files that import; 1 if there are none."""
        return self.imported / self.files if self.files else 1.0

    @property
    def cause(self) -> str:
        """The most frequent error, in one line."""
        found = [line.strip() for line in _CAUSE.findall(self.said) if "Error" in line]
        if found:
            return max(found, key=found.count)[:200]
        if self.timed_out:
            return f"importing the tests takes longer than {_TIMEOUT_S} s"
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        return (next((line for line in lines if "Error" in line and "::" not in line), "") or "".join(lines[-1:]))[:200]


def test_files(paths: Iterable[str], folder: str) -> list[str]:
    """Files of tests by their names, those of the project's folder before others; not benchmarks nor documentation."""
    found = [
        path
        for path in paths
        if _NAME.fullmatch(PurePosixPath(path).name)
        and is_test_path(path)
        and not is_benchmark_path(path)
        and not is_docs_path(path)
    ]
    own = [path for path in found if folder == "." or path.startswith(folder + "/")]
    return sorted(own or found)[:_MOST_FILES]


def collect(arm: Arm, files: list[str], sandbox: SandboxConfig, work: Path) -> Collected:
    """Ask pytest in the arm's sandbox for the tests of these files."""
    there = [path for path in files if foreign.is_file(work / arm.checkout, path)]
    if not there:
        return Collected(0, 0, "")
    with open_sandbox(sandbox) as opened:
        for options in ((), ("--rootdir", ".", "-c", "/dev/null")):  # a pytest may refuse what its settings were once
            argv = ["-c", _ASK, ARM_DIR, *_OPTIONS, *options, *there]
            done = opened.run(arm.command(work, argv, limits=limits_of(sandbox, _TIMEOUT_S)))
            said = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
            if done.returncode not in (1, 3, 4) or done.timed_out:
                break
    failed = set(_ERROR.findall(said)) & set(there)
    imported = len(there) - len(failed) if done.returncode in (0, 2, 5) and not done.timed_out else 0
    if done.returncode == 2 and not failed:
        imported = 0
    return Collected(len(there), imported, said[-20_000:], done.timed_out)
