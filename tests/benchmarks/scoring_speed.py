"""How long 1,000,000 scores take to Opt@1..10, SWE-fficiency's SR and ISO-Bench's hard rule, and in what memory.

    python -m tests.benchmarks.scoring_speed [--scores 1000000] [--store]

Scores of 20 models are made up: 10 attempts at each instance, success rates from Beta(0.3, 0.7). Without --store they
are a frame in memory; with it they are first written to a store, and reading them is measured, too. The peak is that of
this process, with its libraries and the scores themselves.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from storage.schema import WRITTEN_AT, arrow_schema
from storage.store import Store
from storage.tables import Score
from tasks.scoring.opt import COLUMNS, opt_at_k
from tasks.scoring.rules.applying import apply

MODELS, ATTEMPTS = 20, 10


def made_up(count: int) -> pl.DataFrame:
    """Scores with the columns that Opt@K and the rules read."""
    rng = np.random.default_rng(0)
    number = np.arange(count)
    instance, model = number // (MODELS * ATTEMPTS), number // ATTEMPTS % MODELS
    rate = rng.beta(0.3, 0.7, size=(instance.max() + 1, MODELS))[instance, model]
    yes = rng.random(count) < rate
    human = rng.lognormal(0.8, 0.4, size=instance.max() + 1)[instance]
    speed = np.where(yes, rng.lognormal(0.05, 0.05, count), rng.lognormal(-0.3, 0.2, count))
    correct = yes | (rng.random(count) < 0.7)
    words = pl.Series(np.where(yes, "yes", np.where(rng.random(count) < 0.1, "inconclusive", "no")))
    return pl.DataFrame(
        {
            "model": pl.Series(model).map_elements("model-{}".format, pl.String),
            "instance_id": pl.Series(instance).map_elements("owner__repository-PR-{}".format, pl.String),
            "status": pl.Series(np.where(correct, "ok", "incorrect")),
            "opt_human": words,
            "weakly_checked": instance % 4 == 0,
            "correct": correct,
            "speedup_base": speed * human,
            "speedup_human": speed,
            "human_speedup": human,
        }
    )


def measured(what: str, work: Callable[[], Any]) -> tuple[np.ndarray, Any]:
    """Seconds of a call, on the wall and of CPU time, printed; and its result."""
    start = np.array([time.perf_counter(), time.process_time()])
    found = work()
    seconds = np.array([time.perf_counter(), time.process_time()]) - start
    print(_line(what, seconds))
    return seconds, found


def _line(what: str, seconds: np.ndarray) -> str:
    return f"| {what} | {seconds[0]:.2f} | {seconds[1]:.2f} |"


def main() -> None:
    """Print a table of seconds, and the peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=int, default=1_000_000)
    parser.add_argument("--store", action="store_true", help="write them to a store first, and read them from it")
    options = parser.parse_args()
    frame = made_up(options.scores)
    opt_at_k("r", frame.head(1000).select(COLUMNS), frame["instance_id"].head(1000).to_list(), [1])  # libraries load
    print("| what | seconds | CPU seconds |\n|---|---|---|")
    read = np.zeros(2)
    with tempfile.TemporaryDirectory() as folder:
        if options.store:
            store = _written(frame, Store(folder))
            read, frame = measured("reading them from a store", lambda: store.frame(Score, columns=_READ))
            frame = frame.with_columns(human_speedup=pl.col("speedup_base") / pl.col("speedup_human"))
        instances = frame["instance_id"].unique().to_list()
        took = [
            measured("Opt@1..10", lambda: opt_at_k("r", frame.select(COLUMNS), instances, range(1, 11)))[0],
            measured("SR", lambda: apply(frame, "swe-fficiency"))[0],
            measured("hard rule", lambda: apply(frame, "iso-bench"))[0],
        ]
    print(_line("together", sum(took, read)))
    print(f"\n{len(frame):,} scores, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


_READ = (*COLUMNS, "correct", "speedup_base", "speedup_human")


def _written(frame: pl.DataFrame, store: Store) -> Store:
    """The frame as one part, with defaults for what it lacks."""
    rows = frame.with_row_index("number").select(
        *(name for name in _READ),
        prediction_id=pl.format("{}-{}", pl.col("number").hash(), pl.col("number")),
        run_id=pl.lit("r"),
        repo=pl.lit("owner/repository"),
        sample=(pl.col("number") % ATTEMPTS).cast(pl.Int64),
        reason=pl.lit(""),
        ci_low=pl.lit(None, pl.Float64),
        ci_high=pl.lit(None, pl.Float64),
        base_ci_low=pl.lit(None, pl.Float64),
        base_ci_high=pl.lit(None, pl.Float64),
        opt_base=pl.lit("no"),
        session_id=pl.lit(None, pl.String),
        flags=pl.lit([], pl.List(pl.String)),
        written_at=pl.lit("2026-01-01T00:00:00Z").str.to_datetime(time_zone="UTC"),
    )
    schema = arrow_schema(Score)
    table = rows.select(schema.names).to_arrow().cast(schema)
    assert WRITTEN_AT in table.column_names
    store._write(Score, "owner__repository", table)
    return store


if __name__ == "__main__":
    main()
