"""Looks into the files of a change that passed the other filters: functions touched, whether code differs at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import git

from tasks.code.native import grammar_of
from tasks.mining.functions.changed import touched
from tasks.mining.functions.patches import split_patch
from tasks.mining.git.diff_parser import MAX_RECORD_BYTES, NO_BLOB, Change, FileDiff
from tasks.mining.git.process import GitFailed, read_blob

MAX_BLOB_BYTES = 4 << 20
_HEADERS = {"h", "hh", "hpp", "cuh", "inl", "pxd", "pxi"}
MAX_PATCH_BYTES = 8 << 20
"""Of one change's patch in the table; a change with more is dropped."""


class Dropped(Exception):
    """The content speaks against the change; the message is the reason."""


def functions_of(repo: git.Repo, code: Sequence[FileDiff], *, keep_new_code: bool = False) -> list[str]:
    """`path::Class.function` of every function that exists after the change and differs, `path::Class` and
    `path::<module>` where statements outside of functions differ. A renamed file is compared with its old version.

    Raises Dropped: `cosmetic` if no code that runs differs; `new_code_only` if only new code differs and
    `keep_new_code` is false, because new code has no counterpart on base and so no speedup to measure.
    """
    found: list[str] = []
    cosmetic = only_new = True
    for file in rejoined(code):
        if grammar_of(file.path) is None or file.status == "D":
            # a language without a reader; and a removal is a difference
            cosmetic = only_new = False
            continue
        before, after = (_content(repo, oid) for oid in (file.old_oid, file.new_oid))
        if before is None or after is None or (grammar_of(file.old_path) is None and before):
            cosmetic = only_new = False
            continue
        result = touched(before, after, file.body, file.path, file.old_path)
        cosmetic = cosmetic and result.cosmetic and file.status == "M"
        only_new = only_new and (result.only_new or result.cosmetic)
        found += [f"{file.path}::{name}" for name in result.functions]
    if cosmetic:
        raise Dropped("cosmetic: imports/comments/docstrings/whitespace only")
    if only_new and not keep_new_code:
        raise Dropped(f"new_code_only: {', '.join(name.partition('::')[2] for name in found[:3])}")
    return found


def rejoined(code: Sequence[FileDiff]) -> list[FileDiff]:
    """The files; a removed and an added file that differ only in the suffix (`loops.c.src`, `loops.cpp`) become one
    renamed file, because git recognises a rename only where the content stayed alike.
    """
    added = {stem: file for file in code if file.status == "A" and (stem := _compiled_stem(file.path))}
    removed = {stem: file for file in code if file.status == "D" and (stem := _compiled_stem(file.path)) in added}
    found = []
    for file in code:
        old = removed.get(_compiled_stem(file.path))
        if old is file:
            continue
        if old is not None and file.status == "A":
            found.append(_renamed(old, file))
        else:
            found.append(file)
    return found


def _renamed(old: FileDiff, new: FileDiff) -> FileDiff:
    body = old.body + new.body
    return replace(new, status="R", old_path=old.path, old_oid=old.old_oid, old_mode=old.old_mode, body=body)


def _compiled_stem(path: str) -> str:
    """The path without the suffix of a compiled language, by which a source and a header differ; else empty."""
    if grammar_of(path) in (None, "python"):
        return ""
    stem, _, suffix = path.removesuffix(".in").removesuffix(".src").rpartition(".")
    return f"{stem}.h" if suffix in _HEADERS else stem


def patches_of(repo: git.Repo, change: Change) -> tuple[str, str]:
    """(code, tests) of a change read with context. Raises Dropped if they cannot be read or are too long."""
    if change.problem:
        raise Dropped(f"missing_object: {change.problem}")
    if change.truncated:
        raise Dropped(f"huge_diff: {change.diff_bytes / 2**20:.1f} MiB, more than {MAX_RECORD_BYTES >> 20}")
    try:
        code, tests = split_patch(repo, change)
    except GitFailed as error:
        raise Dropped(f"missing_object: {error}") from error
    except ValueError as error:
        raise Dropped(f"huge_diff: {error}") from error
    if len(code) + len(tests) > MAX_PATCH_BYTES:
        raise Dropped(f"huge_diff: a patch of more than {MAX_PATCH_BYTES >> 20} MiB")
    return code, tests


def _content(repo: git.Repo, oid: str) -> bytes | None:
    if oid == NO_BLOB:
        return b""
    return read_blob(repo, oid, MAX_BLOB_BYTES)
