"""What an attempt left in its workspace, held against the commit: which files differ, and which of them do not count.

The files are an agent's: they are read through `tasks.sandbox.foreign` only, and none of them by git.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasks.agents.base_tree import IGNORING, BaseTree
from tasks.code.paths import is_compiled_name
from tasks.sandbox import foreign
from tasks.sandbox.foreign import MEBIBYTE, Entry

PATCH_CHARACTERS = 16 * MEBIBYTE
"""Longest patch: what a prediction may have. No file can grow by more."""
MAX_FILE_BYTES = 64 * MEBIBYTE
"""Of one changed file: what a patch may add to an arm at most."""
_CHUNK = 256 * 1024
_FOLDER_BYTES = foreign.MAX_PATH_BYTES - 256
"""Of a folder's name: what is in it has a name, too."""
_IGNORING_BYTES = 256 * 1024
_ARM_MTIME_NS = 946_684_800 * 10**9
"""Every file of an arm has this time, and a copy of it in a workspace, too."""
_GIT = re.compile(r"\.git[ .]*(:.*)?|git~1[ .]*(:.*)?", re.IGNORECASE)
"""Names that some file system takes for `.git`: git has no file of such a name."""
_OWN = (".isobench",)

BUILT = "build products"
IGNORED = "files that the repository ignores"
GIT = "what belongs to git"
NESTED = "files of a repository within the repository"
OUTSIDE = "links that lead out of the repository"
ODD = "pipes, sockets and devices"
LARGE = "files that are too large for a patch"
DEEP = "files in folders that are too deep"
SHOWN = "copies of the perf tests"


@dataclass(frozen=True)
class Difference:
    """A path that is not as in the commit."""

    mode: str
    """Git's: `100644`, `100755`, or `120000` for a link."""
    size: int
    target: str = ""
    """Of a link."""


@dataclass
class Compared:
    """All that differs and counts, and what was left out."""

    changed: dict[str, Difference] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Reason -> names."""

    def leave(self, reason: str, name: str) -> None:
        """Note that a name does not count."""
        self.left_out[reason].append(name)


def compare(
    workspace: Path,
    base: BaseTree,
    scratch: Path,
    built: Collection[str] = (),
    shown: Mapping[str, bytes] | None = None,
) -> Compared:
    """Compare a workspace with the commit that it began as.

    `built`: files that it had from the start beside the commit's; `shown`: names of perf tests that its agent was given
    -> content, copies of which are no part of an answer. Raises BaseTreeError; Refused or another OSError for a folder
    that cannot be read, as it has millions of files.
    """
    return _Comparison(workspace, base, frozenset(built), shown or {}).run(scratch)


class _Comparison:
    def __init__(self, workspace: Path, base: BaseTree, built: frozenset[str], shown: Mapping[str, bytes]) -> None:
        self.workspace, self.base, self.built, self.shown = workspace, base, built, shown
        self.found = Compared()
        self.kept: set[str] = set()
        """Names of the commit that are as they were, or stay so whatever lies there."""
        self.rules: dict[str, bytes] = {}

    def run(self, scratch: Path) -> Compared:
        for entry in foreign.walk(self.workspace, enter=self.enters):
            if entry.kind != "folder" and not _is_git(entry.name):
                self.look(entry)
            elif entry.kind != "folder":  # a link or a file in its place: `git worktree` makes such
                self.found.leave(GIT, entry.name)
        found = self.found
        found.gone = sorted(name for name in self.base.files if name not in found.changed and name not in self.kept)
        if foreign.kind(self.workspace, ".git") is None:
            found.leave(GIT, ".git")
        new = [name for name in found.changed if name not in self.base.files]
        for name in sorted(self.base.ignored(new, self.rules, scratch)):
            del found.changed[name]
            found.leave(IGNORED, name)
        return found

    def enters(self, folder: str) -> bool:
        """Whether to look into a folder."""
        if folder in (".git", *_OWN) or (folder in self.base.submodules and not foreign.names(self.workspace, folder)):
            return False
        reason = self.against(folder)
        if reason is not None:
            self.keep(reason, folder)
        return reason is None

    def against(self, folder: str) -> str | None:
        """Why nothing in a folder counts, if so."""
        name = posixpath.basename(folder)
        if _GIT.fullmatch(name):
            return GIT
        if name == "__pycache__" and folder not in self.base.folders:
            return BUILT
        if folder.count("/") >= foreign.MAX_DEPTH - 2 or len(folder.encode("utf-8", "surrogateescape")) > _FOLDER_BYTES:
            return DEEP
        own_git = foreign.kind(self.workspace, f"{folder}/.git") is not None
        if folder in self.base.submodules or (own_git and folder not in self.base.folders):
            return NESTED
        return None

    def keep(self, reason: str, name: str) -> None:
        """Leave out what lies under a name: what the commit has there, stays."""
        self.found.leave(reason, name)
        self.kept.add(name)
        if name in self.base.folders:
            self.kept.update(path for path in self.base.files if path.startswith(f"{name}/"))

    def look(self, entry: Entry) -> None:
        before = self.base.files.get(entry.name)
        if before is None and entry.name in self.built:
            if entry.mtime_ns != _ARM_MTIME_NS:
                self.found.leave(BUILT, entry.name)
        elif entry.kind == "other":
            self.keep(ODD, entry.name)
        elif before is None and is_compiled_name(entry.name):
            self.found.leave(BUILT, entry.name)
        elif entry.kind == "link":
            self.look_at_link(entry)
        else:
            self.look_at_file(entry)

    def look_at_link(self, entry: Entry) -> None:
        target = foreign.target_of(self.workspace, entry.name)
        content = target.encode("utf-8", "surrogateescape")
        before = self.base.files.get(entry.name)
        if before is not None and before.mode == "120000" and before.blob == self.name_of(content):
            self.kept.add(entry.name)
        elif _leads_out(self.workspace, entry.name, target):
            self.keep(OUTSIDE, entry.name)
        else:
            self.found.changed[entry.name] = Difference("120000", len(content), target)

    def look_at_file(self, entry: Entry) -> None:
        mode = "100755" if entry.mode & 0o100 else "100644"
        before = self.base.files.get(entry.name)
        if posixpath.basename(entry.name) == IGNORING and entry.size <= _IGNORING_BYTES:
            self.rules[entry.name] = foreign.read(self.workspace, entry.name, _IGNORING_BYTES)
        if before is not None and before.mode == mode and before.size == entry.size:
            blob = self.base.blob_of(entry.size)
            with foreign.opened(self.workspace, entry.name) as file:
                while chunk := file.read(_CHUNK):
                    blob.update(chunk)
            if blob.name == before.blob:
                self.kept.add(entry.name)
                return
        if entry.size > MAX_FILE_BYTES or entry.size - (before.size if before else 0) > PATCH_CHARACTERS:
            self.keep(LARGE, entry.name)
        elif before is None and self.is_shown(entry):
            self.found.leave(SHOWN, entry.name)
        else:
            self.found.changed[entry.name] = Difference(mode, entry.size)

    def is_shown(self, entry: Entry) -> bool:
        name = posixpath.basename(entry.name)
        if name in self.shown:
            return True
        sizes = {len(content) for content in self.shown.values()}
        return entry.size in sizes and foreign.read(self.workspace, entry.name) in self.shown.values()

    def name_of(self, content: bytes) -> str:
        blob = self.base.blob_of(len(content))
        blob.update(content)
        return blob.name


def _is_git(name: str) -> bool:
    return _GIT.fullmatch(posixpath.basename(name)) is not None


def _leads_out(root: Path, name: str, target: str) -> bool:
    """Whether a link leads out of the folder, by its own text or by way of other links."""
    if posixpath.isabs(target) or not target:
        return True
    place = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if place == ".." or place.startswith("../"):
        return True
    # a link that leads nowhere is followed by its text; what is there must be there without leaving the folder
    return foreign.inside(root, name) is None and foreign.kind(root, place) is not None
