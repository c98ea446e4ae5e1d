"""What the user's machine says about git changes no result; how remotes are reached is still the user's to say."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from configs.models import MiningConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Commit
from tasks.environments.patches.patching import apply_patch
from tasks.environments.trees import clone_at, read_files, write_tree
from tasks.mining.git.clone import sync_repository
from tasks.mining.mine import mine_repository
from tests.tasks.mining.conftest import FAST, NAME, SLOW, GitRepository

SETTINGS = """
[alias]
	log = !false
[apply]
	whitespace = error-all
	ignoreWhitespace = change
[clone]
	defaultRemoteName = upstream
	rejectShallow = true
[color]
	ui = always
	remote = always
[core]
	abbrev = 4
	autocrlf = true
	eol = crlf
	fsmonitor = /bin/false
	hooksPath = {home}/hooks
	pager = /bin/false
	quotePath = false
	attributesFile = {home}/attributes
	excludesFile = {home}/ignored
[diff]
	algorithm = patience
	context = 0
	external = /bin/false
	mnemonicPrefix = true
	noprefix = true
	renames = false
	submodule = log
	wsErrorHighlight = all
[fetch]
	fsckObjects = true
	output = compact
	prune = true
[format]
	pretty = oneline
[i18n]
	logOutputEncoding = latin1
[init]
	defaultObjectFormat = sha256
	templateDir = {home}/template
[log]
	date = relative
	decorate = full
	follow = true
	showSignature = true
[transfer]
	fsckObjects = true
"""
HOOK = "#!/bin/sh\nexit 1\n"


def live_on_another_machine(home: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> None:
    """A home full of settings, and what a git hook of another repository finds in its environment."""
    other = GitRepository(home / "other")
    other.commit("Nothing to do with it", {"sums.py": "x = 1\n"})
    (home / ".gitconfig").write_text(SETTINGS.format(home=home) + more)
    for folder in ("hooks", "template/hooks"):
        (home / folder).mkdir(parents=True)
        for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
            (home / folder / name).write_text(HOOK)
            (home / folder / name).chmod(0o755)
    (home / ".config/git").mkdir(parents=True)
    for name in (".config/git/attributes", "attributes"):
        (home / name).write_text("*.py -diff ident\n*.txt eol=crlf\n")
    for name in (".config/git/ignore", "ignored"):
        (home / name).write_text("*\n")
    git_folder = home / "other/.git"
    variables = {
        "HOME": home, "XDG_CONFIG_HOME": home / ".config", "LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8",
        "GIT_DIR": git_folder, "GIT_COMMON_DIR": git_folder, "GIT_WORK_TREE": home / "other", "GIT_PREFIX": "sub/",
        "GIT_INDEX_FILE": git_folder / "index", "GIT_OBJECT_DIRECTORY": git_folder / "objects",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nowhere", "GIT_NAMESPACE": "other", "GIT_SHALLOW_FILE": "/nowhere",
        "GIT_EXTERNAL_DIFF": "/bin/false", "GIT_DIFF_OPTS": "--unified=0", "GIT_PAGER": "/bin/false",
        "GIT_TRACE": "1", "GIT_TRACE_PACKET": "1", "GIT_LITERAL_PATHSPECS": "1", "GIT_CONFIG": "/dev/null",
        "GIT_CONFIG_PARAMETERS": "'diff.noprefix=true' 'core.bare=false'", "GIT_TEMPLATE_DIR": home / "template",
        "GIT_DEFAULT_HASH": "sha256", "GIT_ATTR_SOURCE": "HEAD", "GIT_REPLACE_REF_BASE": "refs/heads/",
        "GIT_CEILING_DIRECTORIES": "/", "GIT_QUARANTINE_PATH": "/nowhere", "GIT_REFLOG_ACTION": "commit",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)


@pytest.fixture
def origin(tmp_path: Path) -> tuple[GitRepository, list[str]]:
    """A history that shows settings: a rename, names beyond ASCII, line ends, a message in another encoding."""
    made = GitRepository(tmp_path / "origin")
    made.commit("Start", {"sums.py": SLOW, "naïve file.txt": "a\nb\n", "dos.txt": b"a\r\nb\r\n", "old.py": SLOW * 3})
    made.commit("perf: faster sums", {"sums.py": FAST + "\n", "old.py": None, "new.py": SLOW * 3, "dos.txt": b"b\r\n"})
    message = made.path / ".git" / "message"
    message.write_bytes("perf: schneller für alle".encode("latin-1"))
    made.write({"sums.py": SLOW.replace("result + x", "x + result"), "naïve file.txt": "b\n"})
    made.git("add", "-A")
    made.git("-c", "i18n.commitEncoding=latin1", "commit", "-q", "-F", str(message))
    return made, [made.head(), made.git("rev-parse", "HEAD~1")]


def all_that_git_says(url: str, shas: list[str], folder: Path) -> dict[str, Any]:
    """Rows of mining, and the files of checkouts and of a patched tree."""
    store = Store(folder / "store")
    repository = RepositoryConfig(name=NAME, url=url)
    clone = sync_repository(repository, store)
    mine_repository(repository, MiningConfig(), clone.head_sha, store)
    rows = {row.sha: row for row in store.rows(Commit, NAME)}
    path = store.work / clone.path
    write_tree(path, shas[1], folder / "tree")
    apply_patch(folder / "tree", rows[shas[0]].patch)
    clone_at(path, shas[0], folder / "cloned")
    sync_repository(repository, store)  # brought up to date
    trees = {
        str(file.relative_to(folder)): file.read_bytes()
        for name in ("tree", "cloned")
        for file in sorted((folder / name).rglob("*"))
        if file.is_file() and ".git" not in file.parts
    }
    read = read_files(path, shas[0], re.compile(r".*\.txt"))
    hooks = sorted(path.glob("hooks/*"))
    return {
        "hooks": hooks,
        "rows": [rows[sha].model_dump(exclude={"written_at"}) for sha in shas],
        "trees": trees,
        "read": read,
    }


@pytest.mark.parametrize("url", ["{path}", "file://{path}"], ids=["folder", "remote"])
def test_nothing_of_the_users_git_shows_in_results(
    url: str, origin: tuple[GitRepository, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, shas = origin
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    expected = all_that_git_says(url.format(path=repository.path), shas, tmp_path / "here")
    live_on_another_machine(tmp_path / "home", monkeypatch)
    found = all_that_git_says(url.format(path=repository.path), shas, tmp_path / "there")
    assert found == expected
    assert [row["subject"] for row in found["rows"]] == ["perf: schneller für alle", "perf: faster sums"]
    assert "rename from old.py" in found["rows"][1]["patch"]
    assert found["hooks"] == []


def test_how_a_remote_is_reached_is_the_users_to_say(
    origin: tuple[GitRepository, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, shas = origin
    more = f'[url "file://{repository.path}"]\n\tinsteadOf = https://by-file.invalid/sums\n'
    live_on_another_machine(tmp_path / "home", monkeypatch, more)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")  # as CI services do
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{repository.path}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://by-variable.invalid/sums")
    for name in ("by-file", "by-variable"):
        url = f"https://{name}.invalid/sums"
        clone = sync_repository(RepositoryConfig(name=NAME, url=url), Store(tmp_path / name))
        assert clone.head_sha == shas[0]
    assert "GIT_DIR" not in os.environ
