"""Which files can mean a compiled definition by its name: what C calls linkage, read from `static` and `#include`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tasks.apis.native import NativeSummary
from tasks.apis.nodes import Module, absolute_name
from tasks.apis.summary import Definition

_HEADERS = (".h", ".hh", ".hpp", ".cuh", ".inl", ".pxi", ".pxd")


def short_name(name: str) -> str:
    """The last part, as other code mentions it; an entry of a table has no other name."""
    return name if "[" in name else name.rpartition(".")[2]


class Linkage:
    """The compiled files of a repository, and which of them includes which."""

    def __init__(self, files: Mapping[str, NativeSummary]) -> None:
        self._files = files
        self._includers: dict[str, list[str]] = {}
        """Last part of a path -> files that include something of that name."""
        self._seen_by: dict[str, set[str]] = {}
        self._definers: dict[str, list[str]] = {}
        """Name -> files whose definition of it others can mean."""
        for path, summary in files.items():
            for included in summary.includes:
                self._includers.setdefault(included, []).append(path)
            header = _is_header(path)
            for name in summary.mentions:
                if header or name not in summary.static:
                    self._definers.setdefault(short_name(name), []).append(path)

    def meant(self, path: str, name: str, mentioning: str) -> bool | None:
        """Whether a file that mentions the name means the definition in `path`: None if it cannot, False if it may.

        A static function, or the method of a class in a source file, is seen by its file and by those that include it.
        Of several functions of one name that in the folder of the caller is meant: folders are often linked apart.
        """
        if mentioning == path:
            return True
        short = short_name(name)
        if short in self._files[mentioning].mentions:
            return None  # it has its own
        # what is no function, table or variable is a macro
        local = name in self._files[path].static or name not in self._files[path].mentions
        if local and not _is_header(path):
            return True if mentioning in self._see(path) else None
        definers = self._definers.get(short, [])
        if len(definers) > 1 and name == short:
            folder = mentioning.rpartition("/")[0]
            near = [definer for definer in definers if definer.rpartition("/")[0] == folder]
            if near and path not in near:
                return None
            definers = near or definers
        cython = mentioning.endswith((".pyx", ".pyx.in"))
        if cython and name != short:
            return False  # any attribute may be called so
        return len(definers) <= 1 and (not local or cython or mentioning in self._see(path))

    def _see(self, path: str) -> set[str]:
        """Files that include the file, directly or not."""
        if path not in self._seen_by:
            seen: set[str] = set()
            pending = [path]
            while pending:
                name = pending.pop().rpartition("/")[2].removesuffix(".src").removesuffix(".in")
                for includer in self._includers.get(name, ()):
                    if includer not in seen:
                        seen.add(includer)
                        pending.append(includer)
            self._seen_by[path] = seen
        return self._seen_by[path]


def unbound_names(extensions: Mapping[str, Module], modules: Iterable[Module]) -> dict[str, list[str]]:
    """Name -> ids under which Python code imports it from an extension whose source does not bind it; each becomes a
    definition of the extension. `from ._ext import *` imports what `__all__` lists and nothing else there makes.
    """
    found: dict[str, set[str]] = {}
    for module in modules:
        summary = module.summary
        asked = [absolute_name(module, target) for target in summary.imports.values()]
        stars = [absolute_name(module, star) for star in summary.stars]
        compiled = [star for star in stars if star in extensions]
        if compiled and len(stars) == 1:
            own = summary.definitions.keys() | summary.imports.keys()
            asked += [f"{compiled[0]}.{name}" for name in summary.exported or () if name not in own]
        for target in asked:
            home, _, name = (target or "").rpartition(".")
            if home in extensions and name not in extensions[home].summary.definitions:
                extensions[home].summary.definitions[name] = Definition(name, "callable", signature=f"{name}(...)")
                found.setdefault(name, set()).add(f"{home}.{name}")
    return {name: sorted(ids) for name, ids in found.items()}


def _is_header(path: str) -> bool:
    return path.removesuffix(".src").removesuffix(".in").endswith(_HEADERS)
