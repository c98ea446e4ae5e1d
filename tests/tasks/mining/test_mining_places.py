"""A repository's place is a place: never a program, an option, or a way to what only the user may read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import git
import pytest
from pydantic import ValidationError

from configs.models import RepositoryConfig
from tasks.mining.git.mirror import make_mirror
from tasks.mining.git.process import GitFailed
from tasks.mining.git.transfer import credentials, environment


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch /tmp/ran'", "fd::7", "EXT::x", "transport::https://example.org", "--upload-pack=touch x",
        "-u", "ftp://example.org/a", "rsync://example.org/a", "https://example.org/a\n-x", "file\t", "", " ",
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="no place to clone from"):
        RepositoryConfig(name="a/b", url=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.git", "HTTP://example.org/a", "ssh://git@example.org/a", "git@example.org:a/b.git",
        "git://example.org/a", "file:///srv/a", "/srv/a space", "../a", "host:path", "demo:", "~/a",
    ],
)  # fmt: skip
def test_places_are_taken(url: str) -> None:
    assert RepositoryConfig(name="a/b", url=url).clone_url == url


def test_git_runs_no_program_that_a_url_names(tmp_path: Path) -> None:
    """Also one that comes by another way: settings, a redirect, a submodule."""
    argv = ["git", "-c", "protocol.ext.allow=always", "ls-remote", f"ext::touch {tmp_path}/ran"]
    for shown in (True, False):
        with credentials(shown):
            done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=False)
        assert "not allowed" in done.stderr
        assert not (tmp_path / "ran").exists()


def test_a_local_repository_names_no_program_to_fetch_from(tmp_path: Path) -> None:
    source = git.Repo.init(tmp_path / "source")
    source.index.commit("a")
    with source.config_writer() as config:
        config.set_value('remote "evil"', "url", f"ext::touch {tmp_path}/ran")
        config.set_value('remote "evil"', "promisor", "true")
    with pytest.raises(GitFailed, match="promisor"):
        make_mirror(str(tmp_path / "source"), tmp_path / "clone.git")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_strangers_repository_is_shown_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a dataset could have the user's private code cloned, and then built with the network."""
    helper = "!f() { echo username=me; echo password=hidden; }; f"
    for name in [name for name in os.environ if name.startswith("GIT_CONFIG")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GHAPI_TOKEN", "hidden")
    monkeypatch.setenv("SSH_AUTH_SOCK", "hidden")
    (tmp_path / ".netrc").write_text("machine github.com login me password hidden\n")
    (tmp_path / ".gitconfig").write_text(
        f'[credential]\nhelper = "{helper}"\n[credential "https://github.com"]\nhelper = "{helper}"\n'
        "[http]\nproxy = http://proxy.example\n"
    )

    def filled(shown: bool) -> str:
        with credentials(shown):
            variables = environment()
            return subprocess.run(
                ["git", "credential", "fill"], input="protocol=https\nhost=github.com\n\n", env=variables,
                capture_output=True, text=True, check=False,
            ).stdout + str([name for name, value in variables.items() if value == "hidden"])  # fmt: skip

    assert "password=hidden" in filled(True)
    assert "hidden" not in filled(False)
    assert filled(False).endswith("[]")
    with credentials(False):
        variables = environment()
        assert not Path(variables["HOME"], ".netrc").exists()
        argv = ["git", "config", "http.proxy"]  # what leads to the network stays
        assert subprocess.check_output(argv, env=variables, text=True).strip() == "http://proxy.example"
