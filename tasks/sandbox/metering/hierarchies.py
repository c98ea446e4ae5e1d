"""Where control groups are mounted, and where a process's own group lies there: versions 1 and 2, also side by side.

`/proc/<pid>/cgroup` tells a path within the hierarchy, `/proc/self/mountinfo` which part of the hierarchy is mounted
where. A container sees a part only, under the names of the whole or of its own namespace.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNIFIED = ""
"""Stands for version 2 where a controller of version 1 is named."""


@dataclass(frozen=True)
class Mounted:
    """A mounted hierarchy, or part of one."""

    point: Path
    root: str
    """The group that is seen at `point`, as a path within the hierarchy."""
    controllers: frozenset[str]
    """Of version 1; version 2 holds UNIFIED alone."""


def mounted(mountinfo: Path = Path("/proc/self/mountinfo")) -> list[Mounted]:
    """All mounts of control groups, in the order in which they were made."""
    try:
        lines = mountinfo.read_text().splitlines()
    except OSError:
        return []
    return list(_hierarchies(lines))


def _hierarchies(lines: list[str]) -> Iterator[Mounted]:
    # proc_pid_mountinfo(5): id, parent, device, root, mount point, options, further fields, "-", type, source, options.
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        controllers = {UNIFIED} if kind[0] == "cgroup2" else set(kind[2].split(","))
        yield Mounted(Path(_unescaped(fields[4])), _unescaped(fields[3]), frozenset(controllers))


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def group_of(pid: int | str, controller: str) -> Path | None:
    """The folder of a process's group, as it is seen here; None if it is not.

    `pid` may be `self`; `controller` is one of version 1, or UNIFIED.
    """
    path = _path_of(pid, controller)
    if path is None:
        return None
    for found in mounted():
        if controller in found.controllers and (folder := _seen(found, path)) is not None:
            return folder
    return None


def _path_of(pid: int | str, controller: str) -> str | None:
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return None


def _seen(found: Mounted, path: str) -> Path | None:
    """The folder of the group at `path`, below the mount."""
    # What lies outside of one's namespace is told with "..": its name, or one's own below it, is not known.
    if ".." in (*path.split("/"), *found.root.split("/")):
        return None
    if path != found.root and not path.startswith(found.root.rstrip("/") + "/"):
        return None
    folder = found.point / os.path.relpath(path, found.root)
    return folder if folder.is_dir() else None
