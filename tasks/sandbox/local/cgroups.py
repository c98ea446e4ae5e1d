"""Limits and a count of CPU time for a whole tree of processes, where control groups (v1 or v2) are writable.

Where memory and processes cannot be limited (version 2 hands out controllers only to who may have them), a group can
often be made all the same, and every group counts CPU time: limits and metering are found apart.

A group is a folder; its name holds the owner's process id and start time, so that a later run can sweep what a killed
one left behind.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tasks.sandbox.metering.groups import GroupMeter
from tasks.sandbox.metering.hierarchies import UNIFIED, group_of, mounted
from tasks.sandbox.models import Limits
from tasks.sandbox.ownership import OWNER, owner_is_alive

MEBIBYTE = 1024 * 1024
_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "isobench-"
_counter = itertools.count()
_GUARD = """
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do
  for folder do
    for group in "$folder"/$0-*; do
      [ -d "$group" ] || continue
      while read -r pid; do kill -9 "$pid"; done <"$group/cgroup.procs"
      rmdir "$group"
    done
  done
  sleep 0.2
done
"""


@dataclass(frozen=True)
class Places:
    """Folders under which groups can be made: one for v2, one per controller for v1."""

    version: int
    memory: Path
    pids: Path


class Group:
    """One command's control group. Create, let the command join, read how it ended, remove."""

    def __init__(self, places: Places | None, limits: Limits, metering: Path | None = None) -> None:
        """Without `places` it limits nothing, without `metering` it counts nothing.

        Raises OSError where the groups cannot be made after all.
        """
        name = f"{_PREFIX}{OWNER}-{next(_counter)}"
        self._places = places
        limiting = [] if places is None else [places.memory / name, places.pids / name]
        self.metered = None if metering is None else metering / name
        # Joined last is what counts, so that joining the others is not in the sum.
        self.folders = list(dict.fromkeys([*limiting, *([self.metered] if self.metered else [])]))
        try:
            for folder in self.folders:
                folder.mkdir()
            if places is not None:
                self._limit(places.version, limiting[0], limiting[1], limits)
        except OSError:
            self.remove()
            raise

    @property
    def limiting(self) -> bool:
        """Whether the kernel holds its members to the limits."""
        return self._places is not None

    def _limit(self, version: int, memory: Path, pids: Path, limits: Limits) -> None:
        size = str(limits.memory_mb * MEBIBYTE)
        if version == 2:
            (memory / "memory.max").write_text(size)
            _write_if_possible(memory / "memory.swap.max", "0")
        else:
            (memory / "memory.limit_in_bytes").write_text(size)
            _write_if_possible(memory / "memory.memsw.limit_in_bytes", size)
        # Bubblewrap's own two processes and the shell that starts it count too.
        (pids / "pids.max").write_text(str(limits.pids + 2))

    @property
    def join_files(self) -> list[str]:
        """Files to which a process writes its id to join."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    def out_of_memory(self) -> bool:
        """Whether the kernel killed a process of the group for memory."""
        if self._places is None:
            return False
        name = "memory.events" if self._places.version == 2 else "memory.oom_control"
        try:
            lines = (self.folders[0] / name).read_text().splitlines()
        except OSError:
            return False
        return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in lines)

    def kill(self) -> None:
        """Send SIGKILL to every member."""
        for folder in self.folders:
            _kill(folder)

    def remove(self) -> None:
        """Remove the folders, and what still runs in them."""
        for folder in self.folders:
            _remove(folder, timeout_s=2.0)


def _kill(folder: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _remove(folder: Path, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while folder.exists():
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # members that are still ending
            if time.monotonic() > end:
                return
            _kill(folder)
            time.sleep(0.005)


def _write_if_possible(path: Path, value: str) -> None:
    with contextlib.suppress(OSError):
        path.write_text(value)


@lru_cache
def find_places() -> Places | None:
    """Where groups can be made, or None. Tries it out once, and sweeps what dead owners left there."""
    places = _places_v1() or _places_v2()
    if places is None:
        return None
    for folder in {places.memory, places.pids}:
        _sweep(folder)
    try:
        Group(places, Limits()).remove()
    except OSError:
        return None
    _start_guard(places.memory, places.pids)
    return places


@lru_cache
def find_metering() -> Path | None:
    """Where groups can be made that count CPU time, or None. Tries it out once, and sweeps as `find_places` does."""
    for folder in dict.fromkeys(_metering_places()):
        _sweep(folder)
        if _counts(folder):
            _start_guard(folder)
            return folder
    return None


def _metering_places() -> Iterator[Path]:
    for mount in mounted():
        if "cpuacct" in mount.controllers:
            own = group_of("self", "cpuacct")
            yield from (own, mount.point) if own else (mount.point,)
    places = find_places()
    if places is not None and places.version == 2:
        yield places.memory  # one group for both
    if (own := group_of("self", UNIFIED)) is not None:
        yield own
        yield own.parent


def _counts(folder: Path) -> bool:
    """Whether a process can join a group below `folder`, and its time is told."""
    if not os.access(folder, os.W_OK):
        return False
    try:
        group = Group(None, Limits(), folder)
    except OSError:
        return False
    try:
        join = f"echo $$ > '{group.join_files[0]}'"
        done = subprocess.run(["/bin/sh", "-c", join], stderr=subprocess.DEVNULL, check=False, timeout=10)
        return done.returncode == 0 and group.metered is not None and bool(GroupMeter(group.metered).read_ns())
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        group.remove()


@lru_cache
def _start_guard(*folders: Path) -> subprocess.Popen[bytes]:
    """A shell that outlives this process to end what is left in its groups.

    Bubblewrap does not notice an owner that is killed while it makes a sandbox. The shell does: its input ends then.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, f"{_PREFIX}{OWNER}", *map(str, folders)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _own_groups() -> dict[str, str]:
    """Own group per controller; the key of v2 is the empty string."""
    found = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                found[controller] = path.lstrip("/")
    return found


def _places_v1() -> Places | None:
    own = _own_groups()
    if "memory" not in own or "pids" not in own:
        return None
    folders = {}
    for controller in ("memory", "pids"):
        # Inside a container the path is often the host's, which is not mounted there: then the mount's root is ours.
        candidates = [_ROOT / controller / own[controller], _ROOT / controller]
        writable = [folder for folder in candidates if os.access(folder, os.W_OK)]
        if not writable:
            return None
        folders[controller] = writable[0]
    return Places(version=1, memory=folders["memory"], pids=folders["pids"])


def _places_v2() -> Places | None:
    own = _own_groups().get("")
    if own is None or not (_ROOT / "cgroup.controllers").exists():
        return None
    here = _ROOT / own
    # A group with processes of its own cannot hand out controllers (unless it is the root): a sibling of ours can.
    for folder in (here, *[parent for parent in here.parents if parent.is_relative_to(_ROOT)][:1]):
        control = folder / "cgroup.subtree_control"
        _write_if_possible(control, "+memory +pids")
        with contextlib.suppress(OSError):
            if {"memory", "pids"} <= set(control.read_text().split()) and os.access(folder, os.W_OK):
                return Places(version=2, memory=folder, pids=folder)
    return None


def _sweep(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for left in folder.glob(f"{_PREFIX}*"):
            owner = left.name.removeprefix(_PREFIX).rsplit("-", 1)[0]
            if not owner_is_alive(owner):
                _remove(left, timeout_s=2.0)
