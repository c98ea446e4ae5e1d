"""How this machine reaches package indexes: what a build must know of it, and nothing else of the user's settings."""

from __future__ import annotations

import configparser
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from configs import proxies
from tasks.sandbox.models import Mount

_REACH = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
)  # fmt: skip
# What leads to packages, and nothing that chooses among them (dates, resolution, constraints, binaries) or says how
# they are installed. No keys in files (netrc, client certificates, stored credentials): a build could send them away.
_UV = re.compile(
    r"UV_((DEFAULT_)?INDEX(_URL|_STRATEGY|_\w+_(USERNAME|PASSWORD))?|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|INSECURE_HOST|"
    r"NATIVE_TLS|SYSTEM_CERTS|HTTP_\w+|REQUEST_TIMEOUT|CONCURRENT_\w+|NO_CACHE|"
    r"PYTHON_DOWNLOADS(_JSON_URL)?|(PYTHON|PYPY)_INSTALL_MIRROR)"
)
_UV_FILE = (
    "index", "index-url", "extra-index-url", "find-links", "no-index", "index-strategy", "native-tls", "system-certs",
    "allow-insecure-host", "http-proxy", "https-proxy", "no-proxy", "python-downloads", "python-install-mirror",
    "pypy-install-mirror", "python-downloads-json-url",
)  # fmt: skip
_INDEX = ("name", "url", "default", "explicit", "format", "authenticate", "ignore-error-codes")
"""Of one `[[index]]`; an index may have a cut-off of its own, which is not ours."""
_PIP = (
    "index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "proxy", "timeout", "retries",
    "disable-pip-version-check", "no-cache-dir",
)  # fmt: skip
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){1,3}|\[::1\]|::1|0\.0\.0\.0)", re.IGNORECASE)
_NAMED = re.compile(r"^[\w.-]+=")
_SEEN_ANYWAY = ("/usr", "/etc/ssl", "/etc/pki", "/etc/ca-certificates")


@dataclass(frozen=True)
class Registry:
    """Settings for uv, pip and git that lead to the indexes."""

    variables: dict[str, str]
    uv_settings: str
    """A `uv.toml`; empty if the user has none that matters."""

    @property
    def files(self) -> list[Mount]:
        """Folders and files of this machine that the settings name (a folder of wheels, certificates), as they are."""
        found = {path for value in self._values() for path in paths_in(value)}
        # the files of a mirror lie beside its pages
        found |= {path.parent / name for path in found if path.name == "simple" for name in ("packages", "files")}
        shown = [path for path in found if path.exists() and not any(path.is_relative_to(up) for up in _SEEN_ANYWAY)]
        return [Mount(source=path, target=str(path)) for path in sorted(shown)]

    @property
    def on_this_machine(self) -> bool:
        """Whether a proxy or an index listens on this machine's own loopback."""
        hosts = [
            part for value in self._values() for part in re.findall(r"://(?:[^/@\s]*@)?(\[[^\]]*\]|[^/:\s]+)", value)
        ]
        return any(_LOOPBACK.fullmatch(host) for host in hosts)

    def _values(self) -> Iterator[str]:
        yield from self.variables.values()
        yield from re.findall(r'"((?:[^"\\]|\\.)*)"', self.uv_settings)


def registry(
    environ: Mapping[str, str] = os.environ, home: Path | None = None, system: Path = Path("/etc")
) -> Registry:
    """What this process's variables, pip's settings and uv's say. Keys are passed on only as parts of index URLs."""
    home = home or Path(environ.get("HOME") or Path.home())
    reach = [*_REACH, *[name.lower() for name in _REACH]]
    found = {name: value for name in reach if (value := environ.get(name) or proxies.kept.get(name))}
    found |= {name: value for name, value in environ.items() if _UV.fullmatch(name)}
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    shared = [Path(path) for path in (environ.get("XDG_CONFIG_DIRS") or f"{system}/xdg").split(os.pathsep) if path]
    pip = _pip_files(
        [*[folder / "pip/pip.conf" for folder in reversed(shared)], system / "pip.conf", home / ".pip/pip.conf",
         config / "pip/pip.conf"], environ,
    )  # fmt: skip
    for name in _PIP:
        variable = f"PIP_{name.upper().replace('-', '_')}"
        value = environ.get(variable) or environ.get(f"PIP_DEFAULT_{name.upper()}") or pip.get(name)
        if value:
            found[variable] = value
    given = environ.get("UV_CONFIG_FILE")
    files = [Path(given)] if given else [_first(shared, "uv/uv.toml") or system / "uv/uv.toml", config / "uv/uv.toml"]
    return Registry(found, "" if _is_on(environ.get("UV_NO_CONFIG", "")) else _uv_settings(files))


def _is_on(value: str) -> bool:
    """Whether uv takes a variable for yes."""
    return value.strip().lower() in ("1", "true", "t", "yes", "y", "on")


def _first(folders: list[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).exists()), None)


def _pip_files(paths: list[Path], environ: Mapping[str, str]) -> dict[str, str]:
    named = environ.get("PIP_CONFIG_FILE")
    if named:
        paths = [] if named == os.devnull else [*paths, Path(named)]
    parser = configparser.RawConfigParser()
    for path in paths:
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue  # pip itself says what is wrong with it
    return {
        name: " ".join(value.split())
        for section in ("global", "install")
        if parser.has_section(section)
        for name, value in parser.items(section)
    }


def _uv_settings(paths: list[Path]) -> str:
    found: dict[str, Any] = {}
    for path in paths:
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            continue
        pip = settings.get("pip")  # counts more, and where it alone names an index, a build needs it as well
        for table in (settings, pip if isinstance(pip, dict) else {}):
            found |= {name: _plain(name, value) for name, value in table.items() if name in _UV_FILE}
    return "".join(f"{name} = {_toml(value)}\n" for name, value in found.items())


def _plain(name: str, value: Any) -> Any:
    """A setting, without what an index says beside where it is."""
    if name != "index" or not isinstance(value, list):
        return value
    indexes = [index for index in value if isinstance(index, dict)]
    return [{key: said for key, said in index.items() if key in _INDEX} for index in indexes]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def paths_in(value: str) -> Iterator[Path]:
    """Absolute paths in a setting, also as file URLs; not the root and not this user's home, which hold all else."""
    for part in re.split(r"[\s,]+", value):
        word = _NAMED.sub("", part)
        place = unquote(urlsplit(word).path) if word.startswith("file://") else word
        path = Path(os.path.normpath(place)) if place.startswith("/") else None
        if path is not None and path not in (Path("/"), Path.home()) and not Path.home().is_relative_to(path):
            yield path
