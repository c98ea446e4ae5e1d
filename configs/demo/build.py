"""Build the demo repository from `history/`: the same commits, down to their SHAs, on every machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from configs.errors import UserError

DEMO_URL = "demo:"
"""`repository.url` of the demo: whoever clones builds the repository with `build_demo_repository` instead."""
HISTORY = Path(__file__).parent / "history"
_MARKER = "isobench-demo"
_ZONE = " +0000"


class DemoError(UserError):
    """The demo repository cannot be built; the message says why."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Person(_Model):
    """An author or committer."""

    name: str
    email: str


class Merge(_Model):
    """A merge commit: what `git merge --no-ff` would ask for."""

    branch: str
    author: Person
    date: str
    """`YYYY-MM-DDTHH:MM:SS`, UTC."""
    message: str


class Step(_Model):
    """Patches applied to the main branch, or, with `merge`, to a branch that is then merged into it."""

    apply: list[str]
    merge: Merge | None = None


class Series(_Model):
    """`history/series.yaml`: the order of the patches, and the head that they must give."""

    repository: str
    head: str
    committer: Person
    steps: list[Step]


def load_series(history: Path = HISTORY) -> Series:
    """Read `series.yaml`."""
    return Series.model_validate(yaml.safe_load((history / "series.yaml").read_text(encoding="utf-8")))


def build_demo_repository(target: Path, history: Path = HISTORY, *, verify: bool = True) -> str:
    """Build the repository at `target`, with its files checked out on `main`, and return the SHA of its head.

    A finished build is reused; one of an older history is replaced. The repository appears at once and whole, so that
    two builders at the same time do no harm. With `verify`, a head other than the one that `series.yaml` pins is an
    error. Raises DemoError also if something else lies at `target`, or git fails.
    """
    series = load_series(history)
    if target.exists():
        if (found := _head(target)) == series.head:
            return found
        if not (target / ".git" / _MARKER).is_file():
            raise DemoError(f"{target} exists and is not a demo repository")
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=target.parent) as folder:
        repository = Path(folder) / "repository"
        head = _build(series, history, repository, home=Path(folder))
        if verify and head != series.head:
            raise DemoError(f"the demo's head is {head}, but history/series.yaml pins {series.head}")
        try:
            repository.rename(target)
        except OSError:
            if _head(target) != head:  # else somebody else was faster
                raise
    return head


def _build(series: Series, history: Path, repository: Path, home: Path) -> str:
    repository.mkdir()
    variables = _variables(series.committer, home)

    def git(*arguments: str, **extra: str) -> str:
        return _git(repository, variables | extra, *arguments)

    git("init", "--quiet", "--template=")
    git("symbolic-ref", "HEAD", "refs/heads/main")
    for step in series.steps:
        if step.merge is not None:
            git("checkout", "--quiet", "-b", step.merge.branch)
        patches = [str((history / name).resolve()) for name in step.apply]
        git("am", "--quiet", "--committer-date-is-author-date", *patches)
        if step.merge is not None:
            date, author = step.merge.date + _ZONE, step.merge.author
            git("checkout", "--quiet", "main")
            git(
                *("merge", "--quiet", "--no-ff", "-m", step.merge.message, step.merge.branch),
                GIT_AUTHOR_NAME=author.name,
                GIT_AUTHOR_EMAIL=author.email,
                GIT_AUTHOR_DATE=date,
                GIT_COMMITTER_DATE=date,
            )
            git("branch", "--quiet", "-D", step.merge.branch)
    (repository / ".git" / _MARKER).write_text(f"{series.head}\n", encoding="utf-8")
    return git("rev-parse", "HEAD").strip()


def _variables(committer: Person, home: Path) -> dict[str, str]:
    """The environment of git: nothing of the user's configuration, and everything that a SHA depends on."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "LC_", "LANG"))}
    return kept | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_DEFAULT_HASH": "sha1",
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_COMMITTER_NAME": committer.name,
        "GIT_COMMITTER_EMAIL": committer.email,
        "LC_ALL": "C",
        "TZ": "UTC",
    }


def _git(repository: Path, variables: dict[str, str], *arguments: str) -> str:
    options = ("-c", "core.autocrlf=false", "-c", "commit.gpgsign=false", "-c", "gc.auto=0", "-c", "core.hooksPath=")
    try:
        done = subprocess.run(
            ["git", *options, *arguments], cwd=repository, env=variables, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise DemoError(f"git cannot be started: {error}") from error
    if done.returncode:
        raise DemoError(f"git {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _head(repository: Path) -> str | None:
    """The SHA that `main` points to, read from the file: no git is started for a finished build."""
    try:
        return (repository / ".git" / "refs" / "heads" / "main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
