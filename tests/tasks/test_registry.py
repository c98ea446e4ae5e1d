"""Builds get what leads to the package indexes of this machine, and nothing else of the user's settings."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tasks.registry import paths_in, registry


def test_settings_that_lead_to_indexes_are_passed_on(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (tmp_path / ".config" / "pip").mkdir(parents=True)
    (tmp_path / ".config" / "uv").mkdir()
    (tmp_path / ".config/pip/pip.conf").write_text(
        f"[global]\nfind-links = {wheels}\nextra-index-url =\n  file://{tmp_path}/one\n  https://two.example/simple\n"
        "[install]\nuser = true\n[freeze]\ntimeout = 3\n"
    )
    (tmp_path / ".config/uv/uv.toml").write_text(
        'exclude-newer = "2020-01-01T00:00:00Z"\nnative-tls = true\n[[index]]\nname = "in"\nurl = "https://in.example"\n'
        '[pip]\nindex-url = "https://three.example"\ntarget = "/elsewhere"\n'
    )
    environ = {
        "https_proxy": "http://proxy.example:3128", "UV_INDEX_IN_PASSWORD": "of the index", "UV_PUBLISH_TOKEN": "no",
        "OPENAI_API_KEY": "no", "PIP_TARGET": "/elsewhere", "PIP_DEFAULT_TIMEOUT": "60", "UV_TOOL_DIR": "no",
        "PYTHONPATH": "no", "UV_EXCLUDE_NEWER": "2020-01-01",
    }  # fmt: skip
    found = registry(environ, tmp_path, tmp_path)
    assert found.variables == {
        "https_proxy": "http://proxy.example:3128", "UV_INDEX_IN_PASSWORD": "of the index",
        "PIP_FIND_LINKS": str(wheels), "PIP_TIMEOUT": "60",
        "PIP_EXTRA_INDEX_URL": f"file://{tmp_path}/one https://two.example/simple",
    }  # fmt: skip
    assert tomllib.loads(found.uv_settings) == {
        "native-tls": True,
        "index": [{"name": "in", "url": "https://in.example"}],
        "index-url": "https://three.example",
    }
    assert [mount.target for mount in found.files] == [str(wheels)]  # `one` does not exist
    assert all(mount.read_only for mount in found.files)
    assert not found.on_this_machine


def test_a_mirror_is_shown_with_the_files_that_its_pages_lead_to(tmp_path: Path) -> None:
    for name in ("mirror/simple", "mirror/packages", "mirror/private", "simple"):
        (tmp_path / name).mkdir(parents=True)
    found = registry({"UV_INDEX_URL": f"file://{tmp_path}/mirror/simple"}, tmp_path, tmp_path)
    assert [mount.target for mount in found.files] == [f"{tmp_path}/mirror/packages", f"{tmp_path}/mirror/simple"]


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:3128", True),
        ("http://localhost/simple", True),
        ("http://me:pass@[::1]:80/simple", True),
        ("https://localhost.example.org/simple", False),
        ("https://index.example/127.0.0.1", False),
    ],
)
def test_loopback_is_noticed(tmp_path: Path, url: str, here: bool) -> None:
    assert registry({"UV_DEFAULT_INDEX": url}, tmp_path).on_this_machine is here


def test_damaged_settings_are_left_to_their_programs(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("no section = here\n")
    (tmp_path / "uv.toml").write_text("not toml")
    environ = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "UV_CONFIG_FILE": str(tmp_path / "uv.toml")}
    assert registry(environ, tmp_path).uv_settings == ""


def test_no_setting_shows_all_of_the_machine() -> None:
    for value in ("/", "file:///", str(Path.home()), f"{Path.home()}/../", "relative/path", "https://x.example/a"):
        assert list(paths_in(value)) == []
    assert list(paths_in("dep @ file:///srv/a%20b.whl")) == [Path("/srv/a b.whl")]
    assert list(paths_in("/srv/one,inner=file:///srv/two inner=https://x.example/a")) == [
        Path("/srv/one"),
        Path("/srv/two"),
    ]
