"""What a dataset asks this machine to do that no sandbox holds: the user is told, and must agree, before it runs.

Builds and commands run in a sandbox, so a stranger's rows need no trust where there is one. They do where there is
none, and where they reach for something of the user's: a folder, an SSH key, a container image.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote_to_bytes

import git

from configs.demo.build import DEMO_URL
from configs.errors import UserError
from configs.models import EnvironmentConfig, SandboxConfig
from storage.store import Store
from storage.tables import Instance
from tasks.code.clones import clone_path
from tasks.environments.builds.building import not_isolated
from tasks.environments.builds.identity import installs_nothing
from tasks.git_environment import open_repo
from tasks.sandbox import foreign

_HIDING = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_UNHELD = "without bubblewrap, as you, for"
_NO_HISTORY = ("hooks", "logs", "lfs", "modules")
"""Of a repository's own folder what no clone gets."""
_ORDINARY_IMAGE = re.compile(r"(docker\.io/)?(library/)?python:[\w.{}-]+")


class NotTrusted(UserError):
    """The user was not asked, or did not agree: the message lists what would have run."""


def environment_of(row: Instance) -> EnvironmentConfig:
    """How a row says that its environment is made."""
    if row.environment:
        return EnvironmentConfig.model_validate_json(row.environment)
    return EnvironmentConfig(setup_commands=row.setup_commands, install_commands=row.install_commands)


def needs_trust(instances: Sequence[Instance], dataset: str | Path, sandbox: SandboxConfig, store: Store) -> list[str]:
    """What would happen that no sandbox holds, a line each; empty if nothing would."""
    isolated = not not_isolated(sandbox)
    lines: dict[str, None] = {}
    run: dict[str, None] = {}
    for row in instances:
        if not isolated:
            run[f"{_UNHELD} {row.repo_url}: its perf tests, and the code that they call"] = None
        environment = environment_of(row)
        builds = not installs_nothing(environment)
        if builds and not isolated:
            for line in build_lines(row.repo_url, environment):
                lines[line] = None
        if builds and (folder := _folder(row.repo_url)) is not None and not _is_near(folder, dataset, row, store):
            lines[f"{folder}, a folder of this machine, is shown to a build that has the network"] = None
        if _asks_for_keys(row.repo_url):
            lines[f"your SSH keys are offered to {row.repo_url}"] = None
        if builds and sandbox.uses_images and not _is_ordinary_image(environment.image):
            lines[f"{environment.image}, an image of this machine, is shown to a build that has the network"] = None
    return [*lines, *run]


def must_be_trusted(source: str | Path, lines: Sequence[str]) -> NotTrusted:
    """The error that tells a user what would have run."""
    how = "`--trust`, in a configuration `sandbox.trust: true`, from Python `SandboxConfig(trust=True)`"
    return NotTrusted(f"{told(source, lines)}\nIf you trust it, say so: {how}")


def told(source: str | Path, lines: Sequence[str]) -> str:
    """What would run, for people: all of it, and no character of it hides another."""
    listed = "\n".join(f"  - {_HIDING.sub(lambda found: repr(found[0])[1:-1], line)}" for line in lines)
    return f"{source} asks for what no sandbox holds here. Nothing of it has run:\n{listed}"


def build_lines(url: str, environment: EnvironmentConfig) -> list[str]:
    """What building an environment runs with the user's rights where nothing isolates it."""
    if installs_nothing(environment):
        return []
    place = f"{_UNHELD} {url}"
    found = [f"{place}: {command}" for command in [*environment.setup_commands, *environment.install_commands]]
    if environment.install_project and not environment.install_commands:
        found.append(f"{place}: the project builds and installs itself")
    if environment.packages:
        found.append(f"{place}: uv pip install {' '.join(environment.packages)}")
    return found


def _folder(url: str) -> Path | None:
    """The folder of this machine that a repository's place names, if it does, as git reads it."""
    if url.lower().startswith("file://"):
        # what stands before the first slash is a host, whatever it says, and not a part of the path
        decoded = os.fsdecode(unquote_to_bytes(url[len("file://") :]))
        return Path("/" + decoded.partition("/")[2])
    if "://" in url or url == DEMO_URL or (":" in url and not Path(url).exists()):
        return None
    return Path(url).expanduser()


def _is_near(folder: Path, dataset: str | Path, row: Instance, store: Store) -> bool:
    """Whether it came with the dataset, or lies where the user works, or was cloned here by the user before."""
    try:
        real = folder.resolve()
        if _leads_away(real):
            return False
        homes = [Path.cwd(), *([Path(dataset).resolve().parent] if "://" not in str(dataset) else [])]
        # all that a user has lies in their home: being there says nothing of one folder
        if any(real.is_relative_to(home) for home in homes if not _account_home().is_relative_to(home)):
            return True
        with open_repo(store.work / clone_path(row.repo)) as clone:
            return Path(_folder(clone.remote("origin").url) or "/").resolve() == real
    except (git.GitError, OSError, ValueError):
        return False


def _account_home() -> Path:
    """The home folder of the account, whatever HOME says: jobs set that to a folder that they made for themselves."""
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return Path.home()


def _leads_away(folder: Path) -> bool:
    """Whether its history is kept elsewhere, so that a folder of the dataset is only a name for another one.

    Looked at is each place in which git would look for the history, and in it all names: any link may lead to another
    repository's objects or branches.
    """
    beside = folder.with_name(f"{folder.name}.git") if folder.name else folder
    for place in filter(os.path.lexists, (folder / ".git", folder, beside / ".git", beside)):
        if place.is_symlink() or not place.is_dir():
            return True
        if place.name != ".git" and not os.path.lexists(place / "HEAD"):
            continue  # the files beside a history
        elsewhere = (place / "commondir", place / "objects" / "info" / "alternates")
        entries = foreign.walk(place, enter=lambda name: name not in _NO_HISTORY)
        if any(map(os.path.lexists, elsewhere)) or any(
            entry.kind in ("link", "other") and entry.name not in _NO_HISTORY for entry in entries
        ):
            return True
    return False


def _asks_for_keys(url: str) -> bool:
    """Whether it is reached by SSH: as a URL, or as `host:path`."""
    return url.lower().startswith("ssh://") or ("://" not in url and url != DEMO_URL and _folder(url) is None)


def _is_ordinary_image(image: str) -> bool:
    return bool(os.environ.get("ISOBENCH_IMAGE")) or _ORDINARY_IMAGE.fullmatch(image) is not None
