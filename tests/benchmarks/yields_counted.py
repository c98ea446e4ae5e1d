"""What became of candidates: how many got an environment, a perf test, an instance, and why the others did not.

    isobench build tests/benchmarks/yields/sqlparse.yaml --store FOLDER
    python -m tests.benchmarks.yields_counted FOLDER ...

Counted per store, for all candidates and for those that are labelled as performance changes in
`tests/benchmarks/yields/candidates.jsonl`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from storage.store import Store
from storage.tables import Funnel, Instance, PerfTest
from tasks.reporting.advice import kind_of

LABELS = Path(__file__).parent / "yields" / "candidates.jsonl"
STAGES = ("apis", "environments", "perftests", "instances")


def labelled() -> set[str]:
    """Shas of performance changes, by message and diff alone."""
    if not LABELS.exists():
        return set()
    rows = map(json.loads, LABELS.read_text(encoding="utf-8").splitlines())
    return {row["sha"] for row in rows if row["label"] == "yes"}


def counts(store: Store, only: set[str] | None = None) -> dict[str, str]:
    """One row of the table."""
    notes = {(row.stage, row.key): row for row in store.rows(Funnel)}
    candidates = {key for (stage, key), row in notes.items() if stage == "mining" and row.outcome == "kept"}
    candidates &= only if only is not None else candidates
    tests = [row for row in store.rows(PerfTest) if row.sha in candidates]
    accepted = [row for row in tests if row.status == "accepted"]
    instances = [row for row in store.rows(Instance) if row.head_commit in candidates]
    lost: Counter[str] = Counter()
    for sha in candidates:
        ends = [notes[stage, sha] for stage in STAGES if (stage, sha) in notes]
        if ends and ends[-1].outcome != "kept":
            lost[f"{ends[-1].stage}: {kind_of(ends[-1].reason)}"] += 1
    number = len(candidates)
    return {
        "candidates": str(number),
        "with an environment": str(sum(("perftests", sha) in notes for sha in candidates)),
        "perf tests accepted": f"{len(accepted)} of {len(tests)}",
        "commits with one": str(len({row.sha for row in accepted})),
        "instances": str(len(instances)),
        "per candidate": f"{len(instances) / number:.2f}" if number else "-",
        "lost at": "; ".join(f"{what} ({count})" for what, count in lost.most_common()) or "-",
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+")
    given = parser.parse_args()
    header = False
    for name in given.stores:
        for what, only in (("all", None), ("labelled", labelled())):
            row = {"store": Path(name).name, "of": what, **counts(Store(name), only)}
            if not header:
                print(f"| {' | '.join(row)} |\n|{'---|' * len(row)}")
                header = True
            print(f"| {' | '.join(row.values())} |")


if __name__ == "__main__":
    main()
