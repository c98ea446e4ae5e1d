"""Real git repositories, built commit by commit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from configs.models import MiningConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Commit
from tasks.mining.git.clone import sync_repository
from tasks.mining.mine import mine_repository
from tasks.mining.models import Mined

SLOW = "def total(xs):\n    result = 0\n    for x in xs:\n        result = result + x\n    return result\n"
FAST = "def total(xs):\n    return sum(xs)\n"
NAME = "acme/sums"


class GitRepository:
    """A working copy that commits what it is told, at fixed dates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = 1_600_000_000
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, **variables: str) -> str:
        environment = {
            **os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_AUTHOR_DATE": f"{self.clock} +0000",
            "GIT_COMMITTER_DATE": f"{self.clock} +0000", "GIT_ALLOW_PROTOCOL": "file", **variables,
        }  # fmt: skip
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, files: dict[str, str | bytes | None]) -> None:
        """Write files; None removes one."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            elif isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_bytes(content.encode())

    def commit(self, message: str, files: dict[str, str | bytes | None] | None = None, **variables: str) -> str:
        """Commit the files (and whatever else lies there) and return the sha."""
        self.clock += 60
        self.write(files or {})
        self.git("add", "-A", ".")
        self.git("commit", "-q", "--allow-empty", "-m", message, **variables)
        return self.head()

    def merge(self, message: str, *branches: str) -> str:
        self.clock += 60
        self.git("merge", "-q", "--no-ff", "-m", message, *branches)
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")


class Mining:
    """A repository, its store and what mining made of it."""

    def __init__(self, repository: GitRepository, store: Path) -> None:
        self.repository = repository
        self.config = RepositoryConfig(name=NAME, url=str(repository.path))
        self.store = Store(store)

    def mine(self, **settings: object) -> Mined:
        clone = sync_repository(self.config, self.store)
        return mine_repository(
            self.config, MiningConfig.model_validate({"use_keywords": True, **settings}), clone.head_sha, self.store
        )

    def row(self, sha: str) -> Commit:
        (row,) = self.store.rows(Commit, NAME, sha=sha)
        return row

    def reasons(self) -> dict[str, str]:
        return {row.subject: row.reason for row in self.store.rows(Commit, NAME)}

    def apply_and_compare(self, sha: str, tmp_path: Path) -> None:
        """Both patches apply to base with `git apply`, and give the commit's tree."""
        row = self.row(sha)
        checkout = tmp_path / f"apply-{sha[:8]}"
        subprocess.run(["git", "clone", "-q", str(self.repository.path), str(checkout)], check=True)
        subprocess.run(["git", "checkout", "-q", str(row.parent_sha)], cwd=checkout, check=True)
        for patch in (row.patch, row.test_patch):
            if patch:
                subprocess.run(["git", "apply", "--index", "-"], input=patch.encode(), cwd=checkout, check=True)
        tree = subprocess.run(["git", "write-tree"], text=True, cwd=checkout, check=True, capture_output=True).stdout
        assert tree.strip() == self.repository.git("rev-parse", f"{sha}^{{tree}}")


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    made = GitRepository(tmp_path / "origin")
    made.commit("Start", {"sums.py": SLOW, "README.md": "Sums.\n"})
    return made


@pytest.fixture
def mining(repository: GitRepository, tmp_path: Path) -> Mining:
    return Mining(repository, tmp_path / "store")
