"""Describes an API at the base commit without importing it: signature and the start of its docstring."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tasks.code.python import PARSING
from tasks.sandbox import foreign
from tasks.sandbox.foreign import MAX_BYTES, Budget

DOCSTRING_CHARS = 600


def describe_apis(apis: Sequence[str], checkout: Path, import_paths: Sequence[str]) -> list[str]:
    """One text per API, in order: its dotted name and, where it is found statically, signature and docstring."""
    import griffe

    logging.getLogger("griffe").setLevel(logging.ERROR)
    packages = {api.partition(".")[0] for api in apis}
    with tempfile.TemporaryDirectory(prefix="isobench-read-") as name:
        # griffe follows links and .pth files, so it reads a copy that holds nothing but the packages' modules
        copies = [_copy(packages, checkout, path, Path(name, str(place))) for place, path in enumerate(import_paths)]
        loader = griffe.GriffeLoader(search_paths=copies, allow_inspection=False, store_source=False)
        return [_describe(api, loader) for api in apis]


def _copy(packages: set[str], checkout: Path, import_path: str, target: Path) -> str:
    target.mkdir()
    root = foreign.inside(checkout, import_path)
    for package in packages if root is not None else ():
        for name in (f"{package}.py", f"{package}.pyi"):
            if foreign.is_file(checkout, f"{root}/{name}"):
                foreign.copy(checkout, f"{root}/{name}", target, name, Budget(MAX_BYTES))
        folder = foreign.inside(checkout, f"{root}/{package}")
        if folder is not None and foreign.is_folder(checkout, folder):
            for path in foreign.files(checkout, folder):
                if path.endswith((".py", ".pyi")):
                    below = PurePosixPath(path).relative_to(folder)
                    foreign.copy(checkout, path, target, f"{package}/{below}", Budget(MAX_BYTES))
    return str(target)


def _describe(api: str, loader: object) -> str:
    import griffe

    assert isinstance(loader, griffe.GriffeLoader)
    package, _, rest = api.partition(".")
    try:
        if package not in loader.modules_collection:
            with PARSING:
                loader.load(package)
        found = loader.modules_collection[package]
        item = found[rest] if rest else found
        if item.is_alias:
            item = item.final_target
    except Exception:  # griffe: a missing module, a name that is made at run time, a cycle of aliases
        return api
    docstring = item.docstring.value.strip() if item.docstring else ""
    if len(docstring) > DOCSTRING_CHARS:
        docstring = docstring[:DOCSTRING_CHARS].rsplit("\n", 1)[0] + "\n..."
    text = api + _signature(item)
    return f"{text}\n{_indent(docstring)}" if docstring else text


def _signature(item: object) -> str:
    import griffe

    if isinstance(item, griffe.Class):
        init = item.all_members.get("__init__")
        return _signature(init) if init is not None and not init.is_alias else " (class)"
    if not isinstance(item, griffe.Function):
        return ""
    marks = {"positional-only": "", "keyword-only": "", "variadic positional": "*", "variadic keyword": "**"}
    parts = []
    for parameter in item.parameters:
        kind = parameter.kind.value if parameter.kind else ""
        text = marks.get(kind, "") + parameter.name
        text += f": {parameter.annotation}" if parameter.annotation is not None else ""
        if parameter.default is not None and kind not in ("variadic positional", "variadic keyword"):
            text += f" = {parameter.default}"
        parts.append(text)
    returns = f" -> {item.returns}" if item.returns is not None else ""
    return f"({', '.join(parts)}){returns}"


def _indent(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
