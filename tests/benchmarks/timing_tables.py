"""Prints what files of `timing_run` say, as Markdown tables.

    python -m tests.benchmarks.timing_tables aa.jsonl power.jsonl

One table per experiment (true ratio, question, load, sandbox). `sd` is the standard deviation of the estimates' logs,
and `sd ratio` how many times smaller it is than `sequential`'s in the same file; `covers` the share of intervals that
hold the true ratio; `wrong` the share of verdicts on the wrong side; `other s` the seconds of a comparison that are not
its timed calls. Shares that are 0 of n are below 3 / n with a confidence of 95 %.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.timing_run import lines_of
from tests.benchmarks.timing_workloads import PARTS

COLUMNS = (
    "workload", "protocol", "n", "sd", "sd ratio", "off > 5 %", "< 0.95", "yes", "no", "inconclusive", "wrong",
    "covers", "half width", "rounds", "s", "other s",
)  # fmt: skip
ALL = "all"


def summary(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of the comparisons of one experiment, workload and protocol."""
    patches = lines[0]["patches"]
    truth = 1.0 if patches else lines[0]["units"] / PARTS
    answers = [answer for line in lines for answer in line["answers"] if answer[0] is not None]
    ratio, low, high = (np.array([answer[index] for answer in answers]) for index in range(3))
    verdicts = np.array([answer[3] for answer in answers])
    asked = lines[0]["threshold"]
    return {
        "n": len(answers),
        "sd": float(np.std(np.log(ratio))),
        "off > 5 %": float(np.mean(np.abs(ratio / truth - 1) > 0.05)),
        "< 0.95": float(np.mean(ratio / truth < 0.95)),
        **{name: float(np.mean(verdicts == name)) for name in ("yes", "no", "inconclusive")},
        "wrong": float(np.mean(verdicts == ("no" if truth >= asked else "yes"))),
        "covers": float(np.mean((low <= truth) & (truth <= high))),
        "half width": float(np.median(np.log(high / low))) / 2,
        "rounds": float(np.median([line["rounds"] for line in lines])),
        "s": float(np.mean([line["seconds"] for line in lines])),
        "other s": float(np.mean([line["seconds"] - line["experiment_s"] for line in lines])),
    }


def experiment(line: dict[str, Any]) -> str:
    """What was asked, in words."""
    weather = ", all cores burnt 2 s of 4" if line["load"] else ""
    if line["patches"]:
        asked = f"{line['patches']} patches equal to human, at least {line['threshold']:g} of its speed"
    else:
        asked = f"true ratio {line['units'] / PARTS:.2f}, at least {line['threshold']:g}"
    return f"{asked}; {line['sandbox']}{weather}"


def rows(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per workload and protocol, then one per protocol over all workloads."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        for workload in (line["workload"], ALL):
            groups[workload, line["protocol"]].append(line)
    found = {
        key: summary(members) for key, members in groups.items() if any(a[0] for m in members for a in m["answers"])
    }
    for (workload, protocol), row in found.items():
        beside = found.get((workload, "sequential"))
        row["sd ratio"] = beside["sd"] / row["sd"] if beside and row["sd"] and protocol != "sequential" else None
    order = sorted(found, key=lambda key: (key[0] == ALL, key[0], key[1] != "sequential", key[1]))
    return [{"workload": key[0], "protocol": key[1], **found[key]} for key in order]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in ("off > 5 %", "< 0.95", "yes", "no", "inconclusive", "wrong", "covers"):
        return f"{value:.1%}"
    if name in ("sd", "half width"):
        return f"{value:.4f}"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    experiments: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in parser.parse_args().files:
        for line in lines_of(path):
            experiments[experiment(line)].append(line)
    for name, lines in experiments.items():
        failed = sum(bool(line["failed"] or line["flags"]) for line in lines)
        print(f"\n### {name}\n")
        print(f"{len(lines)} sessions, {failed} of them failed or flagged.\n")
        print("| " + " | ".join(COLUMNS) + " |")
        print("|" + "---|" * len(COLUMNS))
        for row in rows(lines):
            print("| " + " | ".join(_cell(column, row[column]) for column in COLUMNS) + " |")


if __name__ == "__main__":
    main()
