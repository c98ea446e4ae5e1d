"""The tables of `charging_noise`: how much each phase differs between equal arms, and what charging would lose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.timing.stats import interval

Floats = NDArray[np.float64]
Line = dict[str, Any]
PHASES = ("setup", "call", "digest", "idle")
OUTSIDE = ("setup", "digest", "idle")
"""What is charged, beside loading."""
QUESTIONS = ((1.10, 1.05), (1.30, 1.20), (1.00, 0.95))
"""True ratio, and the least that is asked."""
SESSIONS = {12: 3, 18: 3, 30: 5}
"""Rounds of a session, and its sets of processes."""
DRAWS = 300
"""Sessions that are drawn from what was measured, for each cell."""
LOAD_CALLS = 100
"""Calls that share what loading takes beyond base's, where the workload is new for each seed. Otherwise 1."""


def tables(lines: Sequence[Line]) -> Iterator[str]:
    """Both, as Markdown."""
    projects: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        projects[line["workload"]].append(line)
    projects = {name: sets for name, sets in projects.items() if len(sets) > 1}
    yield from _noise(projects)
    yield ""
    yield from _losses(projects)


def _noise(projects: dict[str, list[Line]]) -> Iterator[str]:
    """CPU ms per call (of loading: per process). Differences are those of equal arms; in brackets 1.4826 MAD."""
    heads = ("mean", "sd within a set", "between sets", "of differences in turn", "at once", "of sets")
    yield _row("perf test", "phase", "sets", *heads)
    yield "|" + "---|" * (3 + len(heads))
    for name, lines in projects.items():
        loads, at_once = _loads(lines)
        more = loads[:, 0] - loads[:, 1]
        spread = f"{loads.mean(axis=1).std(ddof=1):.2f}"
        yield _row(
            name, "load", len(loads), f"{loads.mean():.2f}", "", spread, _sd(more[~at_once]), _sd(more[at_once]), ""
        )
        for phase in PHASES:
            sets = [np.array([r[phase] for r in line["rounds"]]) for line in lines]
            ways = [np.array([r["together"] for r in line["rounds"]]) for line in lines]
            differences = np.concatenate([values[:, 0] - values[:, 1] for values in sets])
            way = np.concatenate(ways)
            within = np.sqrt(np.mean([values.var(axis=0, ddof=1).mean() for values in sets]))
            between = np.std([values.mean() for values in sets], ddof=1)
            mean = np.mean([values.mean() for values in sets])
            means = [np.mean((values[:, 0] - values[:, 1])[way]) for values, way in zip(sets, ways, strict=True)]
            cells = [f"{mean:.3f}", f"{within:.3f}", f"{between:.3f}", _sd(differences[~way]), _sd(differences[way])]
            cells.append(_sd(np.array(means)))
            yield _row("", phase, len(lines), *cells)


def _loads(lines: Sequence[Line]) -> tuple[Floats, NDArray[np.bool_]]:
    """Of both arms, a row per pair of processes, and which were at the same moment."""
    pairs = [one for line in lines for one in line["loads"]]
    return np.array([one["load"] for one in pairs]), np.array([one["together"] for one in pairs])


def _sd(values: Floats) -> str:
    """And the robust one, which a few wild values do not move."""
    robust = 1.4826 * np.median(np.abs(values - np.median(values)))
    return f"{np.std(values, ddof=1):.3f} ({robust:.3f})" if len(values) > 1 else ""


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _losses(projects: dict[str, list[Line]]) -> Iterator[str]:
    """Share of `yes`, by what is charged, of sessions drawn from the rounds at the same moment."""
    yield f"`yes` of {DRAWS} drawn sessions, in per cent: not charged / charged, its interval in one with the ratio's /"
    yield "charged, upper end of 95 % by itself. Loading is shared by"
    yield f"{LOAD_CALLS} calls (new workloads) or by one call (fixed ones, a fresh process each)."
    yield ""
    yield _row("perf test", "true", "asked", *(f"{n} rounds, {kind}" for n in SESSIONS for kind in ("new", "fixed")))
    yield "|" + "---|" * (3 + 2 * len(SESSIONS))
    for name, lines in projects.items():
        for truth, asked in QUESTIONS:
            cells = [_share(lines, truth, asked, n, fixed) for n in SESSIONS for fixed in (False, True)]
            yield _row(name, f"{truth:.2f}", f"{asked:.2f}", *cells)


def _share(lines: Sequence[Line], truth: float, asked: float, rounds: int, fixed: bool) -> str:
    rng = np.random.default_rng(rounds)
    lows = np.array([_session(lines, truth, rounds, fixed, rng) for _ in range(DRAWS)])
    return " / ".join(f"{share:.0%}".removesuffix("%") for share in (lows >= asked).mean(axis=0))


def _session(
    lines: Sequence[Line], truth: float, rounds: int, fixed: bool, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Lower ends of the speedup of an arm that is `truth` times as fast: not charged, and charged in two ways.

    The arm's call is equal code's divided by `truth`; its noise elsewhere is what equal code had. A fixed workload has
    a process for each round, so sets of one round.
    """
    count = rounds if fixed else SESSIONS[rounds]
    loads, at_once = _loads(lines)
    loads = loads[at_once]
    plain, charged, extra = [], [], []
    for index in rng.integers(len(lines), size=count):
        line, swap = lines[index], int(rng.integers(2))
        mine, other = swap, 1 - swap
        both = [r for r in line["rounds"] if r["together"]]
        chosen = [both[i] for i in rng.integers(len(both), size=rounds // count)]
        calls = np.array([r["call"] for r in chosen])
        load = loads[rng.integers(len(loads))]
        loaded = (load[mine] - load[other]) / (1 if fixed else LOAD_CALLS)
        more = np.array([sum(r[phase][mine] - r[phase][other] for phase in OUTSIDE) for r in chosen]) + loaded
        ours = calls[:, mine] / truth
        plain.append(np.log(calls[:, other] / ours))
        charged.append(np.log(calls[:, other] / np.maximum(ours + more, ours / 10)))
        extra.append(more / ours)
    one, both_in_one = interval(plain, 0.95), interval(charged, 0.95)
    beyond = interval(extra, 0.90)  # upper end of 95 %; exp and log undo each other
    assert one is not None
    assert both_in_one is not None
    assert beyond is not None
    return one.low, min(one.low, both_in_one.low), one.low / (1 + max(0.0, float(np.log(beyond.high))))
