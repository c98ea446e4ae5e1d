"""A repository at one commit as one file, without a past or a future."""

from __future__ import annotations

from pathlib import Path

import git

from tasks.agents.base_tree import BaseTree, BaseTreeError
from tasks.git_environment import git_in, quiet


def write_bundle(base: BaseTree, target: Path, scratch: Path) -> str:
    """Write a `git bundle` whose branch `main` is one commit with the files of `base`; returns that commit's name.

    Equal files give equal names. `scratch` is an empty folder. Raises BaseTreeError.
    """
    repository = scratch / "repository"
    repository.mkdir()
    base.write_history(repository / ".git", ())
    command = git_in(repository, quiet({"safe.directory": "*"}))
    try:
        command.bundle("create", "-q", str(target.resolve()), "HEAD", "refs/heads/main")
        return str(command.rev_parse("--verify", "refs/heads/main"))
    except git.GitCommandError as error:
        raise BaseTreeError(str(error.stderr).strip() or "git bundle failed") from error
