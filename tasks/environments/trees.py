"""Files of a commit: read from the clone, written to a folder without history, patched."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import git

_MTIME = 946_684_800
"""Time stamp of every file of every arm (2000-01-01), so that none tells when, and so which, it is."""
_QUIET = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_CAUSE = re.compile(r"^(error|fatal): ")


class TreeError(RuntimeError):
    """A commit cannot be written out, or a patch does not apply; the message is git's own."""


def clone_path(repo: str) -> str:
    """Folder of a repository's clone, relative to `Store.work`: where mining keeps it."""
    return f"clones/{repo.replace('/', '__')}.git"


def has_commit(clone: Path, sha: str) -> bool:
    """Whether the clone holds a commit."""
    try:
        _git(clone).cat_file("-e", f"{sha}^{{commit}}")
    except git.GitCommandError:
        return False
    return True


def read_files(clone: Path, sha: str, wanted: re.Pattern[str]) -> dict[str, bytes]:
    """Content of the files of a commit whose whole path matches `wanted`, in order of their names."""
    command = _git(clone)
    names = command.ls_tree("-r", "-z", "--name-only", "--full-tree", sha).split("\0")
    return {
        name: command.cat_file("blob", f"{sha}:{name}", stdout_as_string=False, strip_newline_in_stdout=False)
        for name in sorted(names)
        if name and wanted.fullmatch(name)
    }


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


def write_tree(clone: Path, sha: str, folder: Path) -> None:
    """Write the files of a commit into a new folder that holds no link to the repository: history would be a leak.

    An index of its own makes this safe beside any other use of the clone. Raises TreeError.
    """
    folder.mkdir(parents=True)
    index = folder.parent / f"{folder.name}.index"
    command = _git(clone)
    command.update_environment(GIT_INDEX_FILE=str(index), GIT_WORK_TREE=str(folder))
    try:
        command.read_tree(sha)
        command.checkout_index("--all", "--force", f"--prefix={folder}/")
    except git.GitCommandError as error:
        raise TreeError(_first_errors(error)) from error
    finally:
        index.unlink(missing_ok=True)


def clone_at(clone: Path, sha: str, folder: Path) -> None:
    """A work tree with its history, for building: tools that read a version from tags need it. Raises TreeError."""
    try:
        git.Git(folder.parent).clone(
            "--shared", "--no-checkout", "--quiet", "-c", "safe.directory=*", str(clone), str(folder), env=_QUIET
        )
        _git(folder).execute(["git", "-c", "advice.detachedHead=false", "checkout", "--quiet", sha])
    except git.GitCommandError as error:
        raise TreeError(_first_errors(error)) from error


def apply_patch(folder: Path, patch: str) -> None:
    """Apply a unified diff with `-p1` paths. Raises TreeError with git's first errors; then nothing changed.

    A missing last newline and CRLF line ends (of a patch that went through a form or a mail) are forgiven. Git itself
    refuses paths that leave the folder or go through a link or into `.git`.
    """
    text = patch if patch.endswith("\n") else patch + "\n"
    attempts = [text, text.replace("\r\n", "\n")] if "\r\n" in text else [text]
    first: TreeError | None = None
    for attempt in attempts:
        try:
            return _apply(folder, attempt)
        except TreeError as error:
            first = first or error
    assert first is not None
    raise first


def _apply(folder: Path, text: str) -> None:
    # Inside a user's own repository git would take the paths as relative to that one, and skip them all in silence.
    variables = {**_QUIET, "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent)}
    with NamedTemporaryFile("wb", suffix=".patch") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.flush()
        try:
            git.Git(folder).execute(["git", "apply", "-p1", "--whitespace=nowarn", file.name], env=variables)
        except git.GitCommandError as error:
            raise TreeError(_first_errors(error).replace(file.name, "patch")) from error


def normalise(folder: Path) -> None:
    """Same permissions and times everywhere: readable by the sandbox's user, executable where git says so."""
    for root, folders, files in os.walk(folder):
        for name in files:
            path = os.path.join(root, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, 0o755 if mode & 0o100 else 0o644)
            os.utime(path, (_MTIME, _MTIME), follow_symlinks=False)
        for name in folders:
            path = os.path.join(root, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755)
    for root, folders, _ in os.walk(folder, topdown=False):
        for name in folders:
            os.utime(os.path.join(root, name), (_MTIME, _MTIME), follow_symlinks=False)
    os.chmod(folder, 0o755)
    os.utime(folder, (_MTIME, _MTIME))


def _git(folder: Path) -> git.Git:
    command = git.Git(folder)
    command.update_environment(**_QUIET)
    # The clone may belong to another user, who then decides nothing: no hook and no filter of it is run here.
    command.update_environment(GIT_CONFIG_COUNT="1", GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*")
    return command


def _first_errors(error: git.GitCommandError) -> str:
    text = str(error.stderr or error).strip()
    text = text.removeprefix("stderr: ").strip("'\n ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    causes = [_CAUSE.sub("", line) for line in lines if _CAUSE.match(line)] or lines
    return "; ".join(causes[:3]) or "git failed"
