"""The patch of an attempt, taken from outside: its workspace held against the commit, as git writes differences.

Nothing that the agent says or did to its `.git` has a part in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from storage.texts import storable
from tasks.agents.base_tree import BaseTree, Changed
from tasks.agents.comparing import GIT, LARGE, PATCH_CHARACTERS, Compared, Difference, compare
from tasks.sandbox import foreign
from tasks.sandbox.foreign import MEBIBYTE, Budget

COPIED_BYTES = 256 * MEBIBYTE
"""Of all changed files together."""
_NAMED = 3


class TakenPatch(BaseModel):
    """What an attempt changed."""

    model_config = ConfigDict(frozen=True)

    patch: str
    """Empty if nothing that counts is changed."""
    files: int
    """Changed, added or removed."""
    notes: list[str] = []
    """What was left out, and why."""


def take_patch(
    workspace: Path,
    base: BaseTree,
    scratch: Path,
    built: Collection[str] = (),
    shown: Mapping[str, bytes] | None = None,
) -> TakenPatch:
    """The difference between a workspace and the commit that it began as, as a patch that git applies to that commit.

    `scratch`: an empty folder; `built` and `shown`: see `compare`. Left out, each with a note: build products and what
    the repository ignores, `.git` wherever it is, repositories within, links that lead out, pipes and devices, copies
    of the perf tests, and files for which a patch has no room. Raises BaseTreeError; OSError for a folder that cannot
    be read or a machine that fails.
    """
    found = compare(workspace, base, scratch, built, shown)
    _make_room(found, COPIED_BYTES)
    contents = scratch / "contents"
    contents.mkdir()
    changed = {
        name: Changed(difference.mode, _copied(workspace, name, difference, contents, f"{number}"))
        for number, (name, difference) in enumerate(sorted(found.changed.items()))
    }
    dropped = 1
    while len(data := base.patch(changed, found.gone, scratch)) > PATCH_CHARACTERS and changed:
        for name in sorted(changed, key=lambda name: -found.changed[name].size)[:dropped]:
            del changed[name]
            found.leave(LARGE, name)
        dropped *= 2
    text = storable(data.decode("utf-8", "surrogateescape"))
    return TakenPatch(patch=text, files=len(changed) + len(found.gone), notes=_notes(found))


def _make_room(found: Compared, most: int) -> None:
    """Leave out the largest files until all others are no more than that together."""
    total = sum(difference.size for difference in found.changed.values())
    for name, difference in sorted(found.changed.items(), key=lambda item: -item[1].size):
        if total <= most:
            return
        total -= difference.size
        del found.changed[name]
        found.leave(LARGE, name)


def _copied(workspace: Path, name: str, difference: Difference, contents: Path, number: str) -> Path:
    if difference.mode == "120000":
        foreign.write(contents, number, difference.target.encode("utf-8", "surrogateescape"))
    else:
        foreign.copy(workspace, name, contents, number, Budget(difference.size))
    return contents / number


def _notes(found: Compared) -> list[str]:
    notes = []
    for reason, names in found.left_out.items():
        if reason == GIT and ".git" in names:
            names.remove(".git")
            notes.append("its .git was removed, which changes nothing")
        if names:
            some = ", ".join(foreign.shown(name) for name in sorted(names)[:_NAMED]) + (
                ", ..." if names[_NAMED:] else ""
            )
            notes.append(f"left out: {len(names)} {reason} ({some})")
    return notes
