"""The user's own settings of uv and pip say how packages are reached, and nothing about what is built."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from configs.models import EnvironmentConfig, SandboxConfig
from tasks.environments.builds.building import build_environment
from tasks.environments.builds.runners import steps_variables
from tasks.environments.models import EnvironmentWanted
from tasks.registry import registry

REACHING = {
    "UV_INDEX_URL": "https://index.example/simple", "UV_INDEX": "more=https://more.example/simple",
    "UV_INDEX_MORE_PASSWORD": "x", "UV_INDEX_STRATEGY": "first-index", "UV_FIND_LINKS": "/wheels", "UV_NO_INDEX": "1",
    "UV_INSECURE_HOST": "index.example", "UV_NATIVE_TLS": "1", "UV_HTTP_TIMEOUT": "9",
    "UV_PYTHON_INSTALL_MIRROR": "https://mirror.example", "PIP_INDEX_URL": "https://index.example/simple",
    "PIP_CERT": "/ca.crt", "PIP_TRUSTED_HOST": "index.example", "https_proxy": "http://proxy.example:3128",
    "NO_PROXY": "localhost", "SSL_CERT_FILE": "/ca.crt",
}  # fmt: skip
CHANGING = {
    "UV_EXCLUDE_NEWER": "2001-01-01", "UV_RESOLUTION": "lowest", "UV_PRERELEASE": "allow", "UV_NO_BINARY": "1",
    "UV_NO_BUILD": "1", "UV_LINK_MODE": "symlink", "UV_COMPILE_BYTECODE": "1", "UV_SYSTEM_PYTHON": "1",
    "UV_REQUIRE_HASHES": "1", "UV_OFFLINE": "1", "UV_OVERRIDE": "/x", "UV_CONSTRAINT": "/x", "UV_PYTHON": "3.8",
    "UV_PYTHON_PREFERENCE": "system", "UV_NO_BUILD_ISOLATION": "1", "UV_PROJECT": "/x", "UV_WORKING_DIR": "/x",
    "UV_CONFIG_FILE": "/nowhere/uv.toml", "UV_TORCH_BACKEND": "cpu", "UV_FORK_STRATEGY": "fewest", "PIP_USER": "1",
    "PIP_TARGET": "/x", "PIP_NO_BINARY": ":all:", "PIP_CONSTRAINT": "/x", "PIP_PRE": "1", "PIP_REQUIRE_VIRTUALENV": "1",
    "PYTHONPATH": "/x", "PYTHONHOME": "/x", "PYTHONSTARTUP": "/x", "VIRTUAL_ENV": "/x", "CONDA_PREFIX": "/x",
    "SETUPTOOLS_SCM_PRETEND_VERSION": "9", "GIT_DIR": "/x", "HATCH_BUILD_HOOKS_ENABLE": "1", "BASH_ENV": "/x",
    "OPENAI_API_KEY": "x", "UV_CACHE_DIR": "/x",
}  # fmt: skip
KEYS = {
    "NETRC": "/home/me/.netrc", "SSL_CLIENT_CERT": "/home/me/key.pem", "PIP_CLIENT_CERT": "/home/me/key.pem",
    "UV_CREDENTIALS_DIR": "/home/me/keys", "UV_KEYRING_PROVIDER": "subprocess", "UV_PUBLISH_TOKEN": "x",
}  # fmt: skip
"""A build could read and send away what these lead to."""


def test_variables(tmp_path: Path) -> None:
    given = {**REACHING, **CHANGING, **KEYS, "HOME": str(tmp_path), "PATH": "/bin", "CUDA_HOME": "/cuda"}
    found = registry(given, system=tmp_path)
    assert found.variables == REACHING
    steps = steps_variables("/build", "/env", "/tools", "/cache", found)
    assert {name: value for name, value in steps.items() if given.get(name) == value} == REACHING
    assert (steps["HOME"], steps["UV_CACHE_DIR"], steps["UV_NO_CONFIG"]) == ("/build/home", "/cache", "1")


UV_TOML = """
resolution = "lowest"
exclude-newer = "2001-01-01T00:00:00Z"
cache-dir = "/cache"
native-tls = true
allow-insecure-host = ["one.example", "two.example"]
override-dependencies = ["iniconfig==1.0"]
[[index]]
name = "inner"
url = "https://inner.example/simple"
[[index]]
url = "https://all.example/simple"
default = true
exclude-newer = "2001-01-01"
[[index]]
name = "torch"
url = "https://torch.example"
explicit = true
[pip]
no-binary = ["iniconfig"]
find-links = ["/one", "/two"]
"""
PIP_CONF = """
[global]
index-url = https://pip.example/simple
user = true
timeout = 7
[install]
find-links =
  /one
  /two
pre = 1
"""


def test_files(tmp_path: Path) -> None:
    for name, text in (("uv/uv.toml", UV_TOML), ("pip/pip.conf", PIP_CONF)):
        (tmp_path / ".config" / name).parent.mkdir(parents=True)
        (tmp_path / ".config" / name).write_text(text)
    given = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "shared")}
    found = registry(given, system=tmp_path)
    assert found.variables == {
        "PIP_INDEX_URL": "https://pip.example/simple", "PIP_FIND_LINKS": "/one /two", "PIP_TIMEOUT": "7",
    }  # fmt: skip
    assert tomllib.loads(found.uv_settings) == {
        "native-tls": True, "allow-insecure-host": ["one.example", "two.example"], "find-links": ["/one", "/two"],
        "index": [
            {"name": "inner", "url": "https://inner.example/simple"},
            {"url": "https://all.example/simple", "default": True},
            {"name": "torch", "url": "https://torch.example", "explicit": True},
        ],
    }  # fmt: skip
    assert registry({**given, "PIP_INDEX_URL": "x"}, system=tmp_path).variables["PIP_INDEX_URL"] == "x"
    assert registry({**given, "PIP_CONFIG_FILE": "/dev/null"}, system=tmp_path).variables == {}


@pytest.mark.parametrize(("said", "read"), [("1", False), ("true", False), ("0", True), ("false", True), ("", True)])
def test_a_user_who_wants_no_files_has_none(tmp_path: Path, said: str, read: bool) -> None:
    (tmp_path / "own.toml").write_text("index-url = 'https://own.example'\n")
    given = {"UV_CONFIG_FILE": str(tmp_path / "own.toml"), "UV_NO_CONFIG": said}
    assert bool(registry(given, tmp_path, tmp_path).uv_settings) is read


def test_files_of_the_system_count_less(tmp_path: Path) -> None:
    shared, mine = tmp_path / "shared", tmp_path / ".config"
    for folder, host in ((shared, "shared"), (mine, "mine")):
        (folder / "pip").mkdir(parents=True)
        (folder / "uv").mkdir()
        (folder / "pip/pip.conf").write_text(f"[global]\nindex-url = https://{host}.example\n")
        (folder / "uv/uv.toml").write_text(f"index-url = 'https://{host}.example'\n")
    (shared / "pip/pip.conf").write_text("[global]\nindex-url = https://shared.example\ntrusted-host = a.example\n")
    (shared / "uv/uv.toml").write_text("index-url = 'https://shared.example'\nnative-tls = true\n")
    found = registry({"HOME": str(tmp_path), "XDG_CONFIG_DIRS": f"{tmp_path}/none:{shared}"}, system=tmp_path)
    assert found.variables == {"PIP_INDEX_URL": "https://mine.example", "PIP_TRUSTED_HOST": "a.example"}
    assert tomllib.loads(found.uv_settings) == {"index-url": "https://mine.example", "native-tls": True}


def test_no_setting_of_the_user_changes_an_environment(
    history: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: None
) -> None:
    """Neither variables, nor the user's file, nor files of the folders above the store."""
    base = history.commit({"tinylib/__init__.py": "import iniconfig\n"})
    config = EnvironmentConfig(install_project=False, packages=["iniconfig<2.1"])
    (tmp_path / "uv.toml").write_text("resolution = 'lowest'\n")
    (tmp_path / "pyproject.toml").write_text("[tool.uv]\noverride-dependencies = ['iniconfig==1.0.0']\n")
    (tmp_path / ".python-version").write_text("2.7\n")
    (tmp_path / "home/uv").mkdir(parents=True)
    (tmp_path / "home/uv/uv.toml").write_text("exclude-newer = '2021-01-01T00:00:00Z'\nno-binary = true\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    for name in ("UV_RESOLUTION", "UV_EXCLUDE_NEWER", "UV_SYSTEM_PYTHON", "UV_REQUIRE_HASHES", "UV_LINK_MODE"):
        monkeypatch.setenv(name, CHANGING[name])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "nowhere"))
    built = build_environment(
        EnvironmentWanted(history.repository, config, SandboxConfig(), base, base, None), history.work
    )
    assert built.environment is not None, built.reason
    assert built.environment.path is not None
    installed = (history.work / built.environment.path).glob("lib/python*/site-packages/iniconfig-*.dist-info")
    assert [path.name for path in installed] == ["iniconfig-2.0.0.dist-info"]
