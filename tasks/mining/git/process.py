"""git processes that stream, with the same output under any git configuration of the user's."""

from __future__ import annotations

import contextlib
import fcntl
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import git

from tasks.git_environment import open_repo
from tasks.mining.errors import MiningError

CHUNK = 1 << 18
PIPE = 1 << 20
SETTINGS = (
    "-c", "core.quotePath=true", "-c", "core.attributesFile=/dev/null", "-c", "diff.noprefix=false",
    "-c", "diff.mnemonicPrefix=false", "-c", "diff.suppressBlankEmpty=false", "-c", "diff.interHunkContext=0",
    "-c", "diff.orderFile=/dev/null", "-c", "log.showSignature=false", "-c", "diff.algorithm=myers",
)  # fmt: skip
"""What a line of the output depends on besides the history."""
FRUGAL = {
    "core.packedGitLimit": "16m",
    "core.packedGitWindowSize": "1m",
    "core.deltaBaseCacheLimit": "4m",
    # files above this are data or generated: git treats them as binary and does not hold them to compare lines
    "core.bigFileThreshold": "2m",
}
"""How much memory a git process may take; by default it is as much as the packs hold."""
DIFF_OPTIONS = (
    "--raw", "-p", "--no-abbrev", "--full-index", "-M", "-l1000", "--diff-merges=first-parent", "--root",
    "--no-color", "--no-ext-diff", "--no-textconv", "--submodule=short", "--ignore-submodules=none",
)  # fmt: skip
CONTEXT = "-U3"
"""What a patch needs besides, to be applied."""


class GitFailed(RuntimeError):
    """A git process ended with an error; the message is the end of its stderr."""


def open_repository(path: Path) -> git.Repo:
    """The clone, opened without the user's git configuration. Raises MiningError if there is no clone."""
    try:
        return open_repo(path, FRUGAL)
    except (git.InvalidGitRepositoryError, git.NoSuchPathError) as error:
        raise MiningError(f"there is no clone at {path}: synchronise the repository first") from error


def stream(
    repo: git.Repo, command: str, *arguments: str, lines_in: Sequence[str] = (), settings: Sequence[str] = ()
) -> Iterator[bytes]:
    """Output of `git <command>` in chunks of at most 256 KiB; `lines_in` go to its standard input, `settings` are
    further `-c name=value`.

    Raises GitFailed at the end if the exit status is not 0. Closing the iterator ends the process.
    """
    # git reads all revisions before it answers, so writing them first cannot block both sides
    handle = started(repo, command, *arguments, asks=bool(lines_in), settings=settings)
    process = handle.proc
    said = Tail(process.stderr)
    try:
        if lines_in:
            process.stdin.write("".join(f"{line}\n" for line in lines_in).encode())
            process.stdin.close()
        while chunk := process.stdout.read1(CHUNK):
            yield chunk
        if process.wait() != 0:
            raise GitFailed(said.text() or f"git {command} ended with status {process.returncode}")
    finally:
        ended(process, said)


def started(repo: git.Repo, command: str, *arguments: str, asks: bool, settings: Sequence[str] = ()) -> Any:
    """A handle whose `proc` is `git <command>`, which ends when nobody holds the handle; with `asks` its standard input
    is a pipe."""
    argv = ["git", *SETTINGS, *settings, command, *arguments]
    handle: Any = repo.git.execute(argv, as_process=True, istream=-1 if asks else None)
    with contextlib.suppress(OSError, AttributeError):
        # fewer turns between git and us; not every system has it, nor allows it to everybody
        fcntl.fcntl(handle.proc.stdout, fcntl.F_SETPIPE_SZ, PIPE)
    return handle


def ended(process: Any, said: Tail) -> None:
    """Ends the process if it runs, and closes its pipes."""
    if process.poll() is None:
        process.kill()
    process.wait()
    said.text()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # a question that it did not live to read
                pipe.close()


def read_blob(repo: git.Repo, oid: str, limit: int) -> bytes | None:
    """Content of a blob, through one long-lived `git cat-file --batch`; None if missing or above `limit` bytes."""
    try:
        _, kind, size, source = repo.git.stream_object_data(oid)
    except ValueError:
        return None
    data: bytes = source.read(limit + 1)
    source.read()  # the rest must leave the pipe before the next question
    return data if kind == b"blob" and size <= limit else None


class Tail:
    """Reads a pipe in the background, so that the process never blocks on it, and keeps the end."""

    def __init__(self, pipe: Any, keep: int = 4096) -> None:
        self._kept = b""
        self._keep = keep
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: Any) -> None:
        while chunk := pipe.read1(4096):
            self._kept = (self._kept + chunk)[-self._keep :]

    def text(self) -> str:
        """What is kept, once the other side has closed the pipe."""
        self._thread.join(timeout=10)
        return self._kept.decode("utf-8", "replace").strip()
