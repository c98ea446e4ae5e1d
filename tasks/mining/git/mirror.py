"""A bare copy of a repository in the work folder: made so that what arrived stays, then kept up to date.

A remote is copied in steps: commits and trees first (`--filter=blob:none`), then the blobs, some thousands at a time.
Each step is a pack of its own, so a copy that breaks off, or is killed, goes on where it stopped. When all is there,
the copy is whole: it promises nothing, and the stages that check out trees need no remote. A remote that does not
filter sends all in the first step.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import git
from pydantic import ValidationError

from configs.models import RepositoryConfig
from tasks.git_environment import git_in, local_setting, open_repo
from tasks.mining.git.missing_objects import fetch_in_batches, in_order_of_paths, missing_objects, promisor
from tasks.mining.git.process import GitFailed
from tasks.mining.git.transfer import environment, transfer
from tasks.mining.workers.filtering import shallow_boundary
from tasks.progress import tell

REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+HEAD:refs/isobench/head")
"""All branches and tags. HEAD follows the remote too: a detached one has no branch to read."""
_FETCH = ("fetch", "--progress", "--prune", "--no-tags", "--force", "--update-shallow", "--no-write-fetch-head")
_REFUSED = ("not our ref", "unadvertised object", "refusing to", "not supported", "does not support")
"""What git says, in lower case, where a server sends no single objects."""
_TO_THE_ROOT = "--depth=2147483647"
"""All of the history, as `--unshallow` asks for it. Asked so, git does not look whether it has the commits at which a
shallow remote ends; else, with a filter, it would ask the remote for them in a process that does the same, etc."""
LEFT_AFTER_S = 3600.0
"""Half a pack that nobody wrote to for so long belongs to a process that is gone."""


def make_mirror(url: str, path: Path) -> None:
    """Copy the repository at `url` to `path`; a copy that broke off goes on. Raises GitFailed or OSError.

    The caller holds the lock. `path` appears when the copy is whole.
    """
    part = path.with_name(f".{path.name}.part")
    if "://" not in url and Path(url).is_dir():
        shutil.rmtree(part, ignore_errors=True)
        _copy_folder(url, part)
    else:
        try:
            _copy_remote(url, part)
        except GitFailed as error:
            if "mismatched algorithms" not in str(error):
                raise
            shutil.rmtree(part, ignore_errors=True)
            _copy_remote(url, part, "sha256")
    part.rename(path)


def _copy_remote(url: str, part: Path, hashes: str = "sha1") -> None:
    try:
        whole = _copy_in_steps(url, part, hashes)
    except GitFailed as error:
        if not any(sign in str(error).lower() for sign in _REFUSED):
            raise
        whole = False
    if not whole:
        shutil.rmtree(part, ignore_errors=True)
        with _begun(url, part, hashes):
            transfer(part, *_FETCH, "origin", *REFS, hear=tell)


def update_mirror(url: str, path: Path) -> None:
    """Fetch what is new. Raises GitFailed. The caller holds the lock."""
    with open_repo(path) as repo:
        sweep(path, older_than=LEFT_AFTER_S)
        if local_setting(repo, "remote.origin.url") != url:
            repo.git.remote("set-url", "origin", url)
        # the source may be shallow, and may have been deepened since
        deepen = ["--unshallow"] if shallow_boundary(repo) else []
    transfer(path, *_FETCH, *deepen, "origin", *REFS, hear=tell)


def sweep(path: Path, older_than: float = 0.0) -> None:
    """Remove what a killed git left: its locks, which would refuse the next one, and half packs of such an age (s).

    Nobody but the holder of our lock writes references here, so no lock of git's is anybody's.
    """
    for lock in [*path.glob("*.lock"), *(path / "refs").rglob("*.lock")]:
        lock.unlink(missing_ok=True)
    now = time.time()
    for half in [*(path / "objects").glob("*/tmp_*"), *(path / "objects").glob("tmp_*")]:
        try:
            if now - half.stat().st_mtime >= older_than:
                half.unlink()
        except FileNotFoundError:  # its process has just ended
            continue


def _copy_folder(source: str, part: Path) -> None:
    """A local repository: its files are linked, which no network can break."""
    try:
        _linked(source, part)
        with open_repo(part) as repo, repo.config_writer() as config:
            config.set_value("gc", "auto", "0")  # commits that a force-push took away must stay
            for name, value in _promise(source).items():
                config.set_value('remote "promisor"', name, value)
    except git.GitCommandError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise GitFailed(str(error.stderr).strip()) from error
    except ValidationError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise GitFailed(f"its promisor remote: {error.errors()[0]['msg']}") from error


def _linked(source: str, part: Path) -> None:
    command = git_in(part.parent, environment())
    try:
        command.clone("--bare", "--quiet", "--", source, str(part))
    except git.GitCommandError:  # links among its files are one reason; asked as a remote would be, git follows them
        shutil.rmtree(part, ignore_errors=True)
        command.clone("--bare", "--quiet", "--no-local", "--", source, str(part))


def _promise(source: str) -> dict[str, str]:
    """Settings of the remote that promised what a local partial clone lacks: a copy of that clone may ask it too."""
    with open_repo(source, {"safe.directory": "*"}) as repo:  # two of its settings are read, and nothing is run
        name = promisor(repo)
        if name is None:
            return {}
        url = local_setting(repo, f"remote.{name}.url") or ""
        RepositoryConfig(name="a/b", url=url)  # a folder of a stranger may name anything there
        return {"url": url, "promisor": "true", "partialclonefilter": "blob:none"}


def _copy_in_steps(url: str, part: Path, hashes: str) -> bool:
    """Commits and trees, then blobs; False for a shallow remote, which is no place to ask for single objects."""
    first = 0

    def hear(done: int, total: int) -> None:
        nonlocal first
        first = total
        tell(done, total)

    with _begun(url, part, hashes) as repo:
        # a server without filters says so and sends everything
        transfer(part, *_FETCH, _TO_THE_ROOT, "--filter=blob:none", "origin", *REFS, hear=hear)
        if (part / "shallow").exists():
            return False
        missing = missing_objects(repo, "--all")
        ordered = in_order_of_paths(repo, missing, "--all") if missing else []
        fetch_in_batches(repo, "origin", ordered, before=first)
        _promise_nothing(repo)
    return True


def _begun(url: str, part: Path, hashes: str) -> git.Repo:
    """The copy that broke off, or a new one."""
    try:
        repo = open_repo(part)
        if local_setting(repo, "remote.origin.url") != url:
            raise ValueError("of another place")
    except (git.GitError, OSError, ValueError):
        shutil.rmtree(part, ignore_errors=True)
        git_in(part.parent).init("--bare", "--quiet", f"--object-format={hashes}", str(part))
        repo = open_repo(part)
        with repo.config_writer() as config:
            config.set_value("gc", "auto", "0")  # commits that a force-push took away must stay
            config.set_value('remote "origin"', "url", url)
    sweep(part)
    return repo


def _promise_nothing(repo: git.Repo) -> None:
    """All is there: whoever finds something missing from now on need not ask a remote."""
    with repo.config_writer() as config:
        for name in ("promisor", "partialclonefilter"):
            config.remove_option('remote "origin"', name)
    for mark in (Path(repo.git_dir) / "objects" / "pack").glob("*.promisor"):
        mark.unlink()
