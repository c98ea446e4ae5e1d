"""A command called in a stranger's folder, on a machine behind a proxy, with servers' settings in its variables."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx
import pytest

from configs import proxies
from flows.surroundings import LOOPBACK, for_a_server, import_nothing_from_here, profiles, reach_loopback_directly
from tasks.git_environment import reaching
from tasks.registry import registry
from tests.flows.conftest import environment, run
from tests.tasks.mining.conftest import FAST, SLOW, GitRepository

RUINED = "raise RuntimeError('code of the working folder ran')\n"
LOGGING = """
version: 1
formatters: {f: {'()': os.mkdir, path: %s}}
handlers: {h: {class: logging.StreamHandler, formatter: f}}
root: {handlers: [h]}
"""


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The variables of this process, to be changed at will."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "PREFECT_PROFILES_PATH", "PREFECT_HOME"):
        for spelling in (name, name.upper()):
            monkeypatch.setenv(spelling, "")  # so that what is set meanwhile goes, too
            monkeypatch.delenv(spelling)
    return monkeypatch


def test_a_command_in_a_strangers_folder_behind_a_proxy(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path / "sums")
    repository.commit("Start", {"sums.py": SLOW})
    repository.commit("perf: faster sums", {"sums.py": FAST})
    here = tmp_path / "here"
    here.mkdir()
    traps = {
        "httpx/__init__.py": RUINED, "prefect/__init__.py": RUINED, "uvicorn.py": RUINED, "platform.py": RUINED,
        "tasks/__init__.py": RUINED, "sitecustomize.py": RUINED, "typing_extensions.py": RUINED,
        ".env": "PREFECT_API_URL=http://127.0.0.1:9/api\nPREFECT_PROFILES_PATH=profiles.toml\n",
        "prefect.toml": "profiles_path = 'profiles.toml'\n[api]\nurl = 'http://127.0.0.1:9/api'\n"
        "[logging]\nsettings_path = 'logging.yml'\n",
        "pyproject.toml": "[tool.prefect.logging]\nsettings_path = 'logging.yml'\n",
        "profiles.toml": "active = 'x'\n[profiles.x]\nPREFECT_API_URL = 'http://127.0.0.1:9/api'\n",
        "logging.yml": LOGGING % (tmp_path / "escaped"),
    }  # fmt: skip
    for name, text in traps.items():
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(text)
    (here / "config.yaml").write_text(f"repository: {{name: me/sums, url: '{repository.path}'}}\nstore: ../store\n")
    through = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy"), "http://127.0.0.1:9")
    through |= {"all_proxy": "socks5h://127.0.0.1:9", "ALL_PROXY": "socks://127.0.0.1:9/"}
    theirs = {
        **{name: value for name, value in environment().items() if name.lower() != "no_proxy"}, **through,
        "UVICORN_PORT": "1", "UVICORN_RELOAD": "1", "WEB_CONCURRENCY": "3", "PREFECT_SERVER_API_AUTH_STRING": "a:b",
        "PYTHONWARNINGS": "error",
        "PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "GIT_DIR": "/nowhere", "HOME": str(tmp_path),
    }  # fmt: skip
    done = run("mine", "config.yaml", variables=theirs, cwd=here)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mining" in done.stdout
    assert not (tmp_path / "escaped").exists()


def test_a_proxy_is_not_for_this_machine(variables: pytest.MonkeyPatch) -> None:
    reach_loopback_directly()
    assert "no_proxy" not in os.environ
    variables.setenv("ALL_PROXY", "socks5://proxy.example.org")
    variables.setenv("NO_PROXY", "a.example.org, localhost")
    variables.setenv("no_proxy", "b.example.org")
    for _ in range(2):
        reach_loopback_directly()
        assert os.environ["no_proxy"] == os.environ["NO_PROXY"]
        assert set(os.environ["no_proxy"].split(",")) == {"a.example.org", "b.example.org", *LOOPBACK}


@pytest.mark.parametrize(
    ("proxy", "spoken"),
    [
        ("http://me:word@[::1]:3128/", True), ("proxy.example.org:8080", True), ("socks5://127.0.0.1:1080", True),
        ("SOCKS5H://127.0.0.1", True), ("socks://127.0.0.1:1080/", False), ("socks4a://127.0.0.1:1080", False),
        ("http://127.0.0.1:port", False),
    ],
)  # fmt: skip
def test_a_proxy_that_the_http_client_cannot_read_is_kept_for_git_and_builds(
    proxy: str, spoken: bool, variables: pytest.MonkeyPatch
) -> None:
    variables.setattr(proxies, "kept", {})
    variables.setenv("ALL_PROXY", proxy)
    if not spoken:
        with pytest.raises((ValueError, httpx.InvalidURL)):
            httpx.Client()
    reach_loopback_directly()
    httpx.Client().close()
    assert os.environ.get("ALL_PROXY") == (proxy if spoken else None)
    assert {**os.environ, **reaching()}["ALL_PROXY"] == registry().variables["ALL_PROXY"] == proxy


def test_an_error_is_seen_in_a_terminal_of_no_columns() -> None:
    done = run("nothing-of-the-kind", variables={**environment(), "COLUMNS": "0"})
    assert (done.returncode, "No such command" in done.stderr) == (2, True)


def test_the_working_folder_is_on_no_path(tmp_path: Path, variables: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    variables.chdir(tmp_path)
    variables.setattr(sys, "path", ["", str(tmp_path), ".", *sys.path])
    variables.setenv("PYTHONPATH", os.pathsep.join(["", ".", "lib", str(tmp_path), "lib/..", "/usr/share/x"]))
    import_nothing_from_here()
    assert not {"", ".", str(tmp_path)} & set(sys.path)
    assert os.environ["PYTHONPATH"] == os.pathsep.join([str(tmp_path / "lib"), "/usr/share/x"])


def test_a_server_of_ours_has_none_of_the_users_settings_for_theirs(variables: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_API_BASE_PATH", "UVICORN_FD", "X"):
        variables.setenv(name, "x")
    assert {name for name, value in for_a_server().items() if value == "x"} == {"X"}
    variables.setenv("PREFECT_HOME", "elsewhere")
    assert profiles() == os.path.abspath("elsewhere/profiles.toml")
    variables.setenv("PREFECT_PROFILES_PATH", "~/mine.toml")
    assert profiles() == os.path.expanduser("~/mine.toml")
