"""Calls of an API in a project's own tests, examples and docs, for the model to imitate: a few lines around each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tasks.code.paths import TEST_FOLDERS
from tasks.sandbox import foreign

FOLDERS = TEST_FOLDERS | {"testing", "docs", "doc", "examples", "example", "benchmarks", "asv_bench", "samples"}
"""Where calls are shown. `tasks.code.paths` tells kinds of a change apart, and knows no examples."""
SUFFIXES = {".py", ".md", ".rst", ".txt", ".ipynb"}
MAX_FILES = 3000
MAX_BYTES = 400_000
PER_API = 2
MAX_APIS = 3
AROUND = 3


def find_usage(apis: Sequence[str], checkout: Path) -> list[str]:
    """`path:line` and some lines around a call, at most `PER_API` of each of the first APIs and one per file.

    A call is the last part of the name before a parenthesis; a text that also names the package comes first.
    """
    names = [api.rsplit(".", 1)[-1] for api in apis[:MAX_APIS]]
    packages = [api.split(".", 1)[0] for api in apis[:MAX_APIS]]
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for path in _files(checkout):
        text = foreign.text(checkout, path, MAX_BYTES) or ""
        for name, package in zip(names, packages, strict=True):
            match = re.search(rf"(?<!def )(?<!\w){re.escape(name)}\(", text)
            if match is not None:
                shown = _around(text, match.start(), path)
                found[name].append((0 if re.search(rf"\b{re.escape(package)}\b", text) else 1, shown))
    return [shown for name in dict.fromkeys(names) for _, shown in sorted(found[name], key=lambda it: it[0])[:PER_API]]


def _files(checkout: Path) -> list[str]:
    paths = sorted(map(PurePosixPath, foreign.files(checkout)))
    readmes = [path for path in paths if len(path.parts) == 1 and path.name.startswith("README")]
    others = [path for path in paths if path.suffix in SUFFIXES and FOLDERS & set(path.parts[:-1])]
    return [path.as_posix() for path in [*readmes, *others][:MAX_FILES]]


def _around(text: str, at: int, path: str) -> str:
    lines = text.splitlines()
    number = text.count("\n", 0, at)
    shown = lines[max(0, number - AROUND) : number + AROUND + 1]
    return "\n".join([f"{path}:{number + 1}", *(f"    {line[:160]}".rstrip() for line in shown)])
