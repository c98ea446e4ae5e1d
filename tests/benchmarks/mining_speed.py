"""Speed of mining on a clone, beside `git log -p` and PyDriller on the same history.

    python -m tests.benchmarks.mining_speed /path/to/networkx.git --repeat 3

Example with fewer changes and without the slow ones:
`python -m tests.benchmarks.mining_speed . --newest 500 --skip pydriller five`

Methods take turns. `git log -p` prints the whole first-parent history to nowhere, in one process. `isobench` judges
all of it, functions and features included, and writes the table. `five` is the customary way: five git processes per
commit. The last two are slow, so they get the newest `--sample` changes only. Wall is the median in seconds, CPU
counts all processes, memory is the peak of the whole process tree (shared pages counted once), `of it no files` without
pages of libraries and packs. `incremental` is isobench again after all but the newest 10 changes were mined before.

Where a clone lacks objects, `git log -p` ends at the first change that needs one. It then gets the list of the others.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import psutil
from rich.console import Console
from rich.table import Table

from configs.models import MiningConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Commit
from tasks.mining.git.clone import sync_repository
from tasks.mining.git.history import first_parent_chain
from tasks.mining.git.process import open_repository
from tasks.mining.mine import MISSING, mine_repository

NAME = "bench/mark"


@dataclass
class Runs:
    """What a method took, each time."""

    changes: int = 0
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: int = 0
    anonymous: int = 0

    @property
    def rate(self) -> float:
        """Changes per second of wall time."""
        return self.changes / statistics.median(self.wall)

    @property
    def cpu_each(self) -> float:
        """Milliseconds of CPU per change."""
        return 1000 * statistics.median(self.cpu) / self.changes


def cpu_seconds() -> float:
    """CPU time of this process and of its children that ended."""
    return sum(os.times()[:4])


def memory(pid: int) -> dict[str, int]:
    """KiB by kind, of a process; nothing if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}


@contextmanager
def peak_memory(runs: Runs) -> Iterator[None]:
    """Watches the process tree: proportional set size, so pages that several share count once. `anonymous` leaves out
    pages of files (libraries, packs), which the system takes back when it needs memory."""
    stop = threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not stop.wait(0.2):
            sizes = [memory(process.pid) for process in (me, *me.children(recursive=True))]
            runs.peak = max(runs.peak, sum(size.get("Pss", 0) for size in sizes))
            runs.anonymous = max(runs.anonymous, sum(size.get("Pss_Anon", 0) for size in sizes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def measure(runs: Runs, work: Callable[[], object], changes: int, *, memory: bool = False) -> None:
    """One run. Memory is watched in a run of its own: watching costs time."""
    runs.changes = changes
    if memory:
        with peak_memory(runs):
            work()
        return
    cpu, wall = cpu_seconds(), time.perf_counter()
    work()
    runs.wall.append(time.perf_counter() - wall)
    runs.cpu.append(cpu_seconds() - cpu)


def git_log(clone: Path, shas: list[str], unreadable: set[str]) -> None:
    """The yardstick: these changes, newest first."""
    command = ["git", "-C", str(clone), "log", "-p", "--first-parent", "--diff-merges=first-parent"]
    if unreadable:
        lines = "".join(f"{sha}\n" for sha in reversed(shas) if sha not in unreadable)
        command += ["--no-walk=unsorted", "--stdin"]
        subprocess.run(command, input=lines.encode(), stdout=subprocess.DEVNULL, check=True)
    else:
        subprocess.run([*command, f"-n{len(shas)}", shas[-1]], stdout=subprocess.DEVNULL, check=True)


def lacking(store: Store) -> set[str]:
    """Changes that could not be diffed."""
    rows = store.frame(Commit, NAME, columns=("sha", "reason"))
    return set(rows.filter(pl.col("reason").str.starts_with(MISSING))["sha"])


def isobench(store: Store, head: str, newest: int, code: str) -> None:
    """Mining as `isobench mine` does it; another `code` judges all anew."""
    mine_repository(RepositoryConfig(name=NAME), MiningConfig(max_commits=newest), head, store, code)


def pydriller(clone: Path, shas: list[str]) -> None:
    """The same changes with their diffs, line counts and changed methods, as PyDriller gives them."""
    from pydriller import Repository

    for commit in Repository(str(clone), only_commits=shas).traverse_commits():
        for file in commit.modified_files:
            _ = (file.diff, file.added_lines, file.changed_methods)


def five(clone: Path, shas: list[str]) -> None:
    """Five git processes per commit."""
    for sha in shas:
        for arguments in (
            ["show", "-s", "--format=%an%n%ae%n%at%n%B", sha], ["rev-parse", f"{sha}^"], ["diff", f"{sha}^", sha],
            ["diff", "--name-only", f"{sha}^", sha], ["diff", "--numstat", f"{sha}^", sha],
        ):  # fmt: skip
            subprocess.run(["git", "-C", str(clone), *arguments], capture_output=True, check=False)


def table(results: dict[str, Runs]) -> Table:
    """Rates, and how they compare with git's."""
    shown = Table(
        "method", "changes", "wall s", "changes/s", "of git's rate", "CPU ms each", "peak MiB", "of it no files"
    )
    yardstick = results["git log -p"]
    for name, runs in results.items():
        if not runs.wall:
            continue
        peak = [f"{size / 2**10:.0f}" if size else "" for size in (runs.peak, runs.anonymous)]
        wall = statistics.median(runs.wall)
        rates = [f"{runs.rate:,.0f}", f"{runs.rate / yardstick.rate:.2f}"] if name != "incremental" else ["", ""]
        shown.add_row(name, str(runs.changes), f"{wall:.2f}", *rates, f"{runs.cpu_each:.2f}", *peak)
    return shown


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", help="a git repository; it is only read")
    parser.add_argument("--newest", type=int, default=10**9, help="changes of the history, from the newest")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--sample", type=int, default=200, help="changes for pydriller and five")
    parser.add_argument("--skip", nargs="*", default=[], choices=["pydriller", "five", "incremental", "memory"])
    options = parser.parse_args()
    names = ["git log -p", "isobench", "incremental", "pydriller", "five"]
    results = {name: Runs() for name in names if name not in options.skip}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        source = str(Path(options.clone).resolve())
        clone = sync_repository(RepositoryConfig(name=NAME, url=source), store)
        path = store.work / clone.path
        with open_repository(path) as repo:
            chain = list(first_parent_chain(repo, clone.head_sha, newest=options.newest))
        sample = chain[-options.sample :]
        if "memory" not in options.skip:
            first = Store(Path(folder) / "memory")
            (first.work / "clones").symlink_to(store.work / "clones")
            measure(
                results["isobench"], lambda: isobench(first, clone.head_sha, len(chain), "a"), len(chain), memory=True
            )
        unreadable: set[str] = set()
        for turn in range(options.repeat):
            fresh = Store(Path(folder) / f"turn{turn}")
            (fresh.work / "clones").symlink_to(store.work / "clones")
            measure(results["isobench"], lambda s=fresh: isobench(s, clone.head_sha, len(chain), "a"), len(chain))  # type: ignore[misc]
            unreadable = unreadable or lacking(fresh)
            measure(results["git log -p"], lambda u=unreadable: git_log(path, chain, u), len(chain) - len(unreadable))  # type: ignore[misc]
            if "incremental" in results and len(chain) > 10:
                again = Store(Path(folder) / f"again{turn}")
                (again.work / "clones").symlink_to(store.work / "clones")
                isobench(again, chain[-11], len(chain), "a")
                new = Store(again.root)
                measure(results["incremental"], lambda s=new: isobench(s, clone.head_sha, len(chain), "a"), 10)  # type: ignore[misc]
            for name, work in (("pydriller", pydriller), ("five", five)):
                if name in results:
                    measure(results[name], lambda w=work: w(path, sample), len(sample))  # type: ignore[misc]
    lacks = f", {len(unreadable)} lack objects" if unreadable else ""
    Console(width=110).print(
        f"{source}: {len(chain)} changes{lacks}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
    )
    Console(width=110).print(table(results))


if __name__ == "__main__":
    main()
