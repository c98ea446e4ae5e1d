"""The patch of a kept change, in two: code and tests. Both apply with `git apply`, also with binary files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import git

from tasks.code.paths import is_test_path
from tasks.mining.git.diff_parser import Change, FileDiff, parse_diff
from tasks.mining.git.process import CONTEXT, DIFF_OPTIONS, stream

MAX_BINARY_BYTES = 4 << 20
"""Longest patch of binary files that is stored with a change."""


def is_test_file(file: FileDiff) -> bool:
    """Whether the file is a test before and after the change: a file moved out of the tests is code."""
    return is_test_path(file.path) and is_test_path(file.old_path)


def split_patch(repo: git.Repo, change: Change) -> tuple[str, str]:
    """(code, tests) of a change as text.

    Raises GitFailed if binary content cannot be read, ValueError if it is too long. Files that git cannot print as
    UTF-8 text are written as binary patches, so that the text is the whole truth.
    """
    awkward = [file for file in change.files if not _is_text(file)]
    binary = dict(zip([file.path for file in awkward], _binary_parts(repo, change, awkward), strict=True))
    texts: dict[bool, list[str]] = {False: [], True: []}
    for file in change.files:
        body = binary.get(file.path, file.body)
        texts[is_test_file(file)].append(body.decode("utf-8"))
    return "".join(texts[False]), "".join(texts[True])


def _is_text(file: FileDiff) -> bool:
    if file.is_binary or b"\0" in file.body:
        return False
    try:
        file.body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _binary_parts(repo: git.Repo, change: Change, files: Sequence[FileDiff]) -> list[bytes]:
    if not files:
        return []
    wanted = {file.path: b"" for file in files}
    with tempfile.NamedTemporaryFile("w", suffix=".gitattributes") as attributes:
        attributes.write("* -diff\n")  # treat every file as binary
        attributes.flush()
        data, size = [], 0
        show = stream(
            repo, "show", *DIFF_OPTIONS, CONTEXT, "--binary", "--format=", change.sha, "--",
            settings=("-c", f"core.attributesFile={attributes.name}"),
        )  # fmt: skip
        for chunk in show:
            data.append(chunk)
            size += len(chunk)
            if size > MAX_BINARY_BYTES + change.diff_bytes:
                raise ValueError(f"binary content of more than {MAX_BINARY_BYTES >> 20} MiB")
    for file in parse_diff(b"".join(data)):
        if file.path in wanted:
            # git ends a binary part with an empty line and wants to read it there
            wanted[file.path] = file.body + (b"\n" if b"\nGIT binary patch\n" in file.body else b"")
    return [wanted[file.path] for file in files]
