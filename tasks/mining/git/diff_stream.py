"""One long-lived git process that prints change after change."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import git

from tasks.mining.git.diff_parser import FORMAT
from tasks.mining.git.process import CHUNK, CONTEXT, DIFF_OPTIONS, GitFailed, Tail, ended, started

BLOCK = 500
"""Changes asked for at once: as many ids as surely fit into a pipe, so that neither side waits for the other."""
RENEW = 5000
"""Changes that one process prints before another takes its place: git keeps every commit that it has read."""
CACHE = ("-c", "core.deltaBaseCacheLimit=14m")
"""A process that prints thousands of changes fills it. 8m would cost a tenth more time, 24m gain a fiftieth."""
LITTLE = ("-c", "core.deltaBaseCacheLimit=1m", "-c", "core.packedGitLimit=4m")
NO_CONTEXT = "-U0"
"""git compares the lines between the first and the last difference only: a sixth less time, half as much to read."""


class Differ:
    """`git diff-tree --stdin`: its output is that of `git log --raw -p`, but one process serves all ranges of a history
    and keeps the files that neighbouring ranges share."""

    def __init__(self, repo: git.Repo, *, context: bool = False) -> None:
        """With `context` the diffs have lines around what differs, as patches need them; such a process, which prints
        few, keeps little in memory."""
        self.repo = repo
        self._context = context
        self._handle: Any = None
        self._said: Tail
        self._printed = 0
        # a line that is no id is printed as it is: that is how the end of a block is seen. No message holds this one
        self._mark = f"%{secrets.token_hex(16)}\n".encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if one runs."""
        handle, self._handle = self._handle, None
        if handle is not None:
            ended(handle.proc, self._said)

    def chunks(self, shas: Sequence[str]) -> Iterator[bytes]:
        """The records of these changes in chunks of at most 256 KiB.

        Raises GitFailed, after the last thing printed, if git stops because of an object.
        """
        for at in range(0, len(shas), BLOCK):
            if self._printed >= RENEW:
                self.close()
            if self._handle is None:
                self._start()
            block = shas[at : at + BLOCK]
            self._printed += len(block)
            try:
                yield from self._answer("".join(f"{sha}\n" for sha in block).encode() + self._mark)
            except BaseException:
                self.close()  # whoever asks next must not read the rest of this answer
                raise

    def _start(self) -> None:
        arguments = ("--stdin", "--always", "-r", "--encoding=UTF-8", f"--format={FORMAT}", *DIFF_OPTIONS)
        context, cache = (CONTEXT, LITTLE) if self._context else (NO_CONTEXT, CACHE)
        self._handle = started(self.repo, "diff-tree", *arguments, context, asks=True, settings=cache)
        self._said = Tail(self._handle.proc.stderr)
        self._printed = 0

    def _answer(self, question: bytes) -> Iterator[bytes]:
        process = self._handle.proc
        with contextlib.suppress(BrokenPipeError):  # why it ended shows below
            process.stdin.write(question)
            process.stdin.flush()
        held = b""
        while chunk := process.stdout.read1(CHUNK):
            data = held + chunk
            if data.endswith(self._mark):
                yield data[: -len(self._mark)]
                return
            at = data.rfind(b"%", -len(self._mark))  # the mark may come in two pieces
            held = b"" if at < 0 else data[at:]
            yield data if at < 0 else data[:at]
        yield held
        process.wait()
        raise GitFailed(self._said.text() or f"git diff-tree ended with status {process.returncode}")
