"""A generated repository of one commit, in which APIs are looked for."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.models import RepositoryConfig
from storage.store import Store
from storage.tables import Api, Commit
from tasks.apis.find import find_apis

NAME = "acme/fast"


class World:
    """A clone with one commit, and its store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "store")

    def find(self, files: dict[str, str], *functions: str, patch: str = "") -> tuple[list[str], str]:
        """(APIs, reason) after a commit of the files that changed the functions."""
        origin = self.root / "origin"
        origin.mkdir(parents=True)
        for name, text in files.items():
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            (origin / name).write_text(text)
        identity = {f"GIT_{who}_{what}": "ada" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull}
        clone = self.store.work / "clones" / "acme__fast.git"
        for command in (
            ["git", "init", "-q", "-b", "main"], ["git", "add", "."], ["git", "commit", "-qm", "x"],
            ["git", "clone", "-q", "--bare", ".", str(clone)],
        ):  # fmt: skip
            subprocess.run(command, cwd=origin, env=environment, check=True)
        sha = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=origin, capture_output=True, text=True, check=True
        ).stdout
        row = Commit(
            repo=NAME, sha=sha.strip(), parent_sha=None, author_date=datetime(2024, 1, 1, tzinfo=UTC), subject="x",
            message="x", functions_changed=list(functions), patch=patch, kept=True, reason="kept",
        )  # fmt: skip
        self.store.append([row])
        found = find_apis(RepositoryConfig(name=NAME), row.sha, None, self.store)
        return found.apis, found.reason

    def row(self, api: str) -> Api:
        return next(row for row in self.store.rows(Api, NAME) if row.api == api)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
