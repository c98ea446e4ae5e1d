"""Which of the user's settings a build gets: how packages are reached, and none that change what is built.

Settings come as variables and in files (uv.toml, pip.conf). No file is handed on: what of them says how packages are
reached becomes variables, which a sandbox and a container get as well.
"""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_NETWORK = re.compile(
    r"(HTTP|HTTPS|NO|ALL)_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|SSL_CLIENT_CERT|GIT_SSL_CAINFO|NETRC", re.I
)
_UV = re.compile(
    r"UV_((DEFAULT_)?INDEX(_URL|_STRATEGY|_\w+_(USERNAME|PASSWORD))?|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|"
    r"KEYRING_PROVIDER|CREDENTIALS_DIR|NATIVE_TLS|SYSTEM_CERTS|INSECURE_HOST|"
    r"HTTP_TIMEOUT|HTTP_CONNECT_TIMEOUT|HTTP_RETRIES|REQUEST_TIMEOUT|CONCURRENT_\w+|CACHE_DIR|NO_CACHE|"
    r"PYTHON_DOWNLOADS|PYTHON_INSTALL_DIR|(PYTHON|PYPY)_INSTALL_MIRROR|PYTHON_DOWNLOADS_JSON_URL)"
)
_PIP = re.compile(
    r"PIP_(INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|CERT|CLIENT_CERT|TRUSTED_HOST|PROXY|KEYRING_PROVIDER|"
    r"(DEFAULT_)?TIMEOUT|RETRIES|CACHE_DIR|NO_CACHE_DIR|DISABLE_PIP_VERSION_CHECK)"
)
_TOOLS = re.compile(
    r"(UV|PIP|PYTHON|VIRTUAL_ENV|CONDA|PYENV_VERSION|GIT|SETUPTOOLS|DISTUTILS|HATCH|POETRY|PDM|FLIT|MATURIN|"
    r"SKBUILD|MESON|CIBUILDWHEEL|TOX|NOX|PREFECT|ISOBENCH)(_.*)?|PYTHON\w+|__PYVENV_LAUNCHER__|BASH_ENV|ENV"
)
"""Of tools that take part in a build: they would decide what it makes."""
_SECRET = re.compile(r".*(KEY|TOKEN|SECRET|PASSW|CREDENTIAL).*|AWS_.*", re.IGNORECASE)
# uv's own names of the settings in uv.toml that say how packages are reached.
_UV_FILE = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_EXTRA_INDEX_URL",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "index-strategy": "UV_INDEX_STRATEGY",
    "keyring-provider": "UV_KEYRING_PROVIDER",
    "native-tls": "UV_NATIVE_TLS",
    "system-certs": "UV_SYSTEM_CERTS",
    "allow-insecure-host": "UV_INSECURE_HOST",
    "cache-dir": "UV_CACHE_DIR",
    "python-downloads": "UV_PYTHON_DOWNLOADS",
    "python-install-mirror": "UV_PYTHON_INSTALL_MIRROR",
    "pypy-install-mirror": "UV_PYPY_INSTALL_MIRROR",
    "http-proxy": "HTTP_PROXY",
    "https-proxy": "HTTPS_PROXY",
}
_COMMAS = ("find-links",)
_NO_FILES = {"UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull}


def inherited(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables of a step on this machine: this process's, without keys and without what changes a build."""
    given = os.environ if environ is None else environ
    others = {name: value for name, value in given.items() if not (_TOOLS.fullmatch(name) or _SECRET.fullmatch(name))}
    return {**others, **reaching_packages(given)}


def reaching_packages(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables that say how packages are reached: of this process, else of the user's uv.toml and pip.conf.

    With them no tool reads such a file itself.
    """
    given = os.environ if environ is None else environ
    said = {
        name: value
        for name, value in given.items()
        if _NETWORK.fullmatch(name) or _UV.fullmatch(name) or _PIP.fullmatch(name)
    }
    found = _of_uv_files(given) | said
    if "UV_DEFAULT_INDEX" not in said and "UV_INDEX_URL" in said:
        found.pop("UV_DEFAULT_INDEX", None)  # a variable counts more than a file, under either name
    return {**_of_pip_files(given), **found, **_NO_FILES}


def _of_uv_files(environ: Mapping[str, str]) -> dict[str, str]:
    if environ.get("UV_NO_CONFIG", "").lower() in ("1", "true", "yes", "on"):
        return {}
    if named := environ.get("UV_CONFIG_FILE"):
        return _of_uv_file(Path(named))
    system = _places(environ.get("XDG_CONFIG_DIRS") or "/etc/xdg", "uv/uv.toml") or [Path("/etc/uv/uv.toml")]
    return {**_of_uv_file(system[0]), **_of_uv_file(_config_home(environ) / "uv/uv.toml")}


def _of_uv_file(path: Path) -> dict[str, str]:
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    pip = settings.get("pip")
    settings = {**settings, **(pip if isinstance(pip, dict) else {})}
    found = {}
    for key, name in _UV_FILE.items():
        if (value := settings.get(key)) is not None:
            found[name] = _text(value, "," if key in _COMMAS else " ")
    proxied = settings.get("no-proxy")
    if proxied is not None:
        found["NO_PROXY"] = _text(proxied, ",")
    indexes = settings.get("index", [])
    named = [index for index in indexes if isinstance(index, dict) and isinstance(index.get("url"), str)]
    for index in named:
        if index.get("default"):
            found["UV_DEFAULT_INDEX"] = _index(index)
    # An explicit index serves only what a project assigns to it.
    others = [_index(index) for index in named if not index.get("default") and not index.get("explicit")]
    if others:
        found["UV_INDEX"] = " ".join(others)
    return found


def _index(index: Mapping[str, Any]) -> str:
    return f"{index['name']}={index['url']}" if index.get("name") else str(index["url"])


def _text(value: object, separator: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return separator.join(map(str, value)) if isinstance(value, list) else str(value)


def _of_pip_files(environ: Mapping[str, str]) -> dict[str, str]:
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return {}
    system = _places(environ.get("XDG_CONFIG_DIRS") or "/etc/xdg", "pip/pip.conf")
    home = Path(environ.get("HOME") or Path.home())
    places = [*system, Path("/etc/pip.conf"), home / ".pip/pip.conf", _config_home(environ) / "pip/pip.conf"]
    found: dict[str, str] = {}
    for path in [*places, *([Path(named)] if named else [])]:
        found |= _of_pip_file(path)
    return found


def _of_pip_file(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        return {}
    found = {}
    for section in ("global", "install"):
        for key, value in parser.items(section) if parser.has_section(section) else []:
            name = f"PIP_{key.upper().replace('-', '_')}"
            if _PIP.fullmatch(name):
                found[name] = " ".join(value.split())
    return found


def _config_home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or Path.home()) / ".config")


def _places(folders: str, name: str) -> list[Path]:
    found: Iterable[Path] = (Path(folder, name) for folder in folders.split(os.pathsep) if folder)
    return [path for path in found if path.is_file()]
