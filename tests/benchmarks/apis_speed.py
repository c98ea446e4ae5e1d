"""How long the search for APIs takes, and for how many of the changed functions it finds a public path.

    python -m tests.benchmarks.apis_speed ~/clones/networkx ~/clones/numpy --languages python c cpp cython

mines the newest changes of each clone with the default filters, takes a sample of the kept ones, evenly spread and in
the order of history as the flow has them, and finds their APIs in one process. The time of a commit is that of the
stage without Prefect: both versions of the repository are read, rows are written. Then each changed function is
searched for by itself.
`--json` keeps every row that was found, to compare two versions of the code; `--profile` says where the time went.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from configs.models import MiningConfig, RepositoryConfig
from storage.store import Store
from storage.tables import Api, Commit
from tasks.apis.find import find_apis, read_graph
from tasks.apis.reach import reach
from tasks.apis.source import open_clone
from tasks.apis.starts import find_starts, is_compiled
from tasks.mining.git.clone import sync_repository
from tasks.mining.mine import mine_repository


def sample(repository: RepositoryConfig, store: Store, newest: int, size: int) -> list[Commit]:
    """Kept changes, evenly spread over the newest ones, in the order of history."""
    clone = sync_repository(repository, store)
    mined = mine_repository(repository, MiningConfig(max_commits=newest), clone.head_sha, store)
    rows = store.rows(Commit, repository.name, sha=mined.kept)
    rows.sort(key=lambda row: (row.author_date, row.sha))
    step = max(1.0, len(rows) / size)
    return [rows[int(number * step)] for number in range(min(size, len(rows)))]


def with_path(repository: RepositoryConfig, commits: list[Commit], store: Store) -> tuple[int, int]:
    """(changed functions that something public reaches, changed functions), each searched for by itself."""
    reached = total = 0
    with open_clone(store.work / "clones" / f"{repository.name.replace('/', '__')}.git") as repo:
        for commit in commits:
            names = commit.functions_changed
            compiled = any(is_compiled(name.partition("::")[0]) for name in names)
            graph, bindings = read_graph(repo, commit.sha, compiled=compiled)
            for name in names:
                starts, _ = find_starts(graph, bindings, [name], commit.patch)
                reached += bool(starts and reach(graph, starts)[0])
            total += len(names)
    return reached, total


def measure(path: Path, options: argparse.Namespace, root: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """A row of the table, and what was found."""
    name = f"measured/{path.resolve().parent.name if path.name == 'repo' else path.name.removesuffix('.git')}"
    repository = RepositoryConfig(name=name, url=str(path), languages=options.languages)
    store = Store(root)
    commits = sample(repository, store, options.newest, options.sample)
    profile = cProfile.Profile()
    wall, cpu = time.perf_counter(), time.process_time()
    with_any = 0
    for commit in commits:
        if options.profile:
            profile.enable()
        with_any += bool(find_apis(repository, commit.sha, None, store).apis)
        profile.disable()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    share = ["-", "-"] if options.no_share else [str(number) for number in with_path(repository, commits, store)]
    rows = [row.model_dump(mode="json") for row in store.rows(Api, repository.name)]
    count = len(commits)
    return [
        repository.name.partition("/")[2], str(count), str(with_any), share[1], share[0], f"{cpu / count:.2f}",
        f"{wall / count:.2f}", f"{count / wall:.2f}", f"{peak:.0f}",
    ], rows  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", nargs="+", type=Path, help="local clones")
    parser.add_argument("--languages", nargs="+", default=["python"], help="of all clones (default: python)")
    parser.add_argument("--newest", type=int, default=1500, help="changes to mine (default: 1500)")
    parser.add_argument("--sample", type=int, default=15, help="kept changes to look at (default: 15)")
    parser.add_argument("--no-share", action="store_true", help="do not search for each function by itself")
    parser.add_argument("--profile", action="store_true", help="print where the time went")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    options = parser.parse_args()
    view = Table("repository", "commits", "with a name", "functions", "with a path", "CPU s each", "wall s each",
                 "commits/s", "MiB")  # fmt: skip
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(options.clones):
            cells, rows = measure(path, options, Path(folder) / str(number))
            view.add_row(*cells)
            found += rows
    Console(width=110).print(view)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
