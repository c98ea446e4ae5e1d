"""Bare clones in the work folder, one per repository, brought up to date under a lock."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import git
from filelock import FileLock

from configs.demo.build import DEMO_URL, build_demo_repository
from configs.models import RepositoryConfig
from storage.store import Store
from tasks.mining.errors import MiningError
from tasks.mining.judging import shallow_boundary
from tasks.mining.models import Clone
from tasks.mining.objects import lfs_patterns, promisor, submodules

LOCK_TIMEOUT_S = 1800
HEADS = "+refs/heads/*:refs/heads/*"
ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}

_OUTSIDE = (
    "could not resolve", "timed out", "timeout", "connection", "early eof", "hung up", "rpc failed", "http 5",
    "error: 5", "error: 429", "http 429", "tls", "ssl", "network is unreachable", "temporarily",
    "unexpected disconnect", "no space left",
)  # fmt: skip
"""What git says, in lower case, when the fault lies outside and may pass."""


def clone_path(repo: str) -> str:
    """Folder of a repository's clone, relative to `Store.work`."""
    return f"clones/{repo.replace('/', '__')}.git"


def sync_repository(repository: RepositoryConfig, store: Store) -> Clone:
    """Clone the repository, or fetch what is new, and say where its branch stands.

    All branches and tags are copied; commits that a force-push took away stay, so that old rows keep their commits.
    Raises MiningError: no such repository or branch, no commits, or (with `outside` set) a network fault.
    """
    url = _location(repository, store)
    relative = clone_path(repository.name)
    path = store.work / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT_S):
        branch = _branch(repository, url)
        before = _head(path, branch) if path.exists() else None
        try:
            if path.exists():
                _fetch(path, url)
            else:
                _clone(url, path)
        except (git.GitCommandError, OSError) as error:
            raise _explain(repository, url, error) from error
        head = _head(path, branch)
        if head is None:
            raise MiningError(
                f"{repository.name}: branch '{branch}' vanished from {url} while it was fetched; run again"
            )
        with git.Repo(path) as repo:
            rewritten = (
                before is not None and before != head and not repo.is_ancestor(repo.commit(before), repo.commit(head))
            )
            return Clone(
                path=relative, head_sha=head, branch=branch, rewritten=rewritten,
                shallow=bool(shallow_boundary(repo)), partial=promisor(repo) is not None,
                submodules=submodules(repo, head), lfs=lfs_patterns(repo, head),
            )  # fmt: skip


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
    """What the remote's branches point to, as one text; None if it cannot be asked (synchronising will say why)."""
    try:
        return _say(git.cmd.Git().ls_remote("--symref", "--", _location(repository, store), env=_environment()))
    except (git.GitCommandError, MiningError, OSError):
        return None


def _branch(repository: RepositoryConfig, url: str) -> str | None:
    """The configured branch, or the one that the remote's HEAD names; None for a detached HEAD."""
    try:
        listing = _say(git.cmd.Git().ls_remote("--symref", "--", url, "HEAD", "refs/heads/*", env=_environment()))
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


def _clone(url: str, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with git.Repo.clone_from(url, temporary, env=_environment(), bare=True) as repo, repo.config_writer() as config:
            config.set_value('remote "origin"', "fetch", HEADS)
            config.set_value("gc", "auto", "0")  # commits that a force-push took away must stay
            for name, value in _promise(url).items():
                config.set_value('remote "promisor"', name, value)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _promise(url: str) -> dict[str, str]:
    """Settings of the remote that promised what a local partial clone lacks: a copy of that clone may ask it too."""
    if "://" in url or not Path(url).is_dir():
        return {}
    with git.Repo(url) as source:
        name = promisor(source)
        if name is None:
            return {}
        return {"url": source.remote(name).url, "promisor": "true", "partialclonefilter": "blob:none"}


def _fetch(path: Path, url: str) -> None:
    with git.Repo(path) as repo:
        repo.git.update_environment(**_environment())
        if repo.remote("origin").url != url:
            repo.git.remote("set-url", "origin", url)
        # HEAD follows the remote too: a detached one has no branch to read
        # the source may be shallow, and may have been deepened since
        deepen = ["--unshallow"] if shallow_boundary(repo) else []
        repo.git.fetch(
            "--prune", "--tags", "--force", "--update-shallow", *deepen, "origin", HEADS, "+HEAD:refs/isobench/head"
        )


def _head(path: Path, branch: str | None) -> str | None:
    with git.Repo(path) as repo:
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


def _environment() -> dict[str, str]:
    return {**os.environ, **ENVIRONMENT}


def _explain(repository: RepositoryConfig, url: str, error: Exception) -> MiningError:
    text = str(getattr(error, "stderr", "") or error).strip()
    lower = text.lower()
    if any(sign in lower for sign in _OUTSIDE):
        return MiningError(f"{repository.name}: {url} cannot be reached now: {text}", outside=True)
    if "not found" in lower or "does not exist" in lower or "does not appear to be a git" in lower:
        advice = "check repository.name and repository.url"
    elif "authentication" in lower or "could not read username" in lower or "permission denied" in lower:
        advice = "it asks for credentials: check the name, or give a URL that this machine may read"
    elif "dubious ownership" in lower:
        advice = "the folder belongs to another user: add it to git's safe.directory or copy it"
    else:
        advice = "check repository.url"
    return MiningError(f"{repository.name}: cannot clone {url}; {advice}. git says: {text}")
