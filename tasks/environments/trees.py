"""Files of a commit: read from the clone, written to a folder as they are in it, without history."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile

import git

from tasks.git_environment import git_in, quiet
from tasks.sandbox import foreign

_MTIME = 946_684_800
"""Time stamp of every file of every arm (2000-01-01), so that none tells when, and so which, it is."""
PLAIN_ATTRIBUTES = "* -text -ident -filter !eol !working-tree-encoding\n"
"""For `info/attributes`, which has the last word: files are written and read as git has them. Patches speak of those
bytes, and what `.gitattributes` would make of them (CRLF, UTF-16, the output of a filter) no patch would fit."""
MAX_TREE_FILES = 500_000
"""Files that a commit may have, and what they may take together: several times what the largest projects have."""
MAX_TREE_BYTES = 16 * 1024 * foreign.MEBIBYTE
MAX_DECLARING_BYTES = 16 * foreign.MEBIBYTE
"""Of one file that declares what a project needs."""
_CHUNK = 64 * 1024
_ATTRIBUTES = ".gitattributes"
_CAUSE = re.compile(r"^(error|fatal): ")


class TreeError(RuntimeError):
    """A commit cannot be written out, or a patch does not apply; the message is git's own."""


def has_commit(clone: Path, sha: str) -> bool:
    """Whether the clone holds a commit."""
    try:
        _git(clone).cat_file("-e", f"{sha}^{{commit}}")
    except git.GitCommandError:
        return False
    return True


def read_files(clone: Path, sha: str, wanted: re.Pattern[str]) -> dict[str, bytes]:
    """Content of the files of a commit whose whole path matches `wanted`, in order of their names.

    Raises TreeError for one that is too large.
    """
    command = _git(clone)
    names = command.ls_tree("-r", "-z", "--name-only", "--full-tree", sha).split("\0")
    found = {}
    for name in sorted(filter(wanted.fullmatch, names)):
        if int(command.cat_file("-s", f"{sha}:{name}")) > MAX_DECLARING_BYTES:
            raise TreeError(f"{foreign.shown(name)} is larger than {MAX_DECLARING_BYTES >> 20} MiB")
        found[name] = command.cat_file("blob", f"{sha}:{name}", stdout_as_string=False, strip_newline_in_stdout=False)
    return found


def tracked_files(clone: Path, sha: str) -> dict[str, str]:
    """Path -> blob of all regular files of a commit; "" for a link, whose content is elsewhere."""
    found = {}
    for line in _git(clone).ls_tree("-r", "-z", "--full-tree", sha).split("\0"):
        head, _, path = line.partition("\t")
        mode, kind, blob = [*head.split(), "", "", ""][:3]
        if kind == "blob":
            found[path] = "" if mode == "120000" else blob
    return found


@dataclass(frozen=True)
class Dates:
    """What a commit says about when it was made, in seconds since the epoch; 0 where git cannot read it."""

    committer: int
    author: int


def dates_of(clone: Path, sha: str, count: int = 1) -> list[Dates]:
    """Dates of a commit and its first parents, newest first; [] if the clone does not hold it."""
    argv = ["log", "--first-parent", f"--max-count={count}", "--no-show-signature", "--format=%ct %at"]
    try:
        lines = _git(clone).execute(["git", *argv, "--end-of-options", sha, "--"]).splitlines()
    except git.GitCommandError:
        return []
    pairs = [[int(part) if part.lstrip("-").isdigit() else 0 for part in line.split(" ")] for line in lines]
    return [Dates(*pair) for pair in pairs if len(pair) == 2]


def refuse_bombs(clone: Path, sha: str) -> None:
    """Raises TreeError for a commit whose files would fill this machine: a few objects can stand for any number."""
    process = _git(clone).execute(["git", "ls-tree", "-r", "-z", "-l", "--full-tree", sha], as_process=True)
    files = size = 0
    rest = b""
    try:
        while chunk := process.stdout.read(_CHUNK):
            *entries, rest = (rest + chunk).split(b"\0")
            files += len(entries)
            sizes = (entry.partition(b"\t")[0].split()[-1] for entry in entries)
            size += sum(int(word) for word in sizes if word.isdigit())  # of a submodule there is none
            if files > MAX_TREE_FILES or len(rest) > foreign.MEBIBYTE:
                raise TreeError(f"the commit has more than {MAX_TREE_FILES} files")
            if size > MAX_TREE_BYTES:
                raise TreeError(f"the commit's files take more than {MAX_TREE_BYTES >> 30} GiB")
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()


def write_tree(clone: Path, sha: str, folder: Path) -> None:
    """Write the files of a commit into a new folder that holds no link to the repository: history would be a leak.

    An index of its own makes this safe beside any other use of the clone. Attributes of the commit have no effect: they
    are written under another name and renamed. Raises TreeError.
    """
    refuse_bombs(clone, sha)
    folder.mkdir(parents=True)
    _write(clone, sha, folder, ["--all"])


def write_again(clone: Path, sha: str, folder: Path, names: Collection[str]) -> None:
    """Write those of the names that the commit has into its folder anew, as they are there. Raises TreeError."""
    tracked = set(_git(clone).ls_tree("-r", "-z", "--name-only", "--full-tree", sha).split("\0"))
    if found := sorted(tracked.intersection(names)):
        _write(clone, sha, folder, ["--", *found])


def _write(clone: Path, sha: str, folder: Path, what: list[str]) -> None:
    index = folder.parent / f"{folder.name}.index"
    command = _git(clone)
    command.update_environment(GIT_INDEX_FILE=str(index), GIT_WORK_TREE=str(folder))
    try:
        command.read_tree(sha)
        hidden = _hide_attributes(command)
        command.checkout_index("--force", f"--prefix={folder}/", *what)
        for name, ending in hidden.items():
            if os.path.lexists(folder / f"{name}{ending}"):
                os.rename(folder / f"{name}{ending}", folder / name)
    except git.GitCommandError as error:
        raise TreeError(first_errors(error)) from error
    finally:
        index.unlink(missing_ok=True)


def _hide_attributes(command: git.Git) -> dict[str, str]:
    """Rename every `.gitattributes` of the index; returns name -> what was put after it."""
    listed = command.ls_files("--stage", "-z", "--", _ATTRIBUTES, f":(glob)**/{_ATTRIBUTES}", stdout_as_string=False)
    entries = [entry.partition(b"\t") for entry in listed.split(b"\0") if entry]
    if not entries:
        return {}
    ending = f".{uuid.uuid4().hex}"
    lines = []
    for stage, _, name in entries:
        lines += [b"0 " + b"0" * len(stage.split()[1]) + b"\t" + name, stage + b"\t" + name + ending.encode()]
    with TemporaryFile() as file:
        file.write(b"\0".join([*lines, b""]))
        file.seek(0)
        command.update_index("-z", "--index-info", istream=file)
    return {os.fsdecode(name): ending for _, _, name in entries}


def clone_at(clone: Path, sha: str, folder: Path) -> None:
    """A work tree with its history, for building: tools that read a version from tags need it. Raises TreeError."""
    try:
        git_in(folder.parent).clone(
            "--shared", "--no-checkout", "--quiet", "-c", "safe.directory=*", str(clone), str(folder)
        )
        (folder / ".git" / "info").mkdir(exist_ok=True)
        (folder / ".git" / "info" / "attributes").write_text(PLAIN_ATTRIBUTES)
        _git(folder).execute(["git", "-c", "advice.detachedHead=false", "checkout", "--quiet", sha])
    except git.GitCommandError as error:
        raise TreeError(first_errors(error)) from error


def normalise(folder: Path) -> int:
    """Same permissions and times everywhere: readable by the sandbox's user, executable where git says so.

    Returns how many bytes its files have. Raises OSError; Refused for a tree that no arm may have, as it is too deep.
    """
    entries = [entry for entry in foreign.walk(folder) if entry.kind != "other"]
    # from below, since a folder's time changes with what is in it
    for above, found in groupby(reversed(entries), key=lambda entry: entry.name.rpartition("/")[0]):
        with foreign.folder(folder, above.split("/") if above else []) as place:
            for entry in found:
                name = entry.name.rpartition("/")[2]
                if entry.kind != "link":
                    executable = entry.kind == "folder" or entry.mode & 0o100
                    os.chmod(name, 0o755 if executable else 0o644, dir_fd=place)
                os.utime(name, (_MTIME, _MTIME), dir_fd=place, follow_symlinks=False)
    os.chmod(folder, 0o755)
    os.utime(folder, (_MTIME, _MTIME))
    return sum(entry.size for entry in entries if entry.kind == "file")


def written_since(folder: Path) -> list[foreign.Entry]:
    """What was written or made since `normalise`, folders aside."""
    return [entry for entry in foreign.walk(folder) if entry.kind != "folder" and entry.mtime_ns != _MTIME * 10**9]


def _git(folder: Path) -> git.Git:
    # The clone may belong to another user, who then decides nothing: no hook and no filter of it is run here.
    return git_in(folder, quiet({"safe.directory": "*"}))


def first_errors(error: git.GitCommandError) -> str:
    """What git says went wrong, at most three causes."""
    text = str(error.stderr or error).strip()
    text = text.removeprefix("stderr: ").strip("'\n ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [_CAUSE.sub("", line) for line in lines if _CAUSE.match(line)] or lines
    return "; ".join(causes[:3]) or "git failed"
