"""How many candidates of repositories that are new to isobench get an environment, and what becomes of the others.

    python -m tests.benchmarks.environments ~/clones --work /tmp/environments
    python -m tests.benchmarks.environments ~/clones --work /tmp/environments --fixed 3.11 --only tornado
    python -m tests.benchmarks.environments --table /tmp/environments/auto.jsonl

Takes the best candidates by score of `yields/candidates.jsonl`, whose labels were written before any environment was
built, and builds the environment of each as the dataset flow does. `~/clones` holds a clone of each repository under
its name. `--fixed` is what isobench did before it chose a Python: that version for all, with pytest of the day. A
candidate counts if both commits import and pytest can import four fifths of the human commit's test files. Results are
kept in the work folder as they come, and a second run goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from configs.models import EnvironmentConfig, RepositoryConfig, SandboxConfig
from tasks.code.clones import clone_path
from tasks.environments.arms.checking_out import check_out
from tasks.environments.builds.building import build_environment
from tasks.environments.models import Built, EnvironmentWanted
from tasks.environments.repair.collecting import Collected, collect, test_files
from tasks.environments.repair.ladder import ENOUGH, climb
from tasks.environments.trees import tracked_files
from tasks.sandbox.models import SandboxError

LIST = Path(__file__).parent / "yields" / "candidates.jsonl"
_LANGUAGES: dict[str, list[Any]] = {
    "aio-libs/multidict": ["python", "c", "cython"],
    "msgpack/msgpack-python": ["python", "c", "cython"],
    "tskit-dev/tskit": ["python", "c"],
    "nucleic/atom": ["python", "cpp"],
    "simplejson/simplejson": ["python", "c"],
}


def candidates(per: int, only: str) -> Iterator[dict[str, Any]]:
    """The best of each repository, one of each in turn, so that a run that is stopped has seen all."""
    rows = [json.loads(line) for line in LIST.read_text().splitlines()]
    wanted = [row for row in rows if row["rank"] <= per and only in row["repo"]]
    yield from sorted(wanted, key=lambda row: row["rank"])


def measure(row: dict[str, Any], clones: Path, work: Path, fixed: str | None, sandbox: SandboxConfig) -> dict[str, Any]:
    """One candidate's environment: what came of it, after how many tries, and how long it took."""
    clone = clones / row["repo"].rpartition("/")[2]
    repository = RepositoryConfig(name=row["repo"], url=str(clone), languages=_LANGUAGES.get(row["repo"], ["python"]))
    known = work / clone_path(repository.name)
    known.parent.mkdir(parents=True, exist_ok=True)
    if not known.exists():
        known.symlink_to(clone.resolve())
    asked = EnvironmentConfig()
    if fixed:
        asked = EnvironmentConfig(python=fixed, packages=["pytest"], project=".")
    started, date = time.monotonic(), datetime.fromisoformat(row["date"])
    wanted = EnvironmentWanted(repository, asked, sandbox, row["parent"], row["sha"], date)
    found: dict[str, Any] = {"repo": row["repo"], "sha": row["sha"], "rank": row["rank"]}
    try:
        if fixed:
            built = build_environment(wanted, work)
            tests, tries = _collected(built, repository, asked, sandbox, row["sha"], work), []
        else:
            climbed = climb(wanted, work)
            built, tries = climbed.built, [step.model_dump(mode="json") for step in climbed.tries]
            chosen = next((step for step in climbed.tries if step.chosen), None)
            tests = Collected(chosen.test_files, chosen.test_files_imported, chosen.reason) if chosen else None
    except SandboxError as error:
        return found | {"outcome": "fault", "reason": str(error), "seconds": time.monotonic() - started}
    good = built.environment is not None and tests is not None and tests.share >= ENOUGH
    reason = built.reason or (tests.cause if tests is not None and not good else "")
    return found | {
        "outcome": "ok" if good else "no_tests" if built.environment else "none",
        "reason": reason, "fault": built.fault, "log": built.log, "seconds": round(time.monotonic() - started, 1),
        "tests": [tests.imported, tests.files] if tests else None,
        "python": built.settings.python if built.settings else fixed, "tries": tries,
    }  # fmt: skip


def _collected(
    built: Built, repository: RepositoryConfig, asked: EnvironmentConfig, sandbox: SandboxConfig, sha: str, work: Path
) -> Collected | None:
    if built.environment is None:
        return None
    arm = check_out(repository, asked, built.environment, sandbox, sha, "human", None, work).arm
    files = test_files(tracked_files(work / clone_path(repository.name), sha), ".")
    return collect(arm, files, sandbox, work) if arm else None


def results_of(file: Path) -> list[dict[str, Any]]:
    """What is known so far, without what the network or the machine prevented."""
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    found = {(row["repo"], row["sha"]): row for row in rows if row["outcome"] != "fault"}
    return sorted(found.values(), key=lambda row: (row["repo"].lower(), row["rank"]))


def table(results: list[dict[str, Any]]) -> Table:
    """Per repository: how many have an environment, and why the others have none."""
    shown = Table("repository", "candidates", "environments", "with tests", "Pythons", "tries", "seconds")
    by_repo = defaultdict(list)
    for result in results:
        by_repo[result["repo"]].append(result)
        by_repo["all"].append(result)
    for repo, rows in by_repo.items():
        pythons = sorted({row["python"] for row in rows if row.get("python")}, key=lambda text: int(text[2:] or 0))
        good, some = (sum(row["outcome"] in kinds for row in rows) for kinds in (("ok",), ("ok", "no_tests")))
        tries, seconds = sum(len(row.get("tries", ())) or 1 for row in rows), sum(row["seconds"] for row in rows)
        shown.add_row(
            repo, str(len(rows)), str(some), str(good), ", ".join(pythons), str(tries), f"{seconds:.0f}"
        )  # fmt: skip
    return shown


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", type=Path, nargs="?")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--fixed", help="a Python for all, as before")
    parser.add_argument("--per", type=int, default=5, help="candidates per repository")
    parser.add_argument("--only", default="", help="part of a repository's name")
    parser.add_argument("--sandbox", choices=("local", "docker"), default="local")
    parser.add_argument("--table", type=Path, help="only print the table of these results")
    options = parser.parse_args()
    console = Console(width=160)
    file = options.table or options.work / f"{options.fixed or 'auto'}.jsonl"
    if options.table is None:
        options.work.mkdir(parents=True, exist_ok=True)
        sandbox = SandboxConfig(kind=options.sandbox)
        for row in candidates(options.per, options.only):
            if (row["repo"], row["sha"]) in {(done["repo"], done["sha"]) for done in results_of(file)}:
                continue  # maybe by another process, which is about other repositories
            result = measure(row, options.clones, options.work.resolve(), options.fixed, sandbox)
            with file.open("a") as out:
                out.write(json.dumps(result) + "\n")
            said = f"{row['repo']} {row['sha'][:10]} {result['outcome']} {result['seconds']:.0f} s {result['reason']}"
            console.print(said, markup=False, highlight=False)
    results = results_of(file)
    console.print(table(results))
    for result in results:
        if result["outcome"] != "ok":
            console.print(f"{result['repo']} {result['sha'][:10]}: {result['reason']}", markup=False, highlight=False)


if __name__ == "__main__":
    main()
