"""What a clone does not hold: blobs of a partial clone (fetched in bulk), submodules, files that Git LFS keeps."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import git

from tasks.mining.gitio import GitFailed, stream

BATCH = 20_000
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
    """Fetch what a partial clone lacks of `after..head`, thousands of objects at a time; returns how many came.

    Left to itself, git would ask for the few of each change while it prints it. Where the remote cannot be reached the
    rest stays missing, and each change that needs some of it is dropped as `missing_object`.
    """
    remote = promisor(repo)
    if remote is None:
        return 0
    missing = list(_missing(repo, head, after))
    done = 0
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        try:
            for _ in stream(
                repo, "fetch", remote, "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance",
                "--recurse-submodules=no", "--filter=blob:none", "--stdin",
                lines_in=batch, settings=("-c", "fetch.negotiationAlgorithm=noop"),
            ):  # fmt: skip
                pass
        except GitFailed as error:
            _log.warning("%d objects stay missing: %s", len(missing) - done, error)
            break
        done += len(batch)
        _log.info("fetched %d of %d objects that the partial clone lacked", done, len(missing))
    return done


def _missing(repo: git.Repo, head: str, after: str | None) -> Iterator[str]:
    revisions = [head, *([f"^{after}"] if after else [])]
    rest = b""
    try:
        for chunk in stream(repo, "rev-list", "--objects", "--no-object-names", "--missing=print", *revisions, "--"):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line[1:].decode("ascii") for line in lines if line.startswith(b"?"))
    except GitFailed as error:
        _log.warning("what the clone lacks cannot be listed: %s", error)


def submodules(repo: git.Repo, head: str) -> list[str]:
    """Paths of the submodules at a commit; they are left alone."""
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
