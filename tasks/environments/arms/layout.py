"""Where in a checkout the code lies that an installation puts under a package's name, found by content.

A package's folder may have another name than the package (`package_dir`, hatch's `sources`, poetry's `to`), single
files may come from elsewhere, and a build may write files that git does not track. So an installed file is looked for
among the files that git tracks, by its content first and its name second.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.environments.trees import TreeError
from tasks.sandbox import foreign

LINKS = ".isobench"
"""Folder of an arm with links under the names of packages whose folders have other names."""
_EMPTY = (
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
)
_CODE = (".py", ".pyx", ".pyi")
_EXTENSION = (".so", ".pyd")


class Link(BaseModel):
    """A name of an arm for what lies elsewhere in it."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Installed path: of a package, a folder or a file."""
    where: str
    """Path of the checkout at which the link is made."""
    to: str
    """Path of the checkout that holds the content."""


class Layout(BaseModel):
    """How a checkout becomes importable as the installed project is."""

    model_config = ConfigDict(frozen=True)

    roots: list[str] = []
    """Folders of a checkout to import from."""
    links: list[Link] = []
    """Of installed paths that the checkout has under other names."""
    generated: list[str] = []
    """Installed files that nothing in the checkout is: the build made them."""
    shadowing: list[str] = []
    """Compiled modules that the build made of Python files: an arm would run them instead of its own."""
    imports: list[str] = []
    """Top-level names that the project installs."""
    conflict: str = ""
    """Why an arm could not run its own code with this layout; empty if it can."""

    @property
    def import_paths(self) -> list[str]:
        """Folders of an arm to import from; none if nothing is known."""
        return [*([LINKS] if any(link.where.startswith(LINKS) for link in self.links) else []), *self.roots]

    @property
    def extensions(self) -> list[str]:
        """Compiled modules that the installation made."""
        return [name for name in self.generated if name.endswith(_EXTENSION)]

    def place(self, installed: str) -> str | None:
        """Where in a checkout an installed path lies by its links; None if no link says."""
        to = {link.name: link.to for link in self.links}
        for name in _ancestors(installed):
            if name in to:
                return _below(to[name], posixpath.relpath(installed, name))
        return None


def work_out(
    files: Mapping[str, str], tracked: Mapping[str, str], named: Mapping[str, str], roots: Iterable[str] = ()
) -> Layout:
    """The layout of a project from what it installs.

    `files`: installed path -> git's id of its content. `tracked`: path -> id, as `trees.tracked_files` has it. `named`
    and `roots` are what editable installations say: name -> path of the checkout, folders to import from.
    """
    return _Search(files, tracked).run(named, list(roots))


class _Search:
    def __init__(self, files: Mapping[str, str], tracked: Mapping[str, str]) -> None:
        self.files = {name: blob for name, blob in files.items() if not name.endswith((".pyc", ".pth"))}
        self.tracked = tracked
        self.by_name: dict[str, list[str]] = defaultdict(list)
        self.by_content: dict[str, list[str]] = defaultdict(list)
        self.folders = {""}
        for path, blob in tracked.items():
            self.by_name[posixpath.basename(path)].append(path)
            self.by_content[blob].append(path)
            self.folders.update(_ancestors(posixpath.dirname(path)))
        self.places: dict[str, str] = {}
        """Top-level name -> path in the checkout."""
        self.links: dict[str, str] = {}
        self.generated: list[str] = []
        self.conflicts: list[str] = []

    def run(self, named: Mapping[str, str], roots: list[str]) -> Layout:
        tops = defaultdict(list)
        for name in sorted(self.files):
            tops[name.split("/")[0]].append(name)
        for top, names in sorted(tops.items(), key=lambda item: -len(item[1])):
            place = self.best(top, names) if "/" in names[0] else self.counterpart(top)
            if place is None and any(self.counterpart(name) for name in names if name.endswith(_CODE)):
                place = f"{LINKS}/{top}"  # a folder of our own, for what is found below
            if place is not None:
                self.places[top] = place
        for name, place in named.items():
            self.places.setdefault(name if place in self.folders else posixpath.basename(place), place)
        chosen = self.choose_roots(roots)
        for top, names in tops.items():
            if "/" in names[0] and top in self.places:
                self.descend(top, names)
        for name in sorted(self.files):
            self.settle(name, chosen)
        imports = {name.split("/")[0].split(".")[0] for name in self.files if name.endswith(".py")} | set(named)
        for root in roots:
            imports |= self.packages_of(root)
        return Layout(
            roots=chosen,
            links=[Link(name=name, where=self.where(name), to=self.links[name]) for name in sorted(self.links)],
            generated=self.generated,
            imports=sorted(name.removesuffix(".py") for name in imports),
            conflict="; ".join(self.conflicts[:3]),
        )

    def best(self, prefix: str, names: list[str]) -> str | None:
        """The folder whose files are most like the installed ones below `prefix`; None if there is none."""
        scores: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for name in names:
            inner = posixpath.relpath(name, prefix)
            for path in self.by_name[posixpath.basename(name)]:
                if path != inner and not path.endswith("/" + inner):
                    continue
                folder = path[: -len(inner)].rstrip("/")
                same = self.tracked[path] == self.files[name]
                score = scores[folder]
                score[0] += same and self.files[name] not in _EMPTY
                score[1] += same
                score[2] += 1
        natural = [folder for folder in scores if folder == prefix or folder.endswith("/" + prefix)]
        alike = [folder for folder, score in scores.items() if score[0]]
        found = alike or natural  # a build may have rewritten all, so a name will do; empty files alone say nothing
        return max(found, key=lambda folder: (*scores[folder], folder in natural, -folder.count("/")), default=None)

    def counterpart(self, name: str) -> str | None:
        """The tracked file with an installed file's content, or else with its name; None if there is none."""
        blob, base = self.files[name], posixpath.basename(name)
        same = [] if blob in _EMPTY else self.by_content.get(blob, [])
        alike = [path for path in same if posixpath.basename(path) == base] or same
        if not alike and "/" not in name:
            alike = self.by_name[base]
        return min(alike, key=lambda path: (path.count("/"), path), default=None)

    def choose_roots(self, given: list[str]) -> list[str]:
        """Folders that hold top-level names under these names; the others get links, as do names that a root hides."""
        count: dict[str, int] = defaultdict(int)
        for top, place in self.places.items():
            if place.startswith(LINKS):
                continue
            if posixpath.basename(place) == top:
                count[posixpath.dirname(place)] += sum(name == top or name.startswith(top + "/") for name in self.files)
            else:
                self.links[top] = place or "."
        chosen = [*given, *(root for root in sorted(count, key=lambda root: (-count[root], root)) if root not in given)]
        for top, place in self.places.items():
            holding = [posixpath.join(root, top) for root in chosen]
            first = next((path for path in holding if path in self.folders or path in self.tracked), None)
            if top not in self.links and first != place and not place.startswith(LINKS):
                self.links[top] = place or "."
        return [root or "." for root in chosen]

    def descend(self, prefix: str, names: list[str]) -> None:
        """Find folders below `prefix` whose content lies elsewhere than below the folder of `prefix`."""
        below = defaultdict(list)
        for name in names:
            inner = posixpath.relpath(name, prefix)
            if "/" in inner:
                below[posixpath.join(prefix, inner.split("/")[0])].append(name)
        for folder, inside in below.items():
            here = self.lies_at(folder)
            if self.likeness(inside) < sum(name.endswith(_CODE) for name in inside):
                best = self.best(folder, inside)
                if best is not None and best != here and self.likeness(inside, folder, best) > self.likeness(inside):
                    if here in self.folders and self.likeness(inside):
                        pass  # some files are from here: single ones get links
                    elif here in self.folders:
                        self.conflicts.append(f"{folder} is installed from {best}, and {here} would be imported")
                    else:
                        self.links[folder] = best
            self.descend(folder, inside)

    def likeness(self, names: list[str], prefix: str = "", place: str = "") -> int:
        """How many code files have the same content in the checkout, where they are or would be."""
        found = 0
        for name in names:
            path = posixpath.join(place, posixpath.relpath(name, prefix)) if prefix else self.lies_at(name)
            same = self.tracked.get(posixpath.normpath(path)) == self.files[name]
            found += same and name.endswith(_CODE) and self.files[name] not in _EMPTY
        return found

    def lies_at(self, name: str) -> str:
        """Where an installed path lies in the checkout by what was found so far."""
        for prefix in _ancestors(name):
            place = self.links.get(prefix, self.places.get(prefix))
            if place is not None:
                return _below(place, posixpath.relpath(name, prefix))
        return name

    def where(self, name: str) -> str:
        """Where the link of an installed path goes: beside the rest of its package, or into our own folder."""
        parent, base = posixpath.split(name)
        return posixpath.join(self.lies_at(parent) if parent else LINKS, base)

    def settle(self, name: str, roots: list[str]) -> None:
        """A file is where its folder says, or has a link, or was made by the build."""
        blob, place = self.files[name], self.lies_at(name)
        known = name.split("/", maxsplit=1)[0] in self.places
        if known and place in self.tracked:
            if self.tracked[place] in (blob, "") or not name.endswith(".py") or blob in _EMPTY:
                return
            others = [
                path for path in self.by_content.get(blob, []) if posixpath.basename(path) == posixpath.basename(name)
            ]
            if others:
                self.conflicts.append(f"{name} is installed from {others[0]}, and {place} would be imported")
            return
        if known and any(path in self.tracked for path in _ancestors(place)):
            return  # below a link
        other = None if blob in _EMPTY else self.counterpart(name)
        if other is not None:
            self.links[name] = other
        else:
            self.generated.append(name)

    def packages_of(self, root: str) -> set[str]:
        inside = root.rstrip("/.") + "/" if root.rstrip("/.") else ""
        marks = [path[len(inside) :] for path in self.tracked if path.startswith(inside)]
        return {path.split("/")[0] for path in marks if path.count("/") == 1 and path.endswith("/__init__.py")}


def shadowing(layout: Layout, tracked: Mapping[str, str]) -> list[str]:
    """Generated compiled modules beside which the checkout has a Python file of the same name."""
    found = []
    for name in layout.extensions:
        source = f"{posixpath.dirname(name)}/{posixpath.basename(name).split('.')[0]}.py".lstrip("/")
        placed = layout.place(source)
        if any(place in tracked for place in ([placed] if placed else [_below(root, source) for root in layout.roots])):
            found.append(name)
    return found


def lay_out(checkout: Path, layout: Layout) -> None:
    """Give a checkout the links of its layout. Raises TreeError if it uses our folder's name itself, OSError.

    No link of the checkout is followed, as a patch may have made it; where something lies already, the arm has its own.
    """
    if not layout.links:
        return
    if foreign.kind(checkout, LINKS) is not None:
        raise TreeError(f"{LINKS} is isobench's own folder in a checkout")
    for made in sorted(layout.links, key=lambda made: (made.name.count("/"), made.name)):
        if not (is_inside(made.where) and is_inside(made.to)) or foreign.kind(checkout, made.to) is None:
            continue
        try:
            foreign.link(checkout, made.where, posixpath.relpath(made.to, posixpath.dirname(made.where) or "."))
        except OSError as error:
            if foreign.is_host_fault(error):
                raise


def is_inside(path: str) -> bool:
    """Whether a path, which others made, stays in the folder that it is relative to."""
    return not posixpath.isabs(path) and ".." not in path.split("/") and "\0" not in path


def _below(place: str, inner: str) -> str:
    return posixpath.normpath(posixpath.join(place, inner))


def _ancestors(path: str) -> list[str]:
    """A path and the folders above it, the longest first."""
    parts = path.split("/") if path else []
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
