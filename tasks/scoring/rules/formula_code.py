"""FormulaCode's advantage: how much a model's speedup exceeds the expert's, as a difference.

Source: fc-eval 0.1.0, `fceval/parsers/formulacode_parser.py` (`_compute_advantage_from_speedups`) and
`fceval/harness/models.py`; arXiv 2603.16011. Per task the advantage is the geometric mean of the agent's speedups over
base less that of the expert's, over all workloads (level 4). Levels 1 to 3 group workloads by module, class and
function first, and average the differences of the groups. An agent that fails tests counts as no edit: its speedup is
1 everywhere. Over tasks the arithmetic mean is taken.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import polars as pl

Level = int


def advantage(workloads: Mapping[str, tuple[float, float]], level: Level = 4) -> float:
    """Of one task. `workloads`: name, for example `bench.module.Class.time_it(1)` -> (agent's, expert's) speedup.

    Workloads with a speedup that is not positive or not finite are left out; without any the advantage is 0.
    """
    groups: dict[tuple[str, ...], list[tuple[float, float]]] = defaultdict(list)
    for name, (agent, expert) in workloads.items():
        if min(agent, expert) > 0 and math.isfinite(agent) and math.isfinite(expert):
            groups[() if level == 4 else _place(name)[:level]].append((agent, expert))
    if not groups:
        return 0.0
    means = [np.exp(np.log(np.array(pairs)).mean(axis=0)) for pairs in groups.values()]
    return float(np.mean([agent - expert for agent, expert in means]))


def score(frame: pl.DataFrame) -> pl.DataFrame:
    """Per model `advantage` (level 4), the mean over instances, and `speedup`, the geometric mean over base.

    `frame` as in `frames.RATIOS`, whose speedups over base are geometric means over perf tests already. Several
    attempts at an instance weigh together as one.
    """
    own = pl.when(pl.col("correct").fill_null(False)).then(pl.col("speedup_base")).otherwise(None).fill_null(1.0)
    return (
        frame.lazy()
        .select("model", "instance_id", own=own, human=pl.col("human_speedup").fill_null(1.0))
        .group_by("model", "instance_id")
        .agg(advantage=(pl.col("own") - pl.col("human")).mean(), log=pl.col("own").log().mean(), attempts=pl.len())
        .group_by("model")
        .agg(
            advantage=pl.col("advantage").mean(),
            speedup=pl.col("log").mean().exp(),
            instances=pl.len().cast(pl.Int64),
            attempts=pl.col("attempts").sum().cast(pl.Int64),
        )
        .sort("advantage", "model", descending=[True, False])
        .collect()
    )


def _place(name: str) -> tuple[str, str, str]:
    """Module, class and function of a workload, with "" for what it lacks."""
    parts = [part for part in name.strip().split("(")[0].strip().split(".") if part]
    if len(parts) >= 3 and parts[-2][:1].isupper():
        return ".".join(parts[:-2]), parts[-2], parts[-1]
    return ".".join(parts[:-1]), "", parts[-1] if parts else ""
