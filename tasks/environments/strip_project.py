"""Takes the project's own code out of an environment into which it was installed. Runs inside, standard library only.

    python strip_project.py DIST_INFO CHECKOUT GENERATED

DIST_INFO is the name of the project's metadata folder, e.g. `networkx-2.8.dist-info`.

What remains is the metadata (`*.dist-info`: version, entry points), so that only an arm's checkout provides the code.
Files that the installation made and the checkout lacks (a version file, a compiled module) move to GENERATED.
Prints JSON: {"roots": [folders of the checkout to import from], "imports": [top-level names]}.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
import sysconfig

SKIPPED = {".git", "node_modules", "build", "dist", ".venv", "venv", ".tox", "__pycache__"}


def find_roots(checkout: str, files: list) -> list:
    """Folders of the checkout below which the installed files lie, best first."""
    wanted = {name for name in files if name.endswith((".py", ".pyx", ".pyi"))}
    found = {}
    for folder, folders, _ in os.walk(checkout):
        folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
        depth = os.path.relpath(folder, checkout).count(os.sep)
        if depth > 2:
            folders[:] = []
        here = sum(os.path.exists(os.path.join(folder, name)) for name in wanted)
        if here:
            found[os.path.relpath(folder, checkout)] = here
    # A root that holds nothing beyond a better one (a copy, an example) is none.
    chosen = []
    covered = set()  # type: set[str]
    for root in sorted(found, key=lambda name: (-found[name], name.count(os.sep), name)):
        new = {name for name in wanted - covered if os.path.exists(os.path.join(checkout, root, name))}
        if new:
            chosen.append(root)
            covered |= new
    return chosen


def remove_empty(site: str, folder: str) -> None:
    """Remove a folder of site-packages, and those above it, as long as nothing but byte code is in them."""
    while folder:
        shutil.rmtree(os.path.join(site, folder, "__pycache__"), ignore_errors=True)
        try:
            os.rmdir(os.path.join(site, folder))
        except OSError:
            return
        folder = os.path.dirname(folder)


def main(metadata: str, checkout: str, generated: str) -> dict:
    """Do it; see above."""
    sites = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    site = next(path for path in sites if os.path.isdir(os.path.join(path, metadata)))
    dist_info = os.path.join(site, metadata)
    with open(os.path.join(dist_info, "RECORD"), newline="") as file:
        rows = list(csv.reader(file))
    own = os.path.basename(dist_info) + "/"
    files = [row[0] for row in rows if row and not row[0].startswith((own, "..", "/"))]
    roots = find_roots(checkout, files)
    for name in files:
        path = os.path.join(site, name)
        if not os.path.lexists(path):
            continue
        in_checkout = any(os.path.exists(os.path.join(checkout, root, name)) for root in roots)
        if in_checkout or name.endswith((".pyc", ".pth")):
            os.remove(path)
        else:
            target = os.path.join(generated, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.move(path, target)
    for folder in sorted({os.path.dirname(name) for name in files}, key=len, reverse=True):
        remove_empty(site, folder)
    direct_url = os.path.join(dist_info, "direct_url.json")
    if os.path.exists(direct_url):
        os.remove(direct_url)
    kept = [row for row in rows if row and row[0].startswith((own, "..")) and not row[0].endswith("direct_url.json")]
    with open(os.path.join(dist_info, "RECORD"), "w", newline="") as file:
        csv.writer(file).writerows(kept)
    imports = {part.split("/")[0] if "/" in part else part.rsplit(".", 1)[0] for part in files if part.endswith(".py")}
    return {"roots": roots, "imports": sorted(imports)}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
