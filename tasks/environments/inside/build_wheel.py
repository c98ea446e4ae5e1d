"""Builds one arm's wheel and hands out the files in it, as one stream on stdout. Runs inside, standard library only.

    python build_wheel.py ARM WORK PROJECT BACKEND [FOLDER...]

ARM is the checkout, WORK an empty writable folder, PROJECT the folder of ARM that is built, BACKEND the build system's
entry (`module:object`), FOLDERs are where it is imported from. The stream: per file the length of its name (4 bytes), 1
if it is executable (1), its length (8), name, content; at the end a name of length 0. The module
`tasks.environments.arms.compiling` reads it and believes nothing of it.
"""

from __future__ import annotations

import importlib
import os
import shutil
import stat
import struct
import sys
import zipfile
from typing import BinaryIO

HEADER = ">IBQ"


def build(arm: str, work: str, project: str, backend: str, folders: list) -> str:
    """Build in a copy of the checkout; returns the folder with the wheel."""
    source, out = os.path.join(work, "source"), os.path.join(work, "out")
    shutil.copytree(arm, source, symlinks=True)
    os.makedirs(out)
    os.chdir(os.path.join(source, project))
    sys.path[:0] = [os.path.abspath(folder) for folder in folders]
    # The build system's own interface (PEP 517), called directly: it needs no tool inside and no network.
    module, _, attribute = backend.partition(":")
    made = importlib.import_module(module)
    for name in filter(None, attribute.split(".")):
        made = getattr(made, name)
    made.build_wheel(out)
    return out


def open_wheel(out: str) -> BinaryIO:
    """The one wheel in the folder, if that is a regular file."""
    found = [name for name in os.listdir(out) if name.endswith(".whl")]
    if len(found) == 1:
        path = os.path.join(out, found[0])
        if stat.S_ISREG(os.lstat(path).st_mode):
            return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    sys.exit("the build made no wheel")


def hand_out(wheel: zipfile.ZipFile, stream: BinaryIO) -> None:
    """Write what belongs into a checkout: no metadata, no data folders, and of twins the later."""
    for name, info in {info.filename: info for info in wheel.infolist()}.items():
        if info.is_dir() or name.split("/")[0].endswith((".dist-info", ".data")):
            continue
        encoded = name.encode("utf-8", "surrogateescape")
        stream.write(struct.pack(HEADER, len(encoded), bool(info.external_attr >> 16 & 0o100), info.file_size))
        stream.write(encoded)
        with wheel.open(info) as member:
            shutil.copyfileobj(member, stream)
    stream.write(struct.pack(HEADER, 0, 0, 0))
    stream.flush()


def main(arm: str, work: str, project: str, backend: str, *folders: str) -> None:
    """Do it; see above."""
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the build prints
    out = build(arm, work, project, backend, list(folders))
    try:
        with open_wheel(out) as file, zipfile.ZipFile(file) as wheel:
            hand_out(wheel, stream)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        sys.exit(f"the build made a broken wheel: {error}")
    os._exit(0)  # threads that the build left would go on


if __name__ == "__main__":
    main(*sys.argv[1:])
