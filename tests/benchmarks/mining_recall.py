"""How well the keyword filter and the score find performance changes, on the labelled changes of real histories.

    python -m tests.benchmarks.mining_recall ~/clones/numpy https://github.com/networkx/networkx.git
    python -m tests.benchmarks.mining_recall --store /data/isobench

ranks every change of each history by its score and prints, per repository and half of the labels: precision and recall
of the keyword filter, of a least score instead of keywords, and of the best 1, 5 and 10 % of the ranking. Shares are of
all changes of the history, estimated with the labels' weights; changes labelled `unsure` count for nothing. A change
ranks behind all others of its score. `--json` keeps the ranks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from configs.models import MiningConfig
from storage.store import Store
from tasks.code.clones import clone_path
from tests.benchmarks.mining_labels import HEADS, Label, Scored, load_labels, repository_of, score_history

TOPS = (0.01, 0.05, 0.10)
LEAST = MiningConfig().min_score


@dataclass(frozen=True)
class Ranked:
    """A labelled change and where it came in."""

    label: Label
    share: float
    """Of all changes of its history, how many score as high or higher: 0.01 is the last of the best 1 %."""
    score: float
    kept: bool


def rank(labels: list[Label], history: dict[str, Scored]) -> list[Ranked]:
    """Where each labelled change stands in its history. Raises KeyError for a change that is not in it."""
    falling = sorted(-scored.score for scored in history.values())
    found = []
    for label in labels:
        scored = history[label.sha]
        found.append(Ranked(label, bisect_right(falling, -scored.score) / len(falling), scored.score, scored.kept))
    return found


def share(ranked: list[Ranked], of: str, among: str) -> float | None:
    """Weighted share of those that are `of` among those that are `among`, None if there are none of these.

    Both are one of `yes`, `kept`, `top <share>`, `score <least>`.
    """

    def holds(one: Ranked, what: str) -> bool:
        if what == "yes":
            return one.label.label == "yes"
        if what == "kept":
            return one.kept
        kind, _, limit = what.partition(" ")
        return one.share <= float(limit) if kind == "top" else one.score >= float(limit)

    sure = [one for one in ranked if one.label.label != "unsure" and holds(one, among)]
    total = sum(one.label.weight for one in sure)
    return sum(one.label.weight for one in sure if holds(one, of)) / total if total else None


def table(ranked: list[Ranked], title: str) -> Table:
    """One row per repository, and one for all."""
    view = Table(title=title)
    heads = ["repository", "yes", "no", "unsure", "keywords: precision", "recall"]
    heads += [f"score >= {LEAST:g}: precision", "recall"]
    heads += [f"{kind} at {top:.0%}" for kind in ("recall", "precision") for top in TOPS]
    for head in heads:
        view.add_column(head, justify="left" if head == "repository" else "right")
    names = sorted({one.label.repo for one in ranked})
    for name in [*names, "all"]:
        mine = [one for one in ranked if name in ("all", one.label.repo)]
        counts = [str(sum(one.label.label == label for one in mine)) for label in ("yes", "no", "unsure")]
        shares = [share(mine, "yes", "kept"), share(mine, "kept", "yes")]
        shares += [share(mine, "yes", f"score {LEAST}"), share(mine, f"score {LEAST}", "yes")]
        shares += [share(mine, f"top {top}", "yes") for top in TOPS] + [
            share(mine, "yes", f"top {top}") for top in TOPS
        ]
        view.add_row(name, *counts, *("-" if value is None else f"{value:.2f}" for value in shares))
    return view


@contextmanager
def local_clones(places: list[str], store: str | None) -> Iterator[list[Path]]:
    """Folders of the clones: as given, of the store, or cloned for the time being."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for number, place in enumerate(places):
            path = Path(place).expanduser()
            if not path.exists():
                path = Path(folder) / str(number)
                subprocess.run(["git", "clone", "--bare", "--quiet", place, str(path)], check=True)
            found.append(path)
        if store:
            paths = [Store(store).work / clone_path(name) for name in HEADS]
            found += [path for path in paths if path.exists()]
        yield found


def main() -> None:
    """Read the arguments, rank, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", nargs="*", help="paths or URLs of labelled repositories")
    parser.add_argument("--store", help="use the clones of this store too")
    parser.add_argument("--json", type=Path, help="write the rank of every labelled change to this file")
    options = parser.parse_args()
    labels = load_labels()
    ranked: list[Ranked] = []
    with local_clones(options.clones, options.store) as clones:
        for clone in clones:
            name = repository_of(clone)
            ranked += rank(labels[name], score_history(clone, HEADS[name]))
    if not ranked:
        parser.error("name a clone, or a store that has one")
    console = Console(width=170)
    console.print(table([one for one in ranked if not one.label.held_out], "half that the weights were fitted on"))
    console.print(table([one for one in ranked if one.label.held_out], "half held out"))
    console.print(table(ranked, "all labels"))
    below = [one for one in ranked if one.share > TOPS[-1] and one.label.label != "unsure"]
    missed = [one for one in below if one.label.label == "yes"]
    console.print(
        f"{len(below)} labelled changes rank below {TOPS[-1]:.0%}; {len(missed)} of them are performance changes"
    )
    for one in missed:
        console.print(f"  {one.label.repo} {one.label.sha[:10]} at {one.share:.1%}: {one.label.reason}")
    if options.json:
        rows = [{"repo": o.label.repo, "sha": o.label.sha, "label": o.label.label, "share": o.share} for o in ranked]
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
