"""Where tasks that others published come in the ranking of repositories that nobody labelled here.

    python -m tests.benchmarks.mining_published ~/clones/Pillow ~/clones/pydantic

The tasks are GSO's of these repositories, as far as their ids were found; an id names the commit that made it faster. A
commit inside of a merge counts as the merge. A change ranks behind all others of its score.
"""

from __future__ import annotations

import argparse
from bisect import bisect_right
from pathlib import Path

import git
from rich.console import Console
from rich.table import Table

from tests.benchmarks.mining_labels import score_history

TASKS = {
    "Pillow": ("63f398b", "d8af3fc", "f854676", "fd8ee84", "4bc33d3"),
    "pydantic": ("4a09447", "ac9e6ee", "addf1f9", "c2647ab"),
}
TOPS = (0.01, 0.05, 0.10)


def landed(repo: git.Repo, sha: str, head: str, chain: set[str]) -> str | None:
    """The step of the main branch that brought a commit in; None if none did."""
    if sha in chain:
        return sha
    after = str(repo.git.rev_list("--ancestry-path", f"{sha}..{head}")).split()
    return next((step for step in reversed(after) if step in chain), None)


def main() -> None:
    """Rank and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", nargs="+", type=Path, help=f"clones of {', '.join(TASKS)}")
    view = Table("repository", "task", "landed as", "ranks at", "score", "keyword filter")
    shares: list[float] = []
    for path in parser.parse_args().clones:
        with git.Repo(path) as repo:
            head = str(repo.git.rev_parse("HEAD"))
            history = score_history(path, head)
            falling = sorted(-scored.score for scored in history.values())
            known = {name: repo.git.rev_parse("--verify", "--quiet", name, with_exceptions=False) for name in
                     (task for tasks in TASKS.values() for task in tasks)}  # fmt: skip
            for name, sha in known.items():
                step = landed(repo, str(sha), head, set(history)) if sha else None
                if step is None:
                    continue
                scored = history[step]
                shares.append(bisect_right(falling, -scored.score) / len(falling))
                kept = "keeps" if scored.kept else "drops"
                view.add_row(path.name, name, step[:10], f"{shares[-1]:.1%}", f"{scored.score:g}", kept)
    Console(width=100).print(view)
    for top in TOPS:
        Console().print(f"in the best {top:.0%}: {sum(share <= top for share in shares)} of {len(shares)}")


if __name__ == "__main__":
    main()
