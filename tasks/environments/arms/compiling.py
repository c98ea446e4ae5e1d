"""Builds one arm of a compiled project: in the sandbox, without network, because a patch may have changed the build.

The wheel is made, opened and unpacked inside, in folders that are the sandbox's own. Out comes one stream of bytes, so
the build never sees a folder of this machine that it could fill or put a link or a pipe into.
"""

from __future__ import annotations

import struct
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from configs.models import EnvironmentConfig, SandboxConfig
from tasks.environments.inside import build_wheel
from tasks.sandbox import foreign, limits_of, open_sandbox
from tasks.sandbox.foreign import MEBIBYTE, Budget
from tasks.sandbox.models import ARM_DIR, ENV_DIR, WORK_DIR, Command, Environment, Mount, SandboxError

_TMP_MB = 4096
MAX_BUILT_BYTES = _TMP_MB * MEBIBYTE
"""What the files of a build may take at most: what its own folder may."""
_PYPROJECT_BYTES = 4 * MEBIBYTE
_WORDS = 10_000
"""Characters of all that becomes arguments; a system refuses to start a command with too many."""
_CHUNK = 256 * 1024


class BuildFailure(Exception):
    """An arm does not build; the message is the build's last error."""


@contextmanager
def build_in_place(
    checkout: Path,
    environment: Environment,
    config: EnvironmentConfig,
    sandbox: SandboxConfig,
    version: str,
    work: Path,
    most_bytes: int = MAX_BUILT_BYTES,
    project: str = ".",
) -> Iterator[Path]:
    """A folder with what the arm's wheel holds, for the time of the block. Raises BuildFailure, SandboxError.

    `project` is the folder of the checkout to build.
    """
    backend, folders = _backend(checkout, project)
    mounts = [Mount(source=checkout, target=ARM_DIR)]
    if environment.path is not None:
        mounts.append(Mount(source=work / environment.path, target=ENV_DIR))
    limits = limits_of(sandbox, config.build_timeout_s)
    command = Command(
        argv=(
            environment.python,
            "-c",
            Path(build_wheel.__file__).read_text(),
            ARM_DIR,
            WORK_DIR,
            project,
            backend,
            *folders,
        ),
        mounts=tuple(mounts),
        variables={
            "SETUPTOOLS_SCM_PRETEND_VERSION": version,
            "PATH": f"{ENV_DIR}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            **environment.variables,
        },
        image=environment.image,
        limits=limits.model_copy(update={"tmp_mb": max(limits.tmp_mb, _TMP_MB)}),
    )
    with tempfile.TemporaryDirectory(prefix="build-", dir=work) as name, open_sandbox(sandbox) as opened:
        process = opened.start(command)
        problem: Exception | None = None
        try:
            process.stdin.close()
            receive(process.stdout, Path(name), Budget(most_bytes))
        except (OSError, _Broken) as error:
            problem = error
        finally:
            done = process.close(timeout_s=5 if problem is None or isinstance(problem, _Broken) else 0)
        if problem is not None and foreign.is_host_fault(problem):
            raise SandboxError(f"what a build made cannot be kept here: {problem}")
        if done.timed_out or (done.returncode != 0 and not isinstance(problem, OSError)):
            raise BuildFailure(_reason(done.timed_out, done.out_of_memory, done.stderr))
        if problem is not None:
            raise BuildFailure(f"what the build made is not taken: {problem}")
        yield Path(name)


class _Broken(Exception):
    """The stream ends early: most often because the build failed."""


def receive(stream: IO[bytes], folder: Path, budget: Budget) -> None:
    """Write the files of a stream that `build_wheel` describes; a stranger may have written it.

    Raises Refused and other OSErrors for files that are not taken, _Broken for a stream that is none.
    """
    size = struct.calcsize(build_wheel.HEADER)
    while True:
        length, executable, left = struct.unpack(build_wheel.HEADER, b"".join(_exactly(stream, size)))
        if length == 0:
            return
        if length > foreign.MAX_PATH_BYTES:
            raise foreign.Refused("a file's name is too long")
        name = b"".join(_exactly(stream, length)).decode("utf-8", "surrogateescape")
        budget.take(left, files=1)
        with foreign.created(folder, name, executable=bool(executable)) as file:
            for chunk in _exactly(stream, left):
                file.write(chunk)


def _exactly(stream: IO[bytes], count: int) -> Iterator[bytes]:
    while count:
        data = stream.read(min(count, _CHUNK))
        if not data:
            raise _Broken("it ends too early")
        count -= len(data)
        yield data


def _backend(checkout: Path, project: str) -> tuple[str, list[str]]:
    written = foreign.text(checkout, f"{project}/pyproject.toml".removeprefix("./"), _PYPROJECT_BYTES) or ""
    try:
        system: Any = tomllib.loads(written).get("build-system", {})
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BuildFailure(f"pyproject.toml is broken: {str(error) or 'too deep'}") from error
    if not isinstance(system, dict):
        raise BuildFailure("pyproject.toml is broken: build-system is no table")
    backend = system.get("build-backend", "setuptools.build_meta:__legacy__")
    folders = system.get("backend-path", [])
    words = [backend, *(folders if isinstance(folders, list) else [folders])]
    if not all(isinstance(word, str) and "\0" not in word for word in words) or sum(map(len, words)) > _WORDS:
        raise BuildFailure("pyproject.toml is broken: build-backend is to be a name, backend-path a list of folders")
    return words[0], words[1:]


def _reason(timed_out: bool, out_of_memory: bool, output: bytes) -> str:
    if timed_out:
        return "the build takes too long"
    if out_of_memory:
        return "the build takes too much memory"
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    # A compiler's first error is the cause; what Python says last is only that the compiler failed.
    errors = [line for line in lines if "error: " in line]
    return (errors[:1] or lines[-1:] or ["the build fails without a word"])[0][:300]
