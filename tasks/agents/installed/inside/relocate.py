"""Makes a virtual environment's Python find its shared library where the interpreter is mounted.

    python relocate.py BIN OLD NEW

A Python that was built with a shared library names the library's folder in its program, as it was on the machine that
built it (DT_RUNPATH). Elsewhere it would take another Python's library of the same name, or none. BIN is the
environment's folder of programs; its `python`, a link, becomes a copy that names NEW in the place of OLD. A variable
(LD_LIBRARY_PATH) would not do: the commands that an agent starts would inherit it. Standard library, Python 3.8.
"""

from __future__ import annotations

import os
import shutil
import sys


def relocate(folder: str, old: str, new: str) -> bool:
    """Whether the program named OLD. Raises ValueError if NEW has no room in its place."""
    link = os.path.join(folder, "python")
    with open(link, "rb") as file:
        data = file.read()
    before = b"\0" + os.fsencode(old) + b"\0"
    if before not in data:
        return False
    if len(new) > len(old):
        raise ValueError(f"{new} is longer than {old}, which the program has room for")
    after = b"\0" + os.fsencode(new).ljust(len(os.fsencode(old)), b"\0") + b"\0"
    copy = link + ".new"
    with open(copy, "wb") as file:
        file.write(data.replace(before, after))
    shutil.copymode(link, copy)
    os.replace(copy, link)
    return True


if __name__ == "__main__":
    relocate(*sys.argv[1:])
