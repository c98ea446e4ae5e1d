"""Fits the weights of the score on one half of the labelled changes.

    python -m tests.benchmarks.mining_fit ~/clones/numpy ~/clones/networkx ~/clones/tornado ~/clones/sqlglot

prints each feature's weight as it is and as fitted. The model is a logistic regression: what a label says against the
sum of the weights of the features present. Labels count by the square root of their weight, both classes alike. With a
few dozen performance changes for as many features, the data must not speak alone: weights are drawn towards `START`,
set by hand from the first draw of the labels, and none may change its sign.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tasks.mining.ranking.score import WEIGHTS
from tests.benchmarks.mining_labels import HEADS, Label, Scored, load_labels, repository_of, score_history

PULL = 10.0
"""Strength of the pull towards the start, in labelled changes."""
STEPS, RATE = 6000, 0.2
START = {
    "perf type": 2.0,
    "keyword in title": 2.0,
    "keyword in message": 1.0,
    "speed in title": 1.5,
    "hardware in title": 1.5,
    "saving in title": 1.0,
    "cost in title": 0.7,
    "improvement in title": 0.5,
    "native in title": 0.7,
    "fix in title": -0.7,
    "addition in title": -0.5,
    "housekeeping in title": -1.0,
    "measured gain": 1.5,
    "complexity": 1.0,
    "benchmark in message": 0.5,
    "caching added": 0.7,
    "loops removed": 0.5,
    "vectorised": 0.5,
    "copies avoided": 0.5,
    "container swapped": 0.5,
    "lists avoided": 0.3,
    "slots added": 0.5,
    "name bound": 0.3,
    "early exit": 0.2,
    "buffers": 0.5,
    "intrinsics": 1.0,
    "speed in code": 0.7,
    "definitions added": -0.4,
    "errors added": -0.4,
    "nothing replaced": -1.0,
    "benchmarks touched": 1.0,
    "performance note": 1.5,
    "compiled code touched": 0.3,
    "large change": -0.5,
    "many files": -0.5,
    "new file": -0.3,
}


def fit(examples: list[tuple[Label, Scored]], start: dict[str, float], pull: float = PULL) -> dict[str, float]:
    """Weights for the features of `start`."""
    names = list(start)
    prior = np.array([start[name] for name in names])
    sure = [(label, scored) for label, scored in examples if label.label != "unsure"]
    present = np.array([[name in scored.features for name in names] for _, scored in sure], dtype=float)
    truth = np.array([label.label == "yes" for label, _ in sure], dtype=float)
    counts = np.sqrt([label.weight for label, _ in sure])
    counts[truth == 1] *= counts[truth == 0].sum() / counts[truth == 1].sum()
    counts *= len(sure) / counts.sum()
    weights, base = prior.copy(), -2.0
    for _ in range(STEPS):
        wrong = counts * (1 / (1 + np.exp(-(present @ weights + base))) - truth)
        weights -= RATE * (present.T @ wrong + pull * (weights - prior)) / len(sure)
        weights[weights * np.sign(prior) < 0] = 0.0
        base -= RATE * wrong.mean()
    return dict(zip(names, weights.tolist(), strict=True))


def main() -> None:
    """Read the arguments, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", nargs="+", type=Path, help="paths of clones of labelled repositories")
    parser.add_argument("--pull", type=float, default=PULL, help="strength of the pull towards the start")
    options = parser.parse_args()
    labels = load_labels()
    examples = []
    for clone in options.clones:
        name = repository_of(clone)
        history = score_history(clone, HEADS[name])
        examples += [(label, history[label.sha]) for label in labels[name] if not label.held_out]
    for name, weight in fit(examples, START, options.pull).items():
        print(f"{name:26} {WEIGHTS[name][0]:+5.1f} {weight:+6.2f}")


if __name__ == "__main__":
    main()
