"""What the files of a commit say about the Pythons that it runs on."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

SPEAKING = re.compile(
    r"\.travis\.ya?ml|\.github/workflows/[^/]+\.ya?ml|azure-pipelines\.ya?ml|\.?appveyor\.ya?ml|\.circleci/config\.ya?ml|"
    r"\.gitlab-ci\.ya?ml|tox\.ini|noxfile\.py|\.python-version|\.gitmodules|(.*/)?(environment[^/]*|meta)\.ya?ml"
)
"""Files that tell what a project is tested on, beside those that declare what it needs."""
_CLASSIFIER = re.compile(r"Programming Language :: Python :: 3\.(\d{1,2})\b")
_REQUIRES = re.compile(r"""python_requires\s*=\s*\(?\s*['"]([^'"]+)['"]""")
_TOX = re.compile(r"\bpy-?\{?((?:py)?[\d.]+(?:\s*,\s*(?:py)?[\d.]*)*)\}?")
_VERSION = re.compile(r"(?<![\d.])3\.(\d{1,2})(?:\.\d+)?(?![\d.])")
_COMPACT = re.compile(r"(?<!\d)3\.?(\d{1,2})(?!\d)")
_ITEM = re.compile(r"\s*-\s")
_SECTIONS = ("pyproject.toml", "setup.cfg", "setup.py")


@dataclass(frozen=True)
class Evidence:
    """What one file says."""

    source: str
    """The file, with what in it speaks."""
    accepted: SpecifierSet | None = None
    """The Pythons that an installer accepts."""
    minors: frozenset[int] = frozenset()
    """Versions 3.x that are named as supported or tested."""


def evidence_of(files: Mapping[str, bytes], folder: str = ".") -> list[Evidence]:
    """What a commit's files say, the strictest first. `folder` holds the project; others tell about CI only."""
    texts = {name: content.decode(errors="replace") for name, content in files.items()}
    inside = "" if folder == "." else f"{folder}/"
    found: list[Evidence] = []
    for name in _SECTIONS:
        text = texts.get(inside + name, "")
        for said in _required(name, text):
            found.append(Evidence(f"requires-python in {inside}{name}", accepted=said))
        if minors := _minors(_CLASSIFIER.findall(text)):
            found.append(Evidence(f"classifiers in {inside}{name}", minors=minors))
    for name, text in texts.items():
        if name in ("tox.ini", f"{inside}tox.ini", "noxfile.py"):
            minors = _tox(text) if name.endswith(".ini") else _minors(_VERSION.findall(text))
        elif name.endswith(".python-version"):
            minors = _minors(_VERSION.findall(text))
        elif name.endswith((".yml", ".yaml")) and SPEAKING.fullmatch(name):
            minors = _minors(_in_yaml(text))
        else:
            continue
        if minors:
            found.append(Evidence(name, minors=minors))
    return found


def _minors(found: Iterator[str] | list[str]) -> frozenset[int]:
    """Numbers after `3.`; what is no Python yet is another program's version."""
    return frozenset(number for number in map(int, found) if number <= 20)


def _required(name: str, text: str) -> Iterator[SpecifierSet]:
    said: list[Any] = []
    if name == "pyproject.toml":
        tables = parsed_toml(text)
        said.append(table(tables, "project").get("requires-python"))
        said.append(_poetry(table(tables, "tool", "poetry", "dependencies").get("python")))
    elif name == "setup.cfg":
        said.append(_cfg(text).get("options", "python_requires", fallback=None))
    else:
        said += _REQUIRES.findall(text)
    for word in said:
        try:
            if isinstance(word, str) and word.strip():
                yield SpecifierSet(word.strip())
        except InvalidSpecifier:
            continue


def _poetry(said: Any) -> Any:
    """`^3.7` as others write it."""
    if isinstance(said, str) and (caret := re.fullmatch(r"\^(\d+)((?:\.\d+)*)", said.strip())):
        return f">={caret[1]}{caret[2]},<{int(caret[1]) + 1}"
    return said


def _tox(text: str) -> frozenset[int]:
    config = _cfg(text)
    listed = config.get("tox", "envlist", fallback="") or config.get("tox", "env_list", fallback="")
    return _minors([number for group in _TOX.findall(listed) for number in _COMPACT.findall(group)])


def _in_yaml(text: str) -> Iterator[str]:
    """Versions on lines that speak of Python, and in the lists below them."""
    listing = False
    for line in text.splitlines():
        speaks = "python" in line.lower()
        if speaks or (listing and _ITEM.match(line)):
            yield from _VERSION.findall(line)
        if speaks:
            listing = line.rstrip().endswith((":", "["))
        elif line.strip() and not _ITEM.match(line):
            listing = False


def parsed_toml(text: str) -> dict[str, Any]:
    """A TOML file's tables; none if it is broken."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def table(tables: Any, *path: str) -> dict[str, Any]:
    """A table below others; an empty one where there is none."""
    for name in path:
        tables = tables.get(name) if isinstance(tables, dict) else None
    return tables if isinstance(tables, dict) else {}


def _cfg(text: str) -> configparser.RawConfigParser:
    config = configparser.RawConfigParser(strict=False)
    try:
        config.read_string(text)
    except configparser.Error:
        return configparser.RawConfigParser()
    return config
