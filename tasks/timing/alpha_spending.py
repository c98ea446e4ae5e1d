"""How often data may be looked at: levels of repeated looks whose errors together stay at alpha.

Each look could err, so each gets a share of alpha: of the share alpha * ln(1 + (e - 1) t) that may be spent by the time
t = rounds / most rounds (Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 1983, in the
form close to Pocock's bounds) a look gets what earlier ones have not used. The looks' estimates are correlated, since
later ones contain the earlier data; bounds by their joint normal distribution (Armitage, McPherson and Rowe 1969) are
lower than Bonferroni's, by a fifth for nine looks. Rounds are few at first, so the bound's probability and not the
bound itself is used ("significance level approach", Jennison and Turnbull, "Group Sequential Methods", 2000, section
4.4). A last look, also one that the clock forces, spends all that is left: time does not know the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import scipy  # its parts load when they are used

_POINTS = 301
"""Of the grid that a density is integrated on."""


def looks(first: int, last: int, growth: float = 1.5) -> list[int]:
    """Numbers of rounds after which the data are looked at: `first`, then `growth` times as many, up to `last`."""
    found = [min(first, last)]
    while found[-1] < last:
        found.append(min(last, max(found[-1] + 1, round(found[-1] * growth))))
    return found


def level(marks: Sequence[int], most: int, confidence: float, final: bool) -> float:
    """Confidence of the interval of the latest look.

    `marks` are the rounds at the looks taken so far, rising; `most` is the planned maximum. `final`: no look follows.
    With one look, or if the first is final, it is `confidence`.
    """
    bounds = _bounds(tuple(marks), max(most, marks[-1]), round(1 - confidence, 12), final or marks[-1] >= most)
    return float(1 - 2 * scipy.special.ndtr(-bounds[-1]))


class Looks:
    """The looks of one session, as they are taken."""

    def __init__(self, most: int, confidence: float) -> None:
        """`most`: rounds at most."""
        self._most, self._confidence = most, confidence
        self._marks: list[int] = []

    def at(self, rounds: int, final: bool) -> float:
        """Confidence of the look after that many rounds; `final` if no look follows, for whatever reason."""
        if rounds > (self._marks[-1] if self._marks else 0):
            self._marks.append(rounds)
        if not self._marks:
            return self._confidence
        return level(self._marks, self._most, self._confidence, final)


def spent(fraction: float, alpha: float) -> float:
    """Share of alpha that looks up to this fraction (0 to 1) of the rounds may use together."""
    return alpha * math.log(1 + (math.e - 1) * min(1.0, fraction))


@lru_cache(maxsize=4096)
def _bounds(marks: tuple[int, ...], most: int, alpha: float, final: bool) -> tuple[float, ...]:
    """Bounds of |Z| at each look; under the hypothesis, some look exceeds its own with probability `alpha` at most."""
    if len(marks) == 1:
        share = alpha if final else spent(marks[0] / most, alpha)
        return (float(scipy.special.ndtri(1 - share / 2)),)
    before = _bounds(marks[:-1], most, alpha, False)
    used = spent(marks[-2] / most, alpha)
    share = (alpha if final else spent(marks[-1] / most, alpha)) - used
    grid, weight = _going_on(marks[:-1], before)
    step = math.sqrt(marks[-1] - marks[-2])
    low, high = 0.0, 12.0
    for _ in range(60):
        bound = (low + high) / 2
        edge = bound * math.sqrt(marks[-1])
        out = float(weight @ (scipy.special.ndtr((grid - edge) / step) + scipy.special.ndtr((-grid - edge) / step)))
        low, high = (bound, high) if out > share else (low, bound)
    return (*before, high)


def _going_on(marks: tuple[int, ...], bounds: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Points of the sum of rounds (unit variance each) inside all bounds so far, and the probability at each."""
    grid, weight = np.zeros(1), np.ones(1)
    last = 0
    for mark, bound in zip(marks, bounds, strict=True):
        edge, step = bound * math.sqrt(mark), math.sqrt(mark - last)
        points = np.linspace(-edge, edge, _POINTS)
        density = np.exp(-(((points[:, None] - grid) / step) ** 2) / 2) @ weight / (step * math.sqrt(2 * math.pi))
        simpson = np.ones(_POINTS)
        simpson[1:-1:2], simpson[2:-1:2] = 4, 2
        grid, weight, last = points, density * simpson * (points[1] - points[0]) / 3, mark
    return grid, weight
