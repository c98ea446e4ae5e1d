"""Who and where a command is, in both sandboxes: its user, its host, and the files that programs look them up in."""

from __future__ import annotations

import atexit
import shutil
from functools import lru_cache
from pathlib import Path

from tasks.sandbox.models import WORK_DIR, Mount
from tasks.sandbox.ownership import private_folder

USER_ID = 1000
"""User and group inside, whoever runs the sandbox outside."""
HOST_NAME = "sandbox"
_FILES = {
    "passwd": f"sandbox:x:{USER_ID}:{USER_ID}::{WORK_DIR}:/bin/sh\n",
    "group": f"sandbox:x:{USER_ID}:\n",
    # No ::1: containers have no IPv6, and servers of `localhost` would be refused an address that its name promises.
    "hosts": f"127.0.0.1 localhost {HOST_NAME}\n",
}
"""Of /etc. They name nobody of the machine."""


def write_names(folder: Path) -> None:
    """Write the files, readable by anybody, whatever this process's umask says."""
    for name, text in _FILES.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)


def names(folder: Path, network: bool) -> list[Mount]:
    """The files as mounts; with a network, hosts are found as the machine finds them."""
    return [Mount(source=folder / name, target=f"/etc/{name}") for name in _FILES if name != "hosts" or not network]


@lru_cache
def names_folder() -> Path:
    """A folder with the files that lives as long as this process."""
    folder = private_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_names(folder)
    return folder
