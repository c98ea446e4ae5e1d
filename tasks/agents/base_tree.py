"""The commit that attempts start from, as git has it: what its files are, and patches and histories made of it.

Only our own clone is asked. What an attempt left in its `.git` is never looked at: it may say anything.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile

import git

from tasks.git_environment import git_in, quiet
from tasks.sandbox import foreign

PLAIN_ATTRIBUTES = b"* -text -ident -filter !eol !working-tree-encoding\n"
"""For `info/attributes`, which has the last word: bytes count as they are, as in the checkouts of arms."""
IGNORING = ".gitignore"
_SUBMODULE = "160000"
_IGNORING_BYTES = 256 * 1024
_WHO = "base"
_SETTINGS = {
    "core.bare": "false",
    "user.name": "agent",
    "user.email": "agent@localhost",
    "core.logAllRefUpdates": "true",
    "gc.auto": "0",
}
"""Of the repository in a workspace, so that an agent can commit there."""


class BaseTreeError(RuntimeError):
    """The clone does not give what is asked of it; the message is git's own."""


@dataclass(frozen=True)
class BaseFile:
    """A file of the commit."""

    mode: str
    """Git's: `100644`, `100755`, or `120000` for a link."""
    blob: str
    size: int


@dataclass(frozen=True)
class Changed:
    """What a path holds now."""

    mode: str
    content: Path
    """A file of ours with the content; of a link its target."""


@dataclass(frozen=True)
class BaseTree:
    """One commit of a clone of ours."""

    clone: Path
    sha: str

    @cached_property
    def files(self) -> Mapping[str, BaseFile]:
        """Path -> file of everything in the commit but submodules. Raises BaseTreeError."""
        return {path: file for path, file in self._entries.items() if file.mode != _SUBMODULE}

    @cached_property
    def submodules(self) -> frozenset[str]:
        """Folders whose content is another repository's, and not there."""
        return frozenset(path for path, file in self._entries.items() if file.mode == _SUBMODULE)

    @cached_property
    def _entries(self) -> Mapping[str, BaseFile]:
        found = {}
        for line in _run(self._git, "ls-tree", "-r", "-l", "-z", "--full-tree", self.sha).split(b"\0"):
            head, _, path = line.partition(b"\t")
            if path:
                mode, _, blob, size = head.decode().split()
                found[os.fsdecode(path)] = BaseFile(mode, blob, int(size) if size != "-" else 0)
        return found

    @cached_property
    def folders(self) -> frozenset[str]:
        """Folders that hold files of the commit."""
        found = set()
        for path in self.files:
            while (path := posixpath.dirname(path)) and path not in found:
                found.add(path)
        return frozenset(found)

    def ignore_rules(self) -> dict[str, bytes]:
        """Path -> content of the commit's ignore files."""
        found = {}
        for path, file in self.files.items():
            if posixpath.basename(path) == IGNORING and file.mode != "120000" and file.size <= _IGNORING_BYTES:
                found[path] = _run(self._git, "cat-file", "blob", file.blob)
        return found

    def blob_of(self, size: int) -> BlobHash:
        """A hash to be fed the content of a file of `size` bytes; its digest is git's name for that content."""
        return BlobHash(size, sha256=len(self.sha) > 40)

    def write_history(self, folder: Path, excluded: Sequence[str]) -> None:
        """Make `folder` (new) the `.git` of a repository whose one commit is this one's files.

        It has no remote, no tag, no reflog, no hook, and no object but those of the files. `excluded`: names that its
        status does not mention. Raises BaseTreeError.
        """
        folder.mkdir(parents=True)
        made = git_in(folder.parent, quiet({"safe.directory": "*"}))
        made.update_environment(GIT_DIR=str(folder))
        form = _run(self._git, "rev-parse", "--show-object-format").decode().strip()
        _run(made, "init", "-q", "--initial-branch=main", f"--object-format={form}")
        tree = self._tree
        with TemporaryFile() as names:
            names.write(_run(self._git, "rev-list", "--objects", "--no-object-names", tree))
            names.seek(0)
            _run(self._git, "pack-objects", "-q", str(folder / "objects" / "pack" / "pack"), istream=names)
        when = _run(self._git, "log", "-1", "--no-show-signature", "--format=%ct", "--end-of-options", self.sha)
        stamp = f"{_seconds(when.decode())} +0000"
        for role in ("AUTHOR", "COMMITTER"):
            made.update_environment(
                **{f"GIT_{role}_NAME": _WHO, f"GIT_{role}_EMAIL": f"{_WHO}@localhost", f"GIT_{role}_DATE": stamp}
            )
        commit = _run(made, "commit-tree", "-m", _WHO, tree).decode().strip()
        _run(made, "-c", "core.logAllRefUpdates=false", "update-ref", "refs/heads/main", commit)
        _run(made, "read-tree", commit)
        for name, value in _SETTINGS.items():
            _run(made, "config", name, value)
        foreign.replace(folder, "info/attributes", PLAIN_ATTRIBUTES)
        foreign.replace(folder, "info/exclude", b"".join(b"/" + _pattern(name) + b"\n" for name in excluded))

    def ignored(self, names: Sequence[str], added: Mapping[str, bytes], scratch: Path) -> set[str]:
        """Which of the names, none of them the commit's, git would not add by itself.

        The commit's ignore files count, and after them those `added` (path -> content), which may take back what the
        first say. `scratch` is a folder for them. Raises BaseTreeError.
        """
        if not names:
            return set()
        rules = {**self.ignore_rules()}
        for path, content in added.items():
            before = rules.get(path, b"")
            rules[path] = before if before == content else before + b"\n" + content
        tree = scratch / "ignoring"
        tree.mkdir()
        for path, content in rules.items():
            try:
                foreign.write(tree, path, content)
            except OSError as error:
                if foreign.is_host_fault(error):
                    raise
        command = git_in(tree, quiet())
        _run(command, "init", "-q")
        with TemporaryFile() as file:
            file.write(b"\0".join(os.fsencode(name) for name in names) + b"\0")
            file.seek(0)
            said = _run(command, "check-ignore", "--no-index", "-z", "--stdin", istream=file, fine=(0, 1))
        return {os.fsdecode(name) for name in said.split(b"\0") if name}

    def patch(self, changed: Mapping[str, Changed], gone: Sequence[str], scratch: Path) -> bytes:
        """Git's patch from the commit to the same with some files changed or added, and others gone.

        Raises BaseTreeError, also for names that git does not take.
        """
        home = scratch / "repository"
        command = git_in(scratch, {**quiet({"safe.directory": "*"}), "GIT_DIR": str(home)})
        form = _run(self._git, "rev-parse", "--show-object-format").decode().strip()
        _run(command, "init", "-q", "--bare", f"--object-format={form}", str(home))
        objects = os.fsdecode(_run(self._git, "rev-parse", "--absolute-git-dir").rstrip(b"\n")) + "/objects"
        foreign.replace(home, "objects/info/alternates", os.fsencode(objects) + b"\n")
        foreign.replace(home, "info/attributes", PLAIN_ATTRIBUTES)
        _run(command, "read-tree", self._tree)
        zero = b"0" * len(self._tree)
        with TemporaryFile() as paths, TemporaryFile() as entries:
            paths.write(b"".join(os.fsencode(change.content) + b"\n" for change in changed.values()))
            paths.seek(0)
            blobs = _run(command, "hash-object", "-w", "--no-filters", "--stdin-paths", istream=paths).split()
            lines = [b"0 " + zero + b"\t" + os.fsencode(name) for name in gone]
            for (name, change), blob in zip(changed.items(), blobs, strict=True):
                lines.append(change.mode.encode() + b" " + blob + b"\t" + os.fsencode(name))
            entries.write(b"".join(line + b"\0" for line in lines))
            entries.seek(0)
            _run(command, "update-index", "--add", "--replace", "-z", "--index-info", istream=entries)
        made = _run(command, "write-tree").decode().strip()
        options = ["-r", "-p", "--binary", "--full-index", "-M", "--no-ext-diff", "--no-textconv"]
        return _run(command, "diff-tree", *options, "--src-prefix=a/", "--dst-prefix=b/", self._tree, made)

    @cached_property
    def _tree(self) -> str:
        return _run(self._git, "rev-parse", "--verify", "--end-of-options", f"{self.sha}^{{tree}}").decode().split()[-1]

    @cached_property
    def _git(self) -> git.Git:
        return git_in(self.clone, quiet({"safe.directory": "*"}))


class BlobHash:
    """Git's name for a file's content, while it is read."""

    def __init__(self, size: int, sha256: bool) -> None:
        self._hash = hashlib.sha256() if sha256 else hashlib.sha1(usedforsecurity=False)
        self.update(b"blob %d\0" % size)

    def update(self, data: bytes) -> None:
        """The next piece."""
        self._hash.update(data)

    @property
    def name(self) -> str:
        """The name, when all of it was read."""
        return self._hash.hexdigest()


def _run(command: git.Git, *arguments: str, istream: object = None, fine: tuple[int, ...] = (0,)) -> bytes:
    status, output, errors = command.execute(
        ["git", *arguments], istream=istream, stdout_as_string=False, strip_newline_in_stdout=False,
        with_extended_output=True, with_exceptions=False,
    )  # type: ignore[call-overload]  # fmt: skip
    if status not in fine:
        lines = [line for line in str(errors).splitlines() if line.strip()]
        raise BaseTreeError(re.sub(r"^(fatal|error): ", "", lines[-1]) if lines else f"git {arguments[0]} failed")
    return bytes(output)


def _seconds(said: str) -> int:
    """A commit's time, or 2000-01-01 where it is none that git takes."""
    text = said.strip()
    return int(text) if text.isdigit() and 100_000_000 <= int(text) < 2**32 else 946_684_800


def _pattern(name: str) -> bytes:
    """A name as a line of an ignore file that means it and nothing else."""
    return re.sub(rb"([\\*?\[\]! ])", rb"\\\1", os.fsencode(name))
