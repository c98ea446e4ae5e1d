"""Where Python finds the modules of an arm. Runs inside its sandbox, standard library only, Python 3.8.

    python own_modules.py ROOT PATHS TOPS

ROOT is the arm's folder, PATHS (JSON) its import paths, TOPS (JSON) the project's top-level names; [] for all that the
paths offer. No module is imported. Prints JSON: {"outside": [[name, file]], "stale": [[name, file]], "doubled": [[name,
file]], "count": n}: modules that are found outside of the arm, that byte code stands for, that exist elsewhere, too.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import sysconfig
from importlib.machinery import PathFinder, all_suffixes
from typing import Any, Dict, Iterator, List


def modules_of(folder: str, root: str, tops: List[str]) -> List[str]:
    """Dotted names of the modules below an import path, packages first; links are followed inside the arm."""
    found: List[str] = []
    seen = set()
    waiting = [(folder, "")]
    while waiting:
        here, package = waiting.pop()
        real = os.path.realpath(here)
        if (real, package.count(".")) in seen or not (real + os.sep).startswith(root + os.sep):
            continue
        seen.add((real, package.count(".")))
        for entry in sorted(os.scandir(here), key=lambda entry: entry.name):
            stem = entry.name.split(".")[0]
            if not stem.isidentifier() or package.count(".") > 20:
                continue
            if not package and tops and stem not in tops:
                continue
            if entry.is_dir():
                marked = any(os.path.exists(os.path.join(entry.path, "__init__" + end)) for end in all_suffixes())
                if entry.name == stem and stem != "__pycache__" and (marked or package or tops):
                    if marked:
                        found.append(package + stem)
                    waiting.append((entry.path, package + stem + "."))
            elif stem != "__init__" and any(entry.name == stem + end for end in all_suffixes()):
                found.append(package + stem)
    return found


def find(name: str, known: Dict[str, Any]) -> Any:
    """The spec of a module, as an import would find it without running its packages."""
    if name in known:
        return known[name]
    parent = name.rpartition(".")[0]
    path = None
    if parent:
        above = find(parent, known)
        path = above.submodule_search_locations if above else None
        path = getattr(path, "_path", path)  # a namespace's own list asks for packages that nobody imported
        if path is None:
            known[name] = None
            return None
    spec, tail = None, name.rpartition(".")[2]
    for finder in sys.meta_path:
        search = getattr(finder, "find_spec", None)
        spec = search(tail if finder is PathFinder else name, path) if search else None
        if spec is not None:
            break
    known[name] = spec
    return spec


def elsewhere(name: str, entries: List[str]) -> Iterator[str]:
    """Files of a module on other import paths."""
    parts = name.split(".")
    for entry in entries:
        if os.path.isdir(entry) and len(parts) > 1 and not os.path.lexists(os.path.join(entry, parts[0])):
            continue
        spec = PathFinder.find_spec(parts[-1], [os.path.join(entry, *parts[:-1])])
        if spec is not None and spec.loader is not None and spec.origin:
            yield spec.origin


def main(root: str, paths: str, tops: str) -> None:
    """See above."""
    root = os.path.realpath(root)
    own = [os.path.normpath(os.path.join(root, path)) for path in json.loads(paths)]
    standard = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    standard |= {os.path.join(path, "lib-dynload") for path in standard}
    standard |= {path for path in sys.path if re.match(r"python\d+\.zip$", os.path.basename(path))}
    others = [path for path in sys.path if path and path not in standard]
    others = [path for path in others if not (os.path.realpath(path) + os.sep).startswith(root + os.sep)]
    sys.path[:] = own + [path for path in sys.path if path not in ("", *own)]
    result: Dict[str, Any] = {"outside": [], "stale": [], "doubled": [], "count": 0}
    known: Dict[str, Any] = {}
    offered = [modules_of(path, root, json.loads(tops)) for path in own if os.path.isdir(path)]
    for name in dict.fromkeys(name for names in offered for name in names):
        result["count"] += 1
        spec = find(name, known)
        if spec is not None and spec.origin and spec.loader is not None:
            if not os.path.realpath(spec.origin).startswith(root + os.sep):
                result["outside"].append([name, spec.origin])
            elif spec.origin.endswith(".py") and os.path.exists(importlib.util.cache_from_source(spec.origin)):
                result["stale"].append([name, importlib.util.cache_from_source(spec.origin)])
        for file in elsewhere(name, others):
            result["doubled"].append([name, file])
    print(json.dumps({key: value[:5] if isinstance(value, list) else value for key, value in result.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
