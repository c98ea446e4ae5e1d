"""Where tasks that others published come in the ranking.

    python -m tests.benchmarks.mining_published ~/clones/Pillow ~/clones/pydantic ~/clones/dask
    python -m tests.benchmarks.mining_published --counts ~/clones/xarray ~/clones/astropy ~/clones/datasets

The tasks are those of GSO (an id names the commit) and SWE-fficiency (an id names the pull request), as far as
ids were found in public texts; those of numpy, tornado and the third of tokenizers were written down from memory, and
kept where they name a commit: no list is whole, and one of them may not be GSO's. A commit inside of a merge counts as
the merge. A change ranks behind all others of its score. Of numpy and tornado other changes were labelled here. Tasks
of Pillow, pydantic and dask were read when features were chosen; those of the rest were not: `--counts` prints no more
of them than how many come where.
"""

from __future__ import annotations

import argparse
import re
from bisect import bisect_right
from pathlib import Path

import git
from rich.console import Console
from rich.table import Table

from tests.benchmarks.mining_labels import score_history

GSO: dict[str, tuple[str, ...]] = {
    "Pillow": ("63f398b", "d8af3fc", "f854676", "fd8ee84", "4bc33d3"),
    "pydantic": ("4a09447", "ac9e6ee", "addf1f9", "c2647ab"),
    "datasets": ("5994036", "c5464b3", "ef3b5dd"),
    "tokenizers": ("076319d", "bfd9cde", "fc76ad4"),
    "llama-cpp-python": ("218d361", "2bc1d97"),
    # the labels come from these two
    "numpy": (
        "09db9c7", "1b861a2", "1fcda82", "22ab9aa", "248c60e", "2dfd21e", "330057f", "382b3ff", "567b57d", "68eead8",
        "728fedc", "794f474", "7ff7ec7", "83c780d", "8dd6761", "ac5c664", "b862e4f", "ba89ef9", "be52f19", "cb0d7cd",
        "cb461ba", "cedba62", "e801e7a", "ee75c87", "eb21b25", "ef5e545", "f9c45f8", "19bfa3f",
    ),
    "tornado": ("9a18f6c", "ac13ee5", "d4eb8eb", "1b464c4", "4d4c1e0"),
}  # fmt: skip
SWE_FFICIENCY: dict[str, tuple[int, ...]] = {
    "dask": (
        5501, 5553, 5884, 5890, 5891, 5933, 5940, 6186, 6293, 6491, 6669, 7023, 7104, 7172, 7403, 10356, 10428, 10922,
        11625,
    ),
    "xarray": (4740, 5661, 7374, 7382, 7472, 7735, 7796, 7824, 9001, 9429, 9808),
    "astropy": (
        6940, 6941, 7010, 7422, 7549, 7616, 7643, 7649, 7924, 8349, 8428, 8494, 8502, 8998, 12699, 12701, 13471, 13497,
        13898, 13899, 15900, 16088, 16096, 16222, 16243, 16295, 16670, 16673, 16742, 16813, 17004, 17043, 17425, 17461,
    ),
}  # fmt: skip
TOPS = (0.01, 0.05, 0.10)
_NUMBER = re.compile(r"\(#(\d+)\)\s*$|^Merge pull request #(\d+) ")


def landed(repo: git.Repo, sha: str, head: str, chain: set[str]) -> str | None:
    """The step of the main branch that brought a commit in; None if none did."""
    if sha in chain:
        return sha
    after = str(repo.git.rev_list("--ancestry-path", f"{sha}..{head}")).split()
    return next((step for step in reversed(after) if step in chain), None)


def tasks_of(repo: git.Repo, name: str, head: str, chain: set[str]) -> dict[str, str]:
    """Task -> the change of the main branch that it names, of those that are there."""
    found: dict[str, str] = {}
    for prefix in GSO.get(name, ()):
        sha = str(repo.git.rev_parse("--verify", "--quiet", f"{prefix}^{{commit}}", with_exceptions=False))
        if sha and (step := landed(repo, sha, head, chain)):
            found[prefix] = step
    wanted = {str(number) for number in SWE_FFICIENCY.get(name, ())}
    for line in str(repo.git.log("--first-parent", "--format=%H %s", head)).splitlines() if wanted else []:
        sha, _, subject = line.partition(" ")
        match = _NUMBER.search(subject)
        number = (match[1] or match[2]) if match else ""
        if number in wanted:
            found[f"#{number}"] = sha
    return found


def main() -> None:
    """Rank and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = sorted({*GSO, *SWE_FFICIENCY})
    parser.add_argument("clones", nargs="+", type=Path, help=f"clones named {', '.join(known)}")
    parser.add_argument("--counts", action="store_true", help="print no single task")
    options = parser.parse_args()
    view = Table("repository", "task", "landed as", "ranks at", "score", "keyword filter", "title and features")
    total = Table("repository", "changes", "tasks", *(f"best {top:.0%}" for top in TOPS), "keyword filter keeps")
    every: list[tuple[float, bool]] = []
    for path in options.clones:
        with git.Repo(path) as repo:
            head = str(repo.git.rev_parse("HEAD"))
            history = score_history(path, head)
            falling = sorted(-scored.score for scored in history.values())
            ranked: list[tuple[float, bool]] = []
            name = path.name.removesuffix(".git")
            for task, step in tasks_of(repo, name, head, set(history)).items():
                scored = history[step]
                ranked.append((bisect_right(falling, -scored.score) / len(falling), scored.kept))
                title = str(repo.git.log("-1", "--format=%s", step))
                view.add_row(
                    name, task, step[:10], f"{ranked[-1][0]:.1%}", f"{scored.score:g}",
                    "keeps" if scored.kept else "drops", f"{title}: {', '.join(scored.features)}",
                )  # fmt: skip
        total.add_row(name, f"{len(history):,}", *_counts(ranked))
        every += ranked
    total.add_row("all", "", *_counts(every))
    console = Console(width=150)
    if not options.counts:
        console.print(view)
    console.print(total)


def _counts(ranked: list[tuple[float, bool]]) -> list[str]:
    tops = [sum(share <= top for share, _ in ranked) for top in TOPS]
    return [str(number) for number in (len(ranked), *tops, sum(kept for _, kept in ranked))]


if __name__ == "__main__":
    main()
