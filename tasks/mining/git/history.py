"""The shape of a history: the first-parent chain, and the commits that each merge brought in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import git

from tasks.mining.errors import MiningError
from tasks.mining.git.diff_parser import FORMAT, Change, parse_change, read_date, split_records
from tasks.mining.git.diff_stream import Differ
from tasks.mining.git.process import DIFF_OPTIONS, GitFailed, stream

MAX_INNER = 500
"""Inner commits that are listed for one merge; the rest of a longer branch is left out."""
MAX_SUBJECTS = 30


@dataclass
class Inner:
    """The commits that a merge brought in."""

    shas: list[str] = field(default_factory=list)
    """Newest first, at most `MAX_INNER`."""
    said: dict[str, str] = field(default_factory=dict)
    """Inner sha -> what the caller's `look` found in its subject."""
    subjects: list[str] = field(default_factory=list)
    """Subjects of the newest `MAX_SUBJECTS` of them: what a merge is for often stands only there."""


def first_parent_chain(
    repo: git.Repo, head: str, *, since: date | None = None, until: date | None = None, newest: int | None = None
) -> dict[str, list[str]]:
    """The main branch's steps with their parents, oldest first: the `newest` ones, by author date in
    `since <= date < until`. Raises MiningError."""
    chain: list[tuple[str, list[str]]] = []
    try:
        for line in _lines(stream(repo, "log", "--first-parent", "--format=tformat:%at %H %P", head, "--")):
            seconds, _, shas = line.partition(b" ")
            if since or until:
                day = read_date(seconds).date()
                if (since and day < since) or (until and day >= until):
                    continue
            sha, *parents = shas.decode("ascii").split()
            chain.append((sha, parents))
    except GitFailed as error:
        raise MiningError(
            f"the history of {head} cannot be read: {error}. If the branch was rewritten, run again to synchronise; "
            "if the clone lacks commits, remove it and clone anew"
        ) from error
    return dict(reversed(chain[: newest or len(chain)]))


def named_steps(repo: git.Repo, names: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The commits that beginnings of shas name, with their parents, oldest first; and the names of none."""
    found: dict[str, git.Commit] = {}
    missing = []
    for name in names:
        try:
            commit = repo.commit(name)
        except (ValueError, OSError, git.GitCommandError, git.ODBError):
            missing.append(name)
            continue
        if commit.hexsha.startswith(name):
            found[commit.hexsha] = commit
        else:
            missing.append(name)  # what a branch or tag of that name points to
    steps = sorted(found.values(), key=lambda commit: (commit.committed_date, commit.hexsha))
    return {commit.hexsha: [parent.hexsha for parent in commit.parents] for commit in steps}, missing


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def read_changes(differ: Differ, shas: list[str]) -> Iterator[Change]:
    """The changes in the order asked for, from one long-lived git process.

    Where git stops because an object is missing, the change that cannot be diffed comes with `problem` set, and the
    reading goes on with the next. Raises MiningError if a commit itself cannot be read.
    """
    start = 0
    while start < len(shas):
        done = start
        held: Change | None = None  # the last one may be cut short by git's death
        try:
            for record, size in split_records(differ.chunks(shas[start:])):
                if held is not None:
                    yield _expected(held, shas[done])
                    done += 1
                held = parse_change(record, size)
            if held is not None:
                yield _expected(held, shas[done])
                done += 1
            if done < len(shas):
                raise _lost(shas[done])
            return
        except GitFailed as error:
            # git died in the change that it was printing, or before it printed the first line of the next one
            if held is not None and held.sha == shas[done] and _readable(differ.repo, shas[done]):
                yield held
                done += 1
            if done < len(shas):
                yield _broken(differ.repo, shas[done], str(error))
            start = done + 1


def _expected(change: Change, sha: str) -> Change:
    if change.sha != sha:
        raise _lost(sha)
    return change


def _lost(sha: str) -> MiningError:
    """git passes over a commit that it cannot read."""
    return MiningError(f"commit {sha} cannot be read; remove the clone and clone anew")


def _log(repo: git.Repo, shas: list[str], *options: str) -> Iterator[bytes]:
    arguments = ("--no-walk=unsorted", "--stdin", "--encoding=UTF-8", f"--format={FORMAT}", *(options or DIFF_OPTIONS))
    return stream(repo, "log", *arguments, lines_in=shas)


def _readable(repo: git.Repo, sha: str) -> bool:
    try:
        for _ in _log(repo, [sha]):
            pass
    except GitFailed:
        return False
    return True


def _broken(repo: git.Repo, sha: str, error: str) -> Change:
    try:
        ((record, _),) = split_records(_log(repo, [sha], "--no-patch"))
    except (GitFailed, ValueError) as unreadable:
        raise MiningError(f"commit {sha} cannot be read: {error}; remove the clone and clone anew") from unreadable
    change = parse_change(record)
    lines = [line.removeprefix("fatal: ") for line in error.splitlines()]
    change.problem = next((line for line in lines if "unable to read" in line or "missing" in line), lines[0])
    return change


def inner_commits(repo: git.Repo, head: str, after: str | None, look: Callable[[str], str | None]) -> dict[str, Inner]:
    """For each merge on the first-parent chain of `after..head`, the commits that it brought in.

    `look` sees the subject of every such commit. A commit that several merges reach belongs to the oldest. One pass
    over the graph, without diffs; memory holds only the commits' ids. An unreadable graph ends the list early.
    """
    found: dict[int, Inner] = {}
    steps: dict[int, str] = {}
    step_of: dict[str, int] = {}  # commits whose children were seen, but not they themselves
    chain_next, step = head, 0
    # a subject is one line
    arguments = ["--topo-order", "--encoding=UTF-8", "--format=tformat:%H%x00%P%x00%s", head]
    if after:
        arguments.append(f"^{after}")
    try:
        for line in _lines(stream(repo, "log", *arguments, "--")):
            sha, parents, subject = line.decode("utf-8", "replace").split("\0", 2)
            others = parents.split()
            if sha == chain_next:
                step += 1
                steps[step] = sha
                chain_next = others.pop(0) if others else ""
                label = step
                step_of.pop(sha, None)
            else:
                label = step_of.pop(sha, step)
                inner = found.setdefault(label, Inner())
                if len(inner.shas) < MAX_INNER:
                    inner.shas.append(sha)
                    if len(inner.subjects) < MAX_SUBJECTS:
                        inner.subjects.append(subject)
                    seen = look(subject)
                    if seen:
                        inner.said[sha] = seen
            for parent in others:
                # a larger number is an older step, and the oldest that reaches a commit is where it landed
                step_of[parent] = max(label, step_of.get(parent, 0))
    except (GitFailed, ValueError):
        pass
    return {steps[label]: inner for label, inner in found.items()}
