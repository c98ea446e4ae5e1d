"""The environment of every git that we start, and of GitPython: what the user's machine says changes no result.

Local work is deaf to the user: no configuration but the repository's own and ours, no attributes, no hooks, no
templates. Where a remote is reached, the user's configuration is heard, for proxies, certificates, credentials,
`insteadOf` and safe directories; what else it could change is set back. In both cases the variables are gone by which
git points its children at a repository: isobench may be run by a git hook, which finds GIT_DIR, GIT_INDEX_FILE, etc.
"""

from __future__ import annotations

import os
from pathlib import Path

import git

from configs import proxies

_KEPT = (
    # how a remote is reached
    "GIT_SSH", "GIT_SSL_", "GIT_PROXY_", "GIT_HTTP_", "GIT_CURL_", "GIT_ASKPASS", "GIT_ALLOW_PROTOCOL",
    "GIT_PROTOCOL_FROM_USER", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT",
    "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_",
    # where git is, and what has no say in what we ask of it
    "GIT_EXEC_PATH", "GIT_PYTHON_", "GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR",
)  # fmt: skip
"""Beginnings of the variables of git that may stay; all others point it elsewhere, or change what it prints."""
_ALWAYS = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_TEMPLATE_DIR": "",
    "GIT_DEFAULT_HASH": "sha1",
    "GIT_DEFAULT_REF_FORMAT": "files",
    "LANGUAGE": "C",
    "LC_ALL": "C",
}
_DEAF = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
_QUIET = {
    # git finds these two in the user's home even where it reads no configuration there
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.autocrlf": "false",
}
_SET_BACK = {
    **_QUIET,
    "clone.defaultRemoteName": "origin",
    "clone.rejectShallow": "false",
    "color.ui": "false",
    "color.remote": "false",
    # old histories hold commits and trees that git would not make today
    "fetch.fsckObjects": "false",
    "transfer.fsckObjects": "false",
    "fetch.prune": "false",
    "fetch.pruneTags": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "100",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "transfer.unpackLimit": "100",
}
"""What a user may have set for the repositories that they work in, and ours are not."""


def quiet(settings: dict[str, str] | None = None) -> dict[str, str]:
    """Variables, on top of this process's own, for a git that works locally; `settings` are further `name: value`."""
    forget()
    return {**_ALWAYS, **_DEAF, **_settings({**_QUIET, **(settings or {})})}


def reaching(settings: dict[str, str] | None = None) -> dict[str, str]:
    """Variables, on top of this process's own, for a git that talks to a repository that is not ours."""
    forget()
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    reach = _settings({**_SET_BACK, **(settings or {})}, int(count) if count.isdecimal() else 0)
    return {**proxies.kept, **_ALWAYS, **reach}


class _Git(git.Git):
    """GitPython's own takes `$HOME` in a folder's name for a variable, and works where the user stands if there is no
    such folder."""

    def __init__(self, working_dir: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self._working_dir = None if working_dir is None else os.fspath(working_dir)


class _Repo(git.Repo):
    GitCommandWrapperType = _Git


def open_repo(path: Path | str, settings: dict[str, str] | None = None) -> git.Repo:
    """GitPython's view of a repository, for local work. Raises git.InvalidGitRepositoryError, git.NoSuchPathError."""
    variables = quiet(settings)
    repo = _Repo(path, expand_vars=False)
    repo.git.update_environment(**variables)
    return repo


def git_in(folder: Path, variables: dict[str, str] | None = None) -> git.Git:
    """GitPython's git in a folder, by default `quiet`. A repository that the folder happens to lie in, with settings
    and remotes of its own, is not looked for."""
    command = _Git(folder)
    above = str(Path(folder).resolve().parent)
    command.update_environment(**{**(variables or quiet()), "GIT_CEILING_DIRECTORIES": above})
    return command


def local_setting(repo: git.Repo, name: str) -> str | None:
    """A setting of the repository's own, or None. GitPython's reader would read the user's files, too."""
    try:
        return str(repo.git.config("--local", "--get", name))
    except git.GitCommandError:
        return None


def forget() -> None:
    """Take out of this process's environment what points git elsewhere: GitPython and children look there, too."""
    for name in [name for name in os.environ if name.startswith("GIT_") and not name.startswith(_KEPT)]:
        os.environ.pop(name, None)


def _settings(settings: dict[str, str], first: int = 0) -> dict[str, str]:
    """Variables that give git these settings, in every process and its children, after the `first` that are there."""
    variables = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for number, (name, value) in enumerate(settings.items(), first):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
