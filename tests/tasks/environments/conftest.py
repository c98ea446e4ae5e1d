"""Small real repositories for the environments' tests; none needs a registry, unless it says so."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uv

from configs.models import EnvironmentConfig, RepositoryConfig, SandboxConfig
from tasks.code.clones import clone_path

IDENTITY = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": "2024-03-01T12:00:00Z",
    "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_COMMITTER_DATE": "2024-03-01T12:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
}  # fmt: skip


class History:
    """A clone in a work folder, as mining leaves it, and the commits made in it."""

    def __init__(self, root: Path) -> None:
        self.work = root / "work"
        self.source = root / "source"
        self.repository = RepositoryConfig(name="someone/tinylib", url=str(self.source))
        self.source.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        (self.work / "clones").mkdir(parents=True)
        (self.work / clone_path(self.repository.name)).symlink_to(self.source / ".git")

    def git(self, *arguments: str, **more: Any) -> str:
        environment = {**os.environ, **IDENTITY, **more.pop("env", {})}
        done = subprocess.run(
            ["git", *arguments], cwd=self.source, env=environment, capture_output=True, check=True, **more
        )
        return done.stdout.decode()  # not as text, which would lose CRs

    def commit(
        self, files: Mapping[str, str | bytes | None], message: str = "change", author: str = "", committer: str = ""
    ) -> str:
        """Write (None: remove) files, commit, return the sha. `author` and `committer` are dates, if given."""
        for name, content in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content)
        self.git("add", "-A")
        dates = {"GIT_AUTHOR_DATE": author, "GIT_COMMITTER_DATE": committer}
        given = {name: date for name, date in dates.items() if date}
        self.git("commit", "-q", "--allow-empty", "-m", message, env=given)
        return self.git("rev-parse", "HEAD").strip()

    def diff(self, old: str, new: str, *options: str) -> str:
        return self.git("diff", "--binary", *options, old, new)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


@pytest.fixture(params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def sandbox(request: pytest.FixtureRequest) -> SandboxConfig:
    """Both kinds."""
    if request.param == "docker":
        request.getfixturevalue("docker_image")
    return SandboxConfig(kind=request.param)


@pytest.fixture(scope="session")
def registry() -> None:
    """For tests that install from the package registry: skips them where none can be reached."""
    argv = [uv.find_uv_bin(), "pip", "compile", "-q", "--no-deps", "-"]
    if subprocess.run(argv, input=b"iniconfig==2.0.0", capture_output=True, check=False).returncode:
        pytest.skip("no package registry can be reached")


@pytest.fixture
def python_here() -> Callable[..., EnvironmentConfig]:
    """An environment configuration for the running Python."""

    def make(**more: Any) -> EnvironmentConfig:
        return EnvironmentConfig(**{"pin_to_date": False, **more})

    return make


@pytest.fixture
def forget_images() -> Any:
    """Remove images that a test built: hand their names to this."""
    names: list[str] = []
    yield names.append
    if names:
        from tasks.sandbox.docker.engine import connect

        client = connect()
        for name in dict.fromkeys(names):
            client.api.remove_image(name, force=True)
        client.close()
