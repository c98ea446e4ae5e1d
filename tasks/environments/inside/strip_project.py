"""Takes the project's own code out of an environment into which it was installed. Runs inside, standard library only.

    python -I -S strip_project.py take ENVIRONMENT CHECKOUT TAKEN ABOUT FOUND
    python -I -S strip_project.py keep TAKEN GENERATED NAMES

ABOUT is a JSON file: {"metadata": [names of metadata folders], "names": [names of distributions], "blobs": {path in the
checkout: git's id}, "tops": [top-level names], "modules": [dotted names]} of the project.

`take` moves every file of the project to TAKEN, however it came in: from a wheel, as an egg, editable, or copied. What
remains is metadata (version, entry points), so that only an arm's checkout provides the code. FOUND gets JSON:
{"files": {installed path: git's id}, "named": {name: path in the checkout}, "roots": [folders of the checkout],
"version": ...}.
`keep` moves the files that the JSON file NAMES lists from TAKEN to GENERATED, which holds nothing else then.
"""

# ruff: noqa: UP006, UP035, UP045 -- the forms that Python 3.8 evaluates
from __future__ import annotations

import ast
import csv
import glob
import hashlib
import io
import json
import os
import re
import shutil
import sys
import zipfile
from typing import Any, Dict, List, Optional
from urllib.parse import unquote

LAUNCHER = '#!/bin/sh\nexec "$(dirname "$(realpath "$0")")/python" "/arm/{}" "$@"\n'
FINDER = re.compile(r"_.*editable.*\.py$")


def plain(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def inside(path: str, folder: str) -> Optional[str]:
    """The part of a path below a folder, "" for the folder itself; None if it is elsewhere."""
    found = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    if found == ".." or found.startswith("../"):
        return None
    return "" if found == "." else found


def git_id(content: bytes, length: int) -> str:
    """What git calls a content."""
    digest = hashlib.sha256() if length == 64 else hashlib.sha1()  # git's own
    digest.update(b"blob %d\0" % len(content) + content)
    return digest.hexdigest()


def read(path: str) -> bytes:
    """Content of a file; b"" where there is none."""
    if not os.path.isfile(path):
        return b""
    with open(path, "rb") as file:
        return file.read()


def write(path: str, text: str) -> None:
    """Replace a file: its content may be shared with an installer's cache."""
    if os.path.lexists(path + ".new"):  # else a pipe there would make this wait
        os.remove(path + ".new")
    with open(path + ".new", "x", newline="") as file:
        file.write(text)
    os.replace(path + ".new", path)


def make_anew(folder: str) -> None:
    """An empty folder of this name, whatever was there: what is installed could have put files or a link in it."""
    if os.path.isdir(folder) and not os.path.islink(folder):
        shutil.rmtree(folder)
    elif os.path.lexists(folder):
        os.remove(folder)
    os.makedirs(folder)


class Project:
    """What is found of the project, site by site."""

    def __init__(self, checkout: str, taken: str, about: Dict[str, Any]) -> None:
        self.checkout, self.taken, self.about = checkout, taken, about
        self.length = max([len(blob) for blob in about["blobs"].values()] or [40])
        self.known = set(about["blobs"].values())
        self.names = {plain(name) for name in about["names"]}
        self.files: Dict[str, str] = {}
        self.named: Dict[str, str] = {}
        self.roots: List[str] = []
        self.version = ""

    def identity(self, content: bytes) -> str:
        """git's id of a content, or of the same with git's line ends if only that is tracked."""
        found = git_id(content, self.length)
        if found not in self.known and b"\r\n" in content:
            other = git_id(content.replace(b"\r\n", b"\n"), self.length)
            return other if other in self.known else found
        return found

    def take(self, site: str, name: str) -> None:
        """Move a file of a site to TAKEN, under its installed name."""
        path = os.path.join(site, name)
        if os.path.islink(path) or not os.path.isfile(path):
            if os.path.lexists(path) and not os.path.isdir(path):
                os.remove(path)
            return
        if name.endswith((".pyc", ".pth")) or FINDER.match(name):
            if FINDER.match(name):
                self.editable(read(path).decode("utf-8", "replace"))
            os.remove(path)
            return
        self.files[name] = self.identity(read(path))
        target = os.path.join(self.taken, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.move(path, target)

    def editable(self, text: str) -> bool:
        """Note what the finder of an editable installation maps; whether any of it is in the checkout."""
        ours = False
        for found in re.findall(r"^MAPPING\b[^=\n]*= *(\{.*?\})", text, re.M | re.S):
            try:
                mapping = ast.literal_eval(found)
            except (ValueError, SyntaxError):
                continue
            for name, path in mapping.items():
                place = inside(path if os.path.exists(path) else path + ".py", self.checkout)
                if place is not None:
                    ours = True
                    if "." not in name:
                        self.named[name] = place
        return ours

    def owns(self, site: str, info: str) -> bool:
        """Whether a metadata folder is the project's: by its name, by where it was installed from, or by content."""
        name = re.sub(r"(-\d.*)?\.(dist-info|egg-info|egg)$", "", info)
        if info in self.about["metadata"] or plain(name) in self.names:
            return True
        try:
            source = json.loads(read(os.path.join(site, info, "direct_url.json")) or b"{}")
        except ValueError:
            source = {}
        url = unquote(source.get("url", "")).replace("git+", "")
        local = url.startswith("file://") and inside(url[7:], self.checkout) is not None
        if local and "archive_info" not in source:
            return True
        # An index's release may be vendored in the checkout and be equal; what was made here is the project's.
        return (local or not info.endswith(".dist-info")) and self.looks_like(site, info)

    def looks_like(self, site: str, info: str) -> bool:
        """Whether half of the Python files of a distribution are files of the checkout."""
        names = [row[0] for row in csv.reader(read(os.path.join(site, info, "RECORD")).decode().splitlines()) if row]
        for line in read(os.path.join(site, info, "installed-files.txt")).decode().splitlines():
            names.append(os.path.normpath(os.path.join(info, line)))
        contents = [read(os.path.join(site, name)) for name in names if name.endswith(".py")]
        path = os.path.join(site, info)
        if info.endswith(".egg") and os.path.isdir(path):
            contents = [read(os.path.join(path, name)) for name in files_of(path, "") if name.endswith(".py")]
        elif info.endswith(".egg") and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                contents = [archive.read(name) for name in archive.namelist() if name.endswith(".py")]
        contents = [content for content in contents if content.strip()]
        return bool(contents) and sum(self.identity(content) in self.known for content in contents) * 2 >= len(contents)

    def strip_site(self, site: str) -> None:
        """Everything of the project in one folder of installed packages."""
        for info in sorted(os.listdir(site)):
            path = os.path.join(site, info)
            if os.path.islink(path):
                place = inside(path, self.checkout)
                if place is not None:
                    self.named[info.split(".")[0]] = place
                    os.remove(path)
            elif info.endswith((".dist-info", ".egg-info")) and self.owns(site, info):
                self.strip_distribution(site, info)
            elif info.endswith(".egg") and self.owns(site, info):
                self.strip_egg(path)
            elif info.endswith(".egg-link"):
                root = inside(read(path).decode().split("\n")[0].strip(), self.checkout)
                if root is not None:
                    self.roots.append(root)
                    os.remove(path)
                    for made in glob.glob(os.path.join(self.checkout, root, "*.egg-info")):
                        shutil.copytree(made, os.path.join(site, os.path.basename(made)), dirs_exist_ok=True)
        for name in sorted(os.listdir(site)):
            if name.endswith(".pth"):
                self.strip_path_file(os.path.join(site, name))

    def strip_distribution(self, site: str, info: str) -> None:
        """One distribution that says what it installed."""
        folder = os.path.join(site, info)
        own = info + "/"
        self.version = self.version or version_of(folder)
        record = os.path.join(folder, "RECORD")
        rows = list(csv.reader(read(record).decode().splitlines()))
        names = [row[0] for row in rows if row]
        for line in read(os.path.join(folder, "installed-files.txt")).decode().splitlines():
            names.append(os.path.normpath(os.path.join(info, line)))
        files = [name for name in names if not name.startswith((own, "..", "/")) and name != info]
        for name in files:
            self.take(site, name)
        if not files and info.endswith(".egg-info"):
            for top in read(os.path.join(folder, "top_level.txt")).decode().split():
                self.take_tree(site, top)
        remove_empty(site, files)
        direct_url = os.path.join(folder, "direct_url.json")
        if os.path.exists(direct_url):
            os.remove(direct_url)
        for name in names:
            if name.startswith("../"):
                self.strip_program(os.path.normpath(os.path.join(site, name)))
        if rows:
            kept = [row for row in rows if row and row[0].startswith((own, "../")) and "direct_url.json" not in row[0]]
            text = io.StringIO()
            csv.writer(text).writerows(kept)
            write(record, text.getvalue())

    def strip_egg(self, path: str) -> None:
        """An egg, a folder or an archive: a folder with its metadata remains."""
        if os.path.isfile(path):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(path + ".unpacked")
            os.remove(path)
            os.rename(path + ".unpacked", path)
        self.version = self.version or version_of(os.path.join(path, "EGG-INFO"))
        for top in sorted(os.listdir(path)):
            if top != "EGG-INFO":
                self.take_tree(path, top)

    def take_tree(self, site: str, top: str) -> None:
        """A package or module of a site, whole."""
        for name in files_of(site, top):
            self.take(site, name)
        remove_empty(site, [os.path.join(top, "x")])

    def strip_path_file(self, path: str) -> None:
        """Lines of a .pth file that lead into the checkout, or to a finder that did."""
        lines = read(path).decode("utf-8", "replace").splitlines()
        kept = []
        for line in lines:
            place = None if line.startswith(("#", "import ")) or not line.strip() else line.strip()
            root = inside(os.path.join(os.path.dirname(path), place), self.checkout) if place else None
            finders = re.findall(r"\b(_\w*editable\w*)", line) if line.startswith("import ") else []
            finders = [os.path.join(os.path.dirname(path), name + ".py") for name in finders]
            ours = [name for name in finders if self.editable(read(name).decode("utf-8", "replace"))]
            gone = [name for name in finders if not os.path.exists(name)]
            if root is not None:
                self.roots.append(root)
            for name in ours:
                os.remove(name)
            if root is None and not ours and not gone:
                kept.append(line)
        if kept != lines:
            write(path, "".join(line + "\n" for line in kept))

    def strip_program(self, path: str) -> None:
        """A program whose text is a file of the checkout: the arm's own is run instead."""
        program = read(path)
        for place in self.about["blobs"]:
            if os.path.basename(place) != os.path.basename(path):
                continue
            # An installer writes other first lines, which say what runs the rest.
            first, _, rest = read(os.path.join(self.checkout, place)).partition(b"\n")
            if first.startswith(b"#!") and rest.strip() and program.endswith(rest):
                write(path, LAUNCHER.format(place))
                os.chmod(path, 0o755)

    def sweep(self, site: str) -> None:
        """What has no metadata, or another's: copies of tracked files, and modules of the same names."""
        modules = {*self.about["modules"], *map(module_of, self.files)}
        found = {name.split("/")[0].split(".")[0] for name in self.files}
        offered = (
            [] if self.files or self.named else self.about["tops"]
        )  # by the checkout, of which nothing is installed
        for top in sorted({*offered, *self.named, *found}):
            beside = [
                os.path.basename(path) for path in glob.glob(os.path.join(glob.escape(site), glob.escape(top)) + ".*")
            ]
            for name in [*files_of(site, top), *beside]:
                path = os.path.join(site, name)
                if not os.path.isfile(path) or name.endswith((".pth", ".egg-link")):
                    continue
                content = read(path)
                if content.strip() and self.identity(content) in self.known:
                    self.take(site, name)
                elif module_of(name) in modules:
                    os.remove(path)
            remove_empty(site, [top + "/x", *(name for name in self.files if name.startswith(top + "/"))])


def version_of(folder: str) -> str:
    """The version that a metadata folder gives."""
    text = read(os.path.join(folder, "METADATA")) or read(os.path.join(folder, "PKG-INFO"))
    found = re.search(rb"^Version: *(\S+)", text, re.M)
    return found.group(1).decode("ascii", "replace") if found else ""


def module_of(name: str) -> str:
    """The dotted name of the module that a file is, or its path if it is none."""
    match = re.match(r"(.*?)(\.[\w-]+)?\.(py|pyc|so|pyd)$", name)
    found = match.group(1) if match else name
    found = found.replace("__pycache__/", "").replace("/", ".")
    return found[: -len(".__init__")] if found.endswith(".__init__") else found


def files_of(site: str, top: str) -> List[str]:
    """All files of a package or module, by installed name."""
    if os.path.isfile(os.path.join(site, top)):
        return [top]
    path = os.path.join(site, top)
    found = [os.path.join(here, file) for here, _, files in os.walk(path) for file in files if not os.path.islink(path)]
    modules = [path + ending for ending in (".py", ".pyc") if os.path.isfile(path + ending)]
    return sorted(os.path.relpath(name, site) for name in found + modules)


def remove_empty(site: str, names: List[str]) -> None:
    """Remove the folders of files that are gone, and those above, as long as nothing but byte code is in them."""
    for start in sorted({os.path.dirname(name) for name in names}, key=len, reverse=True):
        folder = start
        while folder:
            shutil.rmtree(os.path.join(site, folder, "__pycache__"), ignore_errors=True)
            try:
                os.rmdir(os.path.join(site, folder))
            except FileNotFoundError:
                pass
            except OSError:
                break
            folder = os.path.dirname(folder)


def take(environment: str, checkout: str, taken: str, about: str, found: str) -> None:
    """Do it; see above."""
    with open(about) as file:
        project = Project(checkout, taken, json.load(file))
    make_anew(taken)
    sites = glob.glob(os.path.join(environment, "lib*", "python*", "site-packages"))
    sites = sorted({os.path.realpath(site) for site in sites})
    for site in sites:
        project.strip_site(site)
    for site in sites:
        project.sweep(site)
    told = {"files": project.files, "named": project.named, "roots": project.roots, "version": project.version}
    write(found, json.dumps(told))


def keep(taken: str, generated: str, names: str) -> None:
    """Do it; see above."""
    make_anew(generated)
    with open(names) as file:
        for name in json.load(file):
            os.makedirs(os.path.dirname(os.path.join(generated, name)), exist_ok=True)
            shutil.move(os.path.join(taken, name), os.path.join(generated, name))
    shutil.rmtree(taken, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1] == "take":
        take(*sys.argv[2:])
    else:
        keep(*sys.argv[2:])
