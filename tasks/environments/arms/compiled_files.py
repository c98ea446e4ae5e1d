"""Compiled files that a patch brings: they do not count as source, so an arm is made without them.

A benchmark asks for faster source. Byte code, extension modules and an installation's own files would be imported in
its place, with nothing of them in the patch that one could read. What the project's own build makes is something else:
it is made from the arm's source, inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tasks.code.paths import is_compiled_name
from tasks.environments.trees import write_again
from tasks.sandbox import foreign
from tasks.sandbox.foreign_folders import remove

_NATIVE = (
    b"\x7fELF", b"!<arch>\n", b"MZ\x90\x00", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\0asm",
)  # fmt: skip
_NAMED = 3


def begins_compiled(start: bytes) -> bool:
    """Whether a file that begins so is a program, a library or Python's byte code, whatever its name."""
    byte_code = start[2:4] == b"\r\n" and 3000 <= int.from_bytes(start[:2], "little") < 4000
    return byte_code or start.startswith(_NATIVE)


def leave_out(clone: Path, sha: str, checkout: Path, written: Iterable[foreign.Entry]) -> list[str]:
    """Take what is compiled among the files that a patch wrote out again; what the commit has stays as it was.

    Returns the names. Raises OSError, TreeError.
    """
    names = [entry.name for entry in written if is_compiled_name(entry.name) or _is_native(checkout, entry)]
    for name in names:
        remove(checkout / name)
    write_again(clone, sha, checkout, names)
    return names


def note_of(names: list[str]) -> str:
    """What the user is told of the files that were left out; empty if none were."""
    if not names:
        return ""
    some = ", ".join(foreign.shown(name) for name in names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"left out of the patch: {len(names)} compiled {'files' if len(names) > 1 else 'file'} ({some})"


def _is_native(checkout: Path, entry: foreign.Entry) -> bool:
    if entry.kind != "file":
        return False
    with foreign.opened(checkout, entry.name) as file:
        return begins_compiled(file.read(8))
