"""The attempts of an evaluation as rules read them.

What could not be timed through no fault of the attempt (`not_timed`) is left out, as in Opt@K. An instance of the run
that a model did not attempt gets a row without a patch: every rule counts it as no edit.
"""

from __future__ import annotations

import polars as pl

from configs.errors import UserError
from storage.ids import PATCH_ARM, patch_arm, patch_id
from storage.store import Store
from storage.tables import Comparison, Instance, Measurement, Prediction, Score
from tasks.scoring.rules.frames import RATIOS, TIMES


class NoScores(UserError):
    """The store has no scores of that run; the message names the runs that it has."""


def ratios(store: Store, run_id: str | None = None) -> pl.DataFrame:
    """`frames.RATIOS` of a run, by default the only one.

    The human's speedup is what the attempt's own session says (its speedup over base by that over the human), and for
    an attempt without times what the instance was proved with. Raises NoScores.
    """
    columns = ("model", "instance_id", "status", "speedup_base", "speedup_human")
    proved = store.frame(Instance, columns=("human_performance",)).select("instance_id", "human_performance")
    scores = _attempts(store, run_id, columns).join(proved, on="instance_id", how="left")
    own = pl.col("speedup_base") / pl.col("speedup_human")
    return scores.select(
        "model",
        "instance_id",
        "speedup_base",
        "speedup_human",
        correct=pl.col("status") == "ok",
        human_speedup=own.fill_null(pl.col("human_performance")),
    ).select(RATIOS)


def times(store: Store, run_id: str | None = None) -> pl.DataFrame:
    """`frames.TIMES` of a run: what calls took, with their charge, in the newest sessions that timed the patches.

    Raises NoScores.
    """
    scores = _attempts(store, run_id, ("prediction_id", "model", "instance_id", "status"))
    patches = store.frame(Prediction, columns=("model_patch",))
    arms = patches.select("prediction_id", arm=pl.col("model_patch").map_elements(_arm, pl.String))
    correct = pl.col("status") == "ok"
    found = scores.with_columns(correct=correct).join(arms, on="prediction_id", how="left")
    timed = found.join(_runs(store), on=["instance_id", "arm"], how="left")
    return timed.with_columns(correct=pl.col("correct") & pl.col("patch").is_not_null()).select(TIMES)


def _attempts(store: Store, run_id: str | None, columns: tuple[str, ...]) -> pl.DataFrame:
    """Scores of the run that have an answer, and a row of nulls per instance that a model did not attempt."""
    frame = store.frame(Score, columns=columns)
    runs = sorted(frame["run_id"].unique().to_list())
    if run_id not in runs and not (run_id is None and len(runs) == 1):
        asked = f"no scores of run '{run_id}'" if run_id else "several runs" if runs else "no scores"
        raise NoScores(f"{store.root}: {asked}; there are {', '.join(runs) or 'none: `isobench evaluate` makes them'}")
    frame = frame.filter(pl.col("run_id") == (run_id or runs[0]))
    everything = frame.select("model").unique().join(frame.select("instance_id").unique(), how="cross")
    absent = everything.join(frame, on=["model", "instance_id"], how="anti")
    return pl.concat([frame.filter(pl.col("status") != "not_timed"), absent], how="diagonal")


def _runs(store: Store) -> pl.DataFrame:
    """Per instance and patch arm the seconds per call of all three arms, one list per perf test."""
    sessions = (
        store.frame(Comparison, columns=("instance_id",))
        .filter(pl.col("arm").str.starts_with(PATCH_ARM))
        .unique(["instance_id", "test_id", "arm"], keep="last", maintain_order=True)
        .select("instance_id", "test_id", "arm", "session_id")
    )
    call = pl.col("call_ns").fill_null((pl.col("wall_ns") - pl.col("wait_ns")) / pl.col("number"))
    charge = pl.col("charge_ns").median().clip(lower_bound=0.0)  # as comparisons charge
    seconds = (
        store.frame(Measurement, columns=_READ)
        .filter(~pl.col("warmup") & ~pl.col("confirming") & pl.col("correct").ne_missing(False))
        .sort("round")
        .group_by("session_id", "arm", maintain_order=True)
        .agg(seconds=(call + charge) / 1e9)
    )
    arms = {name: seconds.filter(pl.col("arm") == name).drop("arm").rename({"seconds": name}) for name in _OTHERS}
    joined = sessions.join(seconds.rename({"seconds": "patch"}), on=["session_id", "arm"])
    for frame in arms.values():
        joined = joined.join(frame, on="session_id")
    return joined.sort("test_id").group_by("instance_id", "arm").agg("base", "patch", "human")


_OTHERS = ("base", "human")
_READ = ("call_ns", "charge_ns", "wall_ns", "wait_ns", "number", "warmup", "confirming", "correct")


def _arm(patch: str) -> str:
    return patch_arm(patch_id(patch))
