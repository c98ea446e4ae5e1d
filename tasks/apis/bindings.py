"""From a changed compiled function to the Python names that bind it, as far as the source says."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial

import git

from tasks.apis.cython import mentioned_words
from tasks.apis.linkage import Linkage, short_name, unbound_names
from tasks.apis.native import Binding, NativeSummary, summarise_native, variables
from tasks.apis.nodes import Module, absolute_name
from tasks.apis.reach import GUESS_COST, MAX_COST, Start
from tasks.apis.source import is_shipped, list_modules, read_summary, summary_of
from tasks.apis.summary import Definition, Summary
from tasks.code.native import grammar_of

Place = tuple[str, str]
"""A compiled definition: (path, name)."""
MAX_VISITED = 3000
MAX_OWNERS = 3
"""Tables between a method and its type: methods, slots, spec."""


class Bindings:
    """All compiled code of a repository at a commit, and the modules that it makes."""

    def __init__(self, repo: git.Repo, blobs: Mapping[str, str], modules: list[Module]) -> None:
        self._repo, self._blobs = repo, blobs
        self._python = {module.name for module in modules}
        self._packages = {str(module.path).rpartition("/")[0]: module.name for module in modules if module.is_package}
        self._files: dict[str, NativeSummary] = {}
        self._cython: dict[Place, str] = {}
        cython = []
        for file in list_modules(blobs, ".pyx"):
            cython.append(Module(file.module, file.is_package, file.path, summary_of(repo, file)))
            words = read_summary(repo, file.oid, mentioned_words, "words")
            self._files[file.path] = NativeSummary(mentions=words)
            self._cython |= {(file.path, name): f"{file.module}.{name}" for name in words}
        for path, oid in blobs.items():
            if grammar_of(path) not in (None, "python", "cython") and is_shipped(path):
                # the suffix decides how a blob is read
                self._files[path] = read_summary(repo, oid, partial(summarise_native, path), path.rpartition(".")[2])
        self._linkage = Linkage(self._files)
        self._mentioned_by: dict[str, list[Place]] = {}
        for path, summary in self._files.items():
            for name, mentioned in summary.mentions.items():
                for word in mentioned:
                    self._mentioned_by.setdefault(word, []).append((path, name))
        self._imported: dict[str, list[tuple[int, str]]] = {}
        """Last part of a module's name -> modules that Python code imports by it, with how often it does."""
        for name, count in Counter(_imported_names([*modules, *cython], self._python)).items():
            self._imported.setdefault(short_name(name), []).append((count, name))
        self._bound: dict[Place, list[str]] = {}
        self._types: set[Place] = set()
        extensions = self._extensions()
        self._unbound = unbound_names(extensions, modules)
        self.modules = [*cython, *extensions.values()]
        """Modules that Python can import: Cython's, and those of the bindings."""

    def starts(self, path: str, name: str, lines: Container[int] | None = None) -> list[Start]:
        """Where Python meets the function, nearest first; empty if the source does not say. `lines` are those that
        changed, which tells functions of the same name apart.
        """
        origin = f"{path}::{name}"
        if (path, name) in self._cython:
            return [Start(self._cython[path, name], (self._cython[path, name],))]
        if path not in self._files:
            return []
        found: dict[str, Start] = {}
        done: set[Place] = set()
        queue: list[tuple[float, int, Place, tuple[str, ...]]] = [(0.0, 0, (path, name), (origin,))]
        while queue and len(done) < MAX_VISITED:
            cost, guesses, place, steps = heapq.heappop(queue)
            if place in done:
                continue
            done.add(place)
            for node in [self._cython[place]] if place in self._cython else self._bound.get(place, []):
                found.setdefault(node, Start(node, (node, *steps), cost, guesses))
            for node in self._registered(place, lines if place == (path, name) else None):
                found.setdefault(node, Start(node, (node, *steps), cost + GUESS_COST, guesses + 1))
            if place in self._cython:
                continue  # the search among Python's definitions goes on from there
            for caller, certain in self._callers(place):
                # that instances have a function is no step: it is called as a slot of the type is
                total = cost + (0.0 if "->" in place[1] else 1.0 if certain else GUESS_COST)
                if caller not in done and total <= MAX_COST:
                    step = () if "[" in caller[1] or caller in self._cython else (f"{caller[0]}::{caller[1]}",)
                    heapq.heappush(queue, (total, guesses + (not certain), caller, (*step, *steps)))
        return list(found.values())

    def variables(self, path: str) -> list[tuple[str, int, int]]:
        """Variables, tables and constant macros of a compiled file: name, first line, last line."""
        if path not in self._files or path not in self._blobs or path.endswith((".pyx", ".pyx.in")):
            return []
        kind = f"variables {path.rpartition('.')[2]}"
        return read_summary(self._repo, self._blobs[path], partial(variables, path), kind)

    def _callers(self, place: Place) -> Iterator[tuple[Place, bool]]:
        path, name = place
        for caller in self._mentioned_by.get(short_name(name), ()):
            certain = self._linkage.meant(path, name, caller[0])
            if caller != place and certain is not None:
                # whoever mentions a type has not called its methods
                yield caller, certain and place not in self._types

    def _registered(self, place: Place, lines: Container[int] | None) -> Iterator[str]:
        """Nodes of Python names that no table binds, if the function is called `DOUBLE_<name>`: what registers such
        loops is generated. Of a template only the blocks with one of the lines count.
        """
        for first, last, names in self._files[place[0]].loops.get(place[1], ()):
            if lines is None or any(line in lines for line in range(first, last + 1)):
                for name in sorted(names):
                    yield from self._unbound.get(name, ())

    def _extensions(self) -> dict[str, Module]:
        made: dict[str, Module] = {}
        for path, summary in self._files.items():
            for binding in summary.bindings:
                for module, name in set(self._names(path, summary, binding)):
                    self._bound.setdefault((path, binding.node), []).append(f"{module}.{name}")
                    if binding.is_type:
                        self._types.add((path, binding.node))
                    if module in self._python:
                        continue  # a type that says it lives in a Python module: there is no file to put it in
                    home = made.setdefault(module, Module(module, False, path, Summary()))
                    is_class = binding.is_type or name.rpartition(".")[2] != binding.name.rpartition(".")[2]
                    _define(home.summary.definitions, name, is_type=is_class)
        return made

    def _names(self, path: str, summary: NativeSummary, binding: Binding) -> Iterator[tuple[str, str]]:
        """(module, name in it) under which Python knows a binding."""
        if binding.is_type:
            module, _, short = binding.name.rpartition(".")
            if module:
                yield module, short
            elif len(set(summary.modules.values())) == 1:
                yield self._place_module(path, next(iter(summary.modules.values()))), short
        elif binding.module:
            yield self._place_module(path, binding.module), binding.name
        else:
            for module, prefix in self._owners(path, binding.table or short_name(binding.node), MAX_OWNERS):
                special = prefix and binding.name.startswith("__") and binding.name.endswith("__")
                # called by syntax, or by others for the user: a special method goes by its class
                yield module, prefix.removesuffix(".") if special else f"{prefix}{binding.name}"

    def _owners(self, path: str, table: str, depth: int) -> Iterator[tuple[str, str]]:
        """(module, `Class.` or nothing) of whatever holds a table of methods."""
        if table in self._files[path].modules:
            yield self._place_module(path, self._files[path].modules[table]), ""
        for other, holder in self._mentioned_by.get(table, ()):
            summary = self._files[other]
            if self._linkage.meant(path, table, other) is None:
                continue
            if holder in summary.modules:
                yield self._place_module(other, summary.modules[holder]), ""
            owner = next((item for item in summary.bindings if item.is_type and item.node == holder), None)
            if owner is not None:
                yield from ((module, f"{short}.") for module, short in self._names(other, summary, owner))
            elif depth and "[" not in holder and holder != table:
                yield from self._owners(other, holder, depth - 1)

    def _place_module(self, path: str, said: str) -> str:
        """The importable name of a module whose source often says only its last part."""
        if said.startswith("torch.ops."):
            return said
        leaf = said.rpartition(".")[2]
        if said != leaf and said.partition(".")[0] in {name.partition(".")[0] for name in self._python}:
            return said
        if leaf in self._imported:
            return max(self._imported[leaf])[1]
        package = self._packages.get(path.rpartition("/")[0])
        return f"{package}.{leaf}" if package else leaf


def _define(definitions: dict[str, Definition], name: str, *, is_type: bool) -> None:
    owner, _, short = name.rpartition(".")
    if owner:
        holder = definitions.setdefault(owner, Definition(owner, "class"))
        holder.members.setdefault(short, Definition(short, "function", signature=f"{short}(...)"))
    else:
        kind = "class" if is_type else "function"
        definitions.setdefault(short, Definition(short, kind, signature="" if is_type else f"{short}(...)"))


def _imported_names(modules: Iterable[Module], python: set[str]) -> Iterator[str]:
    """Modules that Python code imports from the repository's packages, and that no Python file makes."""
    tops = {name.partition(".")[0] for name in python}
    for module in modules:
        functions = [item for item in module.summary.definitions.values() if item.imports]
        targets = [*module.summary.imports.values(), *module.summary.stars]
        targets += [target for item in functions for target in item.imports.values()]
        for target in targets:
            name = absolute_name(module, target)
            if name is None or name in python or name.partition(".")[0] not in tops:
                continue
            yield name
            holder = name.rpartition(".")[0]
            if holder and holder not in python:
                yield holder
