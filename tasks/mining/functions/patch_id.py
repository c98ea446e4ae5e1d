"""Names a change by the content of its patch: a cherry-pick and its original have the same name."""

from __future__ import annotations

import hashlib

from tasks.mining.git.diff_parser import Change, FileDiff

_SPACE = b" \t\r\f\v"
LENGTH = 20


def patch_ids(change: Change) -> tuple[str, str]:
    """(hash of the patch, hash of its exact opposite): 20 hex digits each; two empty strings without a full diff.

    As with `git patch-id --stable`, line numbers, white space and the order of files do not count; context lines do.
    Unlike there, added, deleted and context lines are hashed apart, so that the opposite change has a name too.
    """
    if change.truncated or change.problem or not change.files:
        return "", ""
    forward: list[bytes] = []
    backward: list[bytes] = []
    for file in change.files:
        context, deleted, added = _sides(file)
        old, new = file.old_path.encode(), file.path.encode()
        if file.status == "A":
            old = b""
        elif file.status == "D":
            new = b""
        forward.append(b"\0".join((old, new, context, deleted, added)))
        backward.append(b"\0".join((new, old, context, added, deleted)))
    return _name(forward), _name(backward)


def _sides(file: FileDiff) -> tuple[bytes, bytes, bytes]:
    """Digests of context, deleted and added lines. Without lines (binary, mode) the blobs stand in.

    On mining's hot path: `git/diff_parser.py` says why it does not use `tasks.code.diffs`.
    """
    lines: dict[bytes, list[bytes]] = {b" ": [], b"-": [], b"+": []}
    at = file.body.find(b"\n@@ -")
    if at < 0:
        old = b"".join((file.old_mode.encode(), file.old_oid.encode()))
        new = b"".join((file.new_mode.encode(), file.new_oid.encode()))
        return b"", hashlib.sha256(old).digest(), hashlib.sha256(new).digest()
    for line in file.body[at + 1 :].split(b"\n"):
        kept = lines.get(line[:1])
        if kept is not None:
            kept.append(line[1:].translate(None, _SPACE))
    context, deleted, added = (hashlib.sha256(b"\n".join(lines[sign])).digest() for sign in (b" ", b"-", b"+"))
    return context, deleted, added


def _name(parts: list[bytes]) -> str:
    return hashlib.sha256(b"\n".join(hashlib.sha256(part).digest() for part in sorted(parts))).hexdigest()[:LENGTH]
