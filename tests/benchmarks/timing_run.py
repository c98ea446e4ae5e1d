"""Comparisons of known truth, one JSON line each. `timing_tables` prints what they say.

    python -m tests.benchmarks.timing_run aa.jsonl --minutes 8

An experiment is a true ratio and the question asked about it:

- identical code (the default): `python -m tests.benchmarks.timing_run aa.jsonl --minutes 8`
- the same while other programs burn all cores, 2 s on and 2 s off: add `--load`
- power and coverage: `... power.jsonl --units 22 --threshold 1.05` (a true 1.10), `--units 21 --threshold 1.0` (1.05)
- a patch equal to the human's: `... equal.jsonl --patches 8 --sandbox docker`
- what charging costs: add `--protocols interleaved uncharged`
- what a comparison costs besides its experiments is in every line

Protocols and workloads take turns, so all meet the same weather on the machine. `sequential` goes first in each turn;
the others get as many seconds as it has taken, unless `--budget` says how many. Started again with the same file, it
goes on with what was measured least. Ctrl-C ends it and loses one comparison.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from storage.tables import Measurement
from tasks.timing.models import Session
from tasks.timing.protocols import PROTOCOLS
from tasks.timing.session import run_session
from tests.benchmarks.timing_workloads import PARTS, WORKLOADS, arm, environment

ALL_ROUNDS = 500
"""More than any budget holds: the budget decides."""
ONE_BY_ONE = "one-by-one"
"""`interleaved` with `timing.share_core: false`."""
UNCHARGED = "uncharged"
"""`interleaved` with `timing.charging: false`."""
VARIANTS = (ONE_BY_ONE, UNCHARGED)
NAMES = sorted([*PROTOCOLS, *VARIANTS], reverse=True)


def measure(options: argparse.Namespace, store: Store, workload: str, protocol: str, budget_s: float) -> dict[str, Any]:
    """One session; the line of its comparison (base against human, or each patch against human)."""
    env = environment(options.sandbox)
    counts = {"base": options.units, "human": PARTS, **{f"patch:{n}": PARTS for n in range(options.patches)}}
    settings = {
        "protocol": "interleaved" if protocol in VARIANTS else protocol,
        "share_core": protocol != ONE_BY_ONE,
        "charging": protocol != UNCHARGED,
        "budget_s": budget_s,
        "min_rounds": options.min_rounds,
        "processes": options.processes,
    }
    settings["max_rounds"] = max(options.max_rounds, options.min_rounds)
    start = time.perf_counter()
    session = run_session(
        repo="bench/mark", instance_id=None, arms=[arm(store, name, count, env) for name, count in counts.items()],
        test_id=f"bench-{workload}", script=WORKLOADS[workload], dialect="isobench",
        timing=TimingConfig.model_validate(settings),
        scoring=ScoringConfig.model_construct(**{**ScoringConfig().model_dump(), "min_speedup": options.threshold}),
        sandbox=SandboxConfig(kind=options.sandbox), store=store,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    asked = "human" if options.patches else "base"
    answers = [a for o in session.outcomes for a in o.answers if a.against == asked]
    return {
        "workload": workload, "protocol": protocol, "units": options.units, "load": options.load,
        "sandbox": options.sandbox, "patches": options.patches, "threshold": answers[0].question,
        "seconds": round(seconds, 3), "experiment_s": round(_experiments(store, session), 3),
        "rounds": session.n_rounds, "number": session.number, "budget_s": round(budget_s, 2),
        "failed": session.base_failure, "flags": sorted({flag for o in session.outcomes for flag in o.flags}),
        "answers": [[a.ratio, a.ci_low, a.ci_high, a.verdict] for a in answers],
    }  # fmt: skip


def _experiments(store: Store, session: Session) -> float:
    """Seconds of the timed calls that count, without their waits for each other."""
    rows = store.rows(Measurement, session_id=session.session_id, warmup=False)
    return sum(row.wall_ns - (row.wait_ns if row.company_ns else 0) for row in rows) / 1e9


def _burn(stop: float) -> None:
    while time.time() < stop:
        if time.time() % 4 < 2:
            sum(range(10_000))
        else:
            time.sleep(0.02)


@contextmanager
def load(wanted: bool, seconds: float) -> Iterator[None]:
    """Programs that use every core for 2 s out of 4, if wanted."""
    count = (os.cpu_count() or 1) if wanted else 0
    context = multiprocessing.get_context("spawn")
    burners = [context.Process(target=_burn, args=(time.time() + seconds,), daemon=True) for _ in range(count)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.terminate()


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Comparisons that a file holds; a last line that was cut off is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def run(options: argparse.Namespace, store: Store) -> None:
    """Measure until the time is up."""
    seen = lines_of(options.out)
    done = Counter(line["workload"] for line in seen)
    seconds: dict[str, list[float]] = {}
    for line in seen:
        if line["protocol"] == "sequential":
            seconds.setdefault(line["workload"], []).append(line["seconds"])
    end = time.monotonic() + options.minutes * 60
    while time.monotonic() < end:
        workload = min(options.workloads, key=lambda name: done[name])
        done[workload] += 1
        for protocol in options.protocols:
            mean = float(np.median(seconds[workload])) if workload in seconds else 10.0
            line = measure(options, store, workload, protocol, options.budget or mean)
            if protocol == "sequential":
                seconds.setdefault(workload, []).append(line["seconds"])
            with options.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
            if time.monotonic() > end:
                break


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="file of JSON lines to append to")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    parser.add_argument("--protocols", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--units", type=int, default=PARTS, help=f"work of base; the human's is {PARTS}")
    parser.add_argument("--threshold", type=float, default=1.2, help="the question about human against base")
    parser.add_argument("--patches", type=int, default=0, help="ask about this many equals of human instead, at 0.95")
    parser.add_argument("--budget", type=float, help="seconds per session; default: what `sequential` took")
    parser.add_argument("--min-rounds", type=int, default=ALL_ROUNDS, help="default: as many as the budget holds")
    parser.add_argument("--max-rounds", type=int, default=ALL_ROUNDS)
    parser.add_argument("--processes", type=int, default=3, help="sets of processes up to the first look")
    parser.add_argument("--sandbox", choices=["local", "docker"], default="local")
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder of a store that keeps every measurement")
    options = parser.parse_args()
    if "sequential" in options.protocols:
        options.protocols = ["sequential", *(name for name in options.protocols if name != "sequential")]
    with tempfile.TemporaryDirectory() as folder, load(options.load, options.minutes * 60 + 600):
        run(options, Store(options.keep or Path(folder)))


if __name__ == "__main__":
    main()
