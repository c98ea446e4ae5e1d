"""What sweeps found and what they cost, by the rows that they left.

    isobench sweep tests/benchmarks/sweeps/boltons.yaml --store FOLDER
    isobench sweep tests/benchmarks/sweeps/boltons.yaml --store FOLDER --null
    python -m tests.benchmarks.sweeps_counted FOLDER [FOLDER ...]

Prints two Markdown tables: per repository the comparisons by kind and their cost, and every step with what mining, by
words and diff, says of that change.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from storage.store import Store
from storage.tables import Commit, SweepComparison


def main(folders: list[str]) -> None:
    """Print both tables of all stores."""
    rows: dict[str, list[SweepComparison]] = defaultdict(list)
    commits: dict[str, dict[str, Commit]] = defaultdict(dict)
    for folder in folders:
        store = Store(folder)
        for row in store.rows(SweepComparison):
            rows[row.repo].append(row)
        for repo, compared in rows.items():
            heads = [row.head_sha for row in compared]
            commits[repo].update((row.sha, row) for row in store.rows(Commit, repo, sha=heads))
    print("| repository | changes | comparisons | failed | s each | s per change | got faster | steps | A/A: yes |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for repo, found in rows.items():
        print(_line(repo, found))
    print()
    print("| change | test | ratio | mining | subject |")
    print("|---|---|--:|---|---|")
    for repo, found in rows.items():
        steps = [row for row in found if row.kind == "step" and row.verdict == "yes"]
        for row in sorted(steps, key=lambda row: -(row.ratio or 0)):
            commit = commits[repo].get(row.head_sha)
            which = f"{repo} `{row.head_sha[:10]}`" + (
                f" or one of {row.n_changes - 1} before" if row.n_changes > 1 else ""
            )
            said = "?" if commit is None else "kept" if commit.kept else commit.reason
            ratio = f"{row.ratio:.2f} [{row.ci_low:.2f}, {row.ci_high:.2f}]"
            print(f"| {which} | `{row.test}` | {ratio} | {said} | {commit.subject if commit else '?'} |")


def _line(repo: str, found: list[SweepComparison]) -> str:
    kinds: dict[str, list[SweepComparison]] = defaultdict(list)
    for row in found:
        kinds[row.kind].append(row)
    sought = [row for row in found if row.kind != "null"]
    spans = {row.window: row.n_changes for row in kinds["window"]}
    seconds, changes = sum(row.duration_s for row in sought), sum(spans.values())
    faster = sum(row.verdict == "yes" for row in kinds["window"])
    steps = len({row.head_sha for row in kinds["step"] if row.verdict == "yes"})
    nulls = f"{sum(row.verdict == 'yes' for row in kinds['null'])} of {len(kinds['null'])}" if kinds["null"] else "-"
    return (
        f"| {repo} | {changes} | {len(sought)} | {sum(row.verdict == 'failed' for row in sought)} "
        f"| {seconds / max(1, len(sought)):.1f} | {seconds / max(1, changes):.2f} "
        f"| {faster} of {len(kinds['window'])} | {steps} | {nulls} |"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
