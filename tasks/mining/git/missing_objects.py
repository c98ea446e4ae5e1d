"""Objects that a clone lacks: blobs of a partial clone (fetched in bulk), submodules, files that Git LFS keeps."""

from __future__ import annotations

import logging
from pathlib import Path

import git

from tasks.mining.git.process import GitFailed, stream
from tasks.mining.git.transfer import transfer
from tasks.progress import tell

BATCH = 10_000
"""Objects asked for in one request: what is lost if it breaks off."""
_log = logging.getLogger(__name__)


def promisor(repo: git.Repo) -> str | None:
    """The remote that promised the objects that a partial clone lacks; None for a whole clone."""
    try:
        found = repo.git.config("--local", "--get-regexp", r"^remote\..*\.promisor$", "true")
    except git.GitCommandError:
        return None
    return str(found).splitlines()[0].split()[0].removeprefix("remote.").removesuffix(".promisor")


def fetch_missing(repo: git.Repo, head: str, after: str | None) -> int:
    """Fetch the objects of `after..head` that a partial clone lacks, thousands at a time; returns the number fetched.

    Without this call git would ask for the few objects of each change while it prints the change. If the remote cannot
    be reached, the objects stay missing, and each change that needs one is dropped as `missing_object`.
    """
    remote = promisor(repo)
    if remote is None:
        return 0
    revisions = [head, *([f"^{after}"] if after else [])]
    missing: set[str] = set()
    try:
        missing = missing_objects(repo, *revisions)
        return fetch_in_batches(repo, remote, in_order_of_paths(repo, missing, *revisions))
    except GitFailed as error:
        _log.warning("some of %d objects stay missing: %s", len(missing), error)
        return 0


def missing_objects(repo: git.Repo, *revisions: str) -> set[str]:
    """Objects of these revisions that the clone lacks. Raises GitFailed."""
    found: set[str] = set()
    rest = b""
    for chunk in stream(repo, "rev-list", "--objects", "--no-object-names", "--missing=print", *revisions, "--"):
        *lines, rest = (rest + chunk).split(b"\n")
        found.update(line[1:].decode("ascii") for line in lines if line.startswith(b"?"))
    return found


def in_order_of_paths(repo: git.Repo, oids: set[str], *revisions: str) -> list[str]:
    """Objects ordered by the path of their file. Raises GitFailed.

    A pack stores versions of a file as differences from each other: in one request the remote sends them as they lie;
    in separate requests it would send each version whole.
    """
    place: dict[str, tuple[bytes, bytes]] = {}
    options = ("--raw", "--no-abbrev", "--no-renames", "--format=", "--diff-merges=first-parent", "--root", "-z")
    rest = b""
    oid = None
    for chunk in stream(repo, "log", *options, *revisions, "--"):
        *fields, rest = (rest + chunk).split(b"\0")
        for field in fields:
            if oid is None:
                if not field.startswith(b":"):
                    continue  # between commits
                oid = field.split()[3].decode("ascii")  # :mode mode old new status
            else:
                if oid in oids and oid not in place:
                    folder, _, name = field.rpartition(b"/")
                    place[oid] = name, folder
                oid = None
    return sorted(oids, key=lambda oid: (place.get(oid, (b"", b"")), oid))


def fetch_in_batches(repo: git.Repo, remote: str, oids: list[str], before: int = 0) -> int:
    """Fetch objects, `BATCH` at a time; a batch that arrived stays. Returns the number fetched. Raises GitFailed.

    Progress is reported in objects and starts at `before`.
    """
    for start in range(0, len(oids), BATCH):
        transfer(
            Path(repo.git_dir), "fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance",
            "--recurse-submodules=no", "--filter=blob:none", "--stdin", remote,
            lines_in=oids[start : start + BATCH], settings=("-c", "fetch.negotiationAlgorithm=noop"),
            hear=lambda done, _, start=start: tell(before + start + done, before + len(oids)),  # type: ignore[misc]
        )  # fmt: skip
        tell(before + min(start + BATCH, len(oids)), before + len(oids))
    return len(oids)


def submodules(repo: git.Repo, head: str) -> list[str]:
    """Paths of the submodules at a commit; mining does not read submodules."""
    try:
        found = str(repo.git.config("--blob", f"{head}:.gitmodules", "--get-regexp", r"\.path$"))
    except git.GitCommandError:
        return []
    return [line.partition(" ")[2] for line in found.splitlines()]


def lfs_patterns(repo: git.Repo, head: str) -> list[str]:
    """Patterns of the files that Git LFS keeps at a commit: the history holds pointers to them only."""
    try:
        text = str(repo.git.cat_file("blob", f"{head}:.gitattributes"))
    except git.GitCommandError:
        return []
    rules = [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [pattern for pattern, *attributes in filter(None, rules) if "filter=lfs" in attributes]
