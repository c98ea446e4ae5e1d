"""Bare clones in the work folder, one per repository, brought up to date under a lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import git
from filelock import FileLock, Timeout

from configs.demo.build import DEMO_URL, build_demo_repository
from configs.models import RepositoryConfig
from storage.store import Store
from tasks.code.clones import clone_path
from tasks.git_environment import git_in, open_repo
from tasks.mining.errors import MiningError
from tasks.mining.git.mirror import make_mirror, update_mirror
from tasks.mining.git.missing_objects import lfs_patterns, promisor, submodules
from tasks.mining.git.process import GitFailed
from tasks.mining.git.transfer import are_credentials_shown, credentials, environment
from tasks.mining.models import Clone
from tasks.mining.workers.filtering import shallow_boundary

__all__ = ["clone_path", "credentials", "remote_state", "sync_repository"]

LOCK_TIMEOUT_S = 1800
ANSWER_TIMEOUT_S = 300
"""Time in which a remote must list its branches."""

_OUTSIDE = (
    "could not resolve", "timed out", "timeout", "connection", "early eof", "hung up", "rpc failed", "http 5",
    "error: 5", "error: 429", "http 429", "tls", "ssl", "network is unreachable", "temporarily",
    "unexpected disconnect", "no space left",
)  # fmt: skip
"""What git says, in lower case, when the fault lies outside and may pass."""

_REFUSED = ("authentication", "could not read username", "permission denied", "error: 401", "error: 403")


def sync_repository(repository: RepositoryConfig, store: Store) -> Clone:
    """Clone the repository, or fetch what is new, and say where its branch stands.

    The clone copies all branches and tags, and keeps commits that a force-push took away, so that old rows keep their
    commits. A clone that broke off, or was killed, goes on with the missing objects.
    Raises MiningError: no such repository or branch, no commits, or (with `outside` set) a network fault.
    """
    url = _location(repository, store)
    relative = clone_path(repository.name)
    path = store.work / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path, repository.name):
        branch = _branch(repository, url)
        before = _head(path, branch) if path.exists() else None
        try:
            if path.exists():
                update_mirror(url, path)
            else:
                make_mirror(url, path)
        except (git.GitCommandError, GitFailed, OSError) as error:
            raise _explain(repository, url, error) from error
        head = _head(path, branch)
        if head is None:
            raise MiningError(
                f"{repository.name}: branch '{branch}' vanished from {url} while it was fetched; run again"
            )
        with open_repo(path) as repo:
            if branch is not None:
                repo.git.symbolic_ref("HEAD", f"refs/heads/{branch}")
            rewritten = (
                before is not None and before != head and not repo.is_ancestor(repo.commit(before), repo.commit(head))
            )
            return Clone(
                path=relative, head_sha=head, branch=branch, rewritten=rewritten,
                shallow=bool(shallow_boundary(repo)), partial=promisor(repo) is not None,
                submodules=submodules(repo, head), lfs=lfs_patterns(repo, head),
            )  # fmt: skip


@contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    """Nobody else touches the clone meanwhile. The kernel frees the lock of a holder that was killed."""
    try:
        with FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT_S):
            yield
    except Timeout as error:
        raise MiningError(
            f"{name}: another process has been at its clone for {LOCK_TIMEOUT_S // 60} minutes ({path}.lock); "
            "run again when it is done",
            outside=True,
        ) from error


def _location(repository: RepositoryConfig, store: Store) -> str:
    url = repository.clone_url
    if url == DEMO_URL:
        source = store.work / "demo"
        with FileLock(f"{source}.lock", timeout=LOCK_TIMEOUT_S):
            build_demo_repository(source)
        return str(source)
    if "://" in url or (":" in url and not Path(url).exists()):
        return url  # a URL, or host:path as ssh has it
    path = Path(url).expanduser().resolve()
    if not path.is_dir():
        raise MiningError(f"{repository.name}: repository.url '{url}' is not a folder; give a git URL or a local clone")
    return str(path)


def remote_state(repository: RepositoryConfig, store: Store) -> str | None:
    """The commits of the remote's branches and tags, as one text; None if the remote does not answer (synchronising
    will say why)."""
    try:
        return _ls_remote(_location(repository, store))
    except (git.GitCommandError, MiningError, OSError):
        return None


def _branch(repository: RepositoryConfig, url: str) -> str | None:
    """The configured branch, or the one that the remote's HEAD names; None for a detached HEAD."""
    try:
        listing = _ls_remote(url, "HEAD", "refs/heads/*")
    except git.GitCommandError as error:
        raise _explain(repository, url, error) from error
    symbolic: str | None = None
    heads: set[str] = set()
    has_head = False
    for line in listing.splitlines():
        what, _, name = line.partition("\t")
        if what.startswith("ref: refs/heads/") and name == "HEAD":
            symbolic = what.removeprefix("ref: refs/heads/")
        elif name == "HEAD":
            has_head = True
        else:
            heads.add(name.removeprefix("refs/heads/"))
    wanted = repository.branch or symbolic
    if wanted in heads:
        return wanted
    if repository.branch is None and has_head:
        return None
    if not heads:
        raise MiningError(f"{repository.name}: {url} has no commits; there is nothing to mine")
    known = ", ".join(sorted(heads)[:10])
    raise MiningError(f"{repository.name}: {url} has no branch '{wanted}'; set repository.branch to one of: {known}")


def _head(path: Path, branch: str | None) -> str | None:
    with open_repo(path) as repo:
        names = [f"refs/heads/{branch}"] if branch else ["refs/isobench/head", "HEAD"]
        for name in names:
            try:
                return _say(repo.git.rev_parse("--verify", "--quiet", f"{name}^{{commit}}"))
            except git.GitCommandError:
                continue
    return None


def _say(output: object) -> str:
    """GitPython types what a command prints as several things; without options it is text."""
    return str(output)


def _ls_remote(url: str, *patterns: str) -> str:
    # at the root of the file system: not in a repository where the user stands, which may have settings for remotes
    found = git_in(Path("/"), environment()).ls_remote(
        "--symref", "--", url, *patterns, kill_after_timeout=ANSWER_TIMEOUT_S
    )
    return _say(found)


def _explain(repository: RepositoryConfig, url: str, error: Exception) -> MiningError:
    text = str(getattr(error, "stderr", "") or error).strip()
    # a project may be called `connection` or `ssl`
    lower = text.lower().replace(url.lower(), "").replace(repository.name.lower(), "")
    if any(sign in lower for sign in _OUTSIDE):
        return MiningError(f"{repository.name}: {url} cannot be reached now: {text}", outside=True)
    if any(sign in lower for sign in _REFUSED) and not are_credentials_shown():
        advice = "it asks for credentials, and a dataset's repository gets none of yours unless you say `--trust`"
    elif any(sign in lower for sign in _REFUSED):
        if repository.is_on_github:
            advice = (
                "GitHub asks for a password also where there is no such repository: check the name, or set GHAPI_TOKEN"
            )
            advice += " to a token that may read it"
        else:
            advice = "it asks for credentials: check the name, or let a git credential helper or ~/.netrc have them"
    elif "not found" in lower or "does not exist" in lower or "does not appear to be a git" in lower:
        advice = "check repository.name and repository.url"
    elif "dubious ownership" in lower:
        advice = "the folder belongs to another user: add it to git's safe.directory or copy it"
    else:
        advice = "check repository.url"
    return MiningError(f"{repository.name}: cannot clone {url}; {advice}. git says: {text}")
