"""Small pictures as inline SVG: bars, intervals, timing strips, curves. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from configs.escaping import for_html

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
MARKERS = ("circle", "square", "diamond", "triangle")


@dataclass(frozen=True)
class Axis:
    """Maps values to x, from `low` at `left` to `high` at `right`; logarithmic or linear."""

    low: float
    high: float
    left: float
    right: float
    log: bool = False

    @classmethod
    def around(cls, values: Iterable[float], left: float, right: float, log: bool | None = None) -> Axis:
        """An axis that holds all values with a margin; logarithmic by default if they span more than a factor of 6."""
        found = [value for value in values if math.isfinite(value)] or [1.0]
        low, high = min(found), max(found)
        log = (low > 0 and high > 6 * low) if log is None else log and low > 0
        if log:
            margin = max((high / low) ** 0.04, 1.02)
            return cls(low / margin, high * margin, left, right, True)
        margin = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
        return cls(max(0.0, low - margin) if low >= 0 else low - margin, high + margin, left, right)

    def x(self, value: float) -> float:
        """Position of a value; values outside stick to the border."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.left + share * (self.right - self.left), 1)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values inside the axis."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
                found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
                found = [value for value in found if self.low <= value <= self.high]
                if len(found) >= 3:
                    return found[:: math.ceil(len(found) / (wanted + 2))]
        step = 10 ** math.floor(math.log10((self.high - self.low) / wanted))
        step *= next(factor for factor in (1, 2, 5, 10) if (self.high - self.low) / (step * factor) <= wanted)
        start = math.ceil(self.low / step)
        return [round(step * n, 12) for n in range(start, math.floor(self.high / step) + 1)]


@dataclass(frozen=True)
class Strip:
    """The measurements of one arm."""

    values: Sequence[float]
    """Seconds per call, one number per batch of calls."""
    median: float | None
    kind: str
    """`base`, `human` or `patch`: the colour."""
    wrong: Sequence[float] = ()
    """Those whose result was not equivalent to base's."""


@dataclass(frozen=True)
class Curve:
    """One line with its band: x, y, low, high; all y in 0..1."""

    label: str
    points: Sequence[tuple[int, float, float, float]]


def number(value: float) -> str:
    """Three digits without an exponent: `0.0123`, `1.83`, `123`, `12345`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(digits, 12)}f}"
    return text


def seconds(value: float) -> str:
    """`12.3 ms`."""
    size, unit = next(((size, unit) for size, unit in UNITS if abs(value) >= size), UNITS[-1])
    return f"{number(value / size)} {unit}"


def bar(parts: Sequence[tuple[str, int]], title: str) -> Markup:
    """A horizontal bar of shares: `(class, count)` each. Stretches to the width of its place."""
    total = sum(count for _, count in parts) or 1
    rects, start = [], 0.0
    for name, count in parts:
        width = 100 * count / total
        if count:
            rects.append(f'<rect class="{for_html(name)}" x="{start:.2f}" width="{width:.2f}" height="10"/>')
        start += width
    return _svg(title, rects, 100, 10, 'class="bar" preserveAspectRatio="none"')


def interval(
    axis: Axis, low: float | None, mid: float, high: float | None, marks: Sequence[float], title: str
) -> Markup:
    """A point with its interval on a common axis; `marks` are reference lines."""
    shapes = [f'<line class="mark" x1="{axis.x(m)}" x2="{axis.x(m)}" y1="0" y2="20"/>' for m in marks]
    if low is not None and high is not None:
        left, right = axis.x(low), axis.x(high)
        shapes.append(f'<line class="whisker" x1="{left}" x2="{right}" y1="10" y2="10"/>')
        shapes += [f'<line class="whisker" x1="{x}" x2="{x}" y1="6" y2="14"/>' for x in (left, right)]
    shapes.append(f'<circle class="point" cx="{axis.x(mid)}" cy="10" r="4"/>')
    return _svg(title, shapes, axis.right + axis.left, 20, 'class="interval"')


STRIP_WIDTH, STRIP_HEIGHT = 470, 22


def strip(axis: Axis, row: Strip, most: int = 160) -> Markup:
    """Ticks of one arm on the axis of its perf test, at most `most`, spread over its range; a thick one: the median.

    It says nothing that the text beside it does not, so readers of screens pass it over.
    """
    shapes = [f'<path class="ticks {for_html(row.kind)}" d="{_ticks(axis, row.values, 2, most)}"/>']
    if row.wrong:
        shapes.append(f'<path class="ticks wrong" d="{_ticks(axis, row.wrong, 2, most)}"/>')
    if row.median is not None:
        x = axis.x(row.median)
        shapes.append(f'<line class="median {for_html(row.kind)}" x1="{x}" x2="{x}" y1="0" y2="{STRIP_HEIGHT}"/>')
    return _silent(shapes, STRIP_HEIGHT)


def time_axis(axis: Axis) -> Markup:
    """Times below the strips, with their unit."""
    size, unit = _unit(axis.high)
    ticks = [tick for tick in axis.ticks() if axis.x(tick) < STRIP_WIDTH - 75]
    shapes = [f'<text class="tick" x="{axis.x(tick)}" y="13">{tick / size:.4g}</text>' for tick in ticks]
    scale = ", log" if axis.log else ""
    shapes.append(f'<text class="tick end" x="{STRIP_WIDTH}" y="13">{unit}{scale}</text>')
    return _silent(shapes, 16)


def _silent(shapes: Sequence[str], height: int) -> Markup:
    box = f'viewBox="0 0 {STRIP_WIDTH} {height}"'
    return Markup(f'<svg class="strip" aria-hidden="true" {box}>{"".join(shapes)}</svg>')


def thin(values: Sequence[float], most: int) -> list[float]:
    """At most `most` of the sorted values, evenly by rank; the smallest and the largest stay."""
    ordered = sorted(values)
    if len(ordered) <= most:
        return ordered
    return [ordered[round(index * (len(ordered) - 1) / (most - 1))] for index in range(most)]


def curves(lines: Sequence[Curve], title: str, width: int = 640, height: int = 300) -> Markup:
    """Opt@K over K: a line with markers and a band for each model, percent on the y axis."""
    left, right, top, bottom = 48, width - 16, 12, height - 38
    ks = sorted({k for line in lines for k, *_ in line.points}) or [1]
    spread = max(ks) - min(ks)

    def x_of(k: int) -> float:
        return round(left + 14 + (k - min(ks)) / spread * (right - left - 28), 1) if spread else (left + right) / 2

    highest = max((high for line in lines for *_, high in line.points), default=1.0)
    limit = next(limit for limit in (0.1, 0.2, 0.5, 1.0) if highest <= limit or limit == 1.0)

    def y_of(share: float) -> float:
        return round(bottom - min(share, limit) / limit * (bottom - top), 1)

    shapes = []
    for part in range(6):
        share = limit * part / 5
        y = y_of(share)
        shapes.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        shapes.append(f'<text class="tick end" x="{left - 6}" y="{y + 4}">{100 * share:g}%</text>')
    for k in ks[:: max(1, len(ks) // 12)]:
        shapes.append(f'<text class="tick" x="{x_of(k)}" y="{bottom + 18}">{k}</text>')
    shapes.append(f'<text class="tick" x="{(left + right) / 2}" y="{height - 4}">K (attempts)</text>')
    for index, line in enumerate(lines):
        points = sorted(line.points)
        upper = [f"{x_of(k)},{y_of(high)}" for k, _, _, high in points]
        lower = [f"{x_of(k)},{y_of(low)}" for k, _, low, _ in reversed(points)]
        path = " ".join(f"{x_of(k)},{y_of(opt)}" for k, opt, _, _ in points)
        if len(points) > 1:
            shapes.append(f'<polygon class="band c{index % 6}" points="{" ".join(upper + lower)}"/>')
            shapes.append(f'<polyline class="line c{index % 6}" points="{path}"/>')
        for k, opt, low, high in points:
            if len(points) == 1:
                x = x_of(k) + 14 * (index - (len(lines) - 1) / 2)
                shapes.append(f'<line class="line c{index % 6}" x1="{x}" x2="{x}" y1="{y_of(low)}" y2="{y_of(high)}"/>')
            else:
                x = x_of(k)
            shapes.append(_marker(index, x, y_of(opt)))
    return _svg(title, shapes, width, height, 'class="curves"')


def legend_marker(index: int) -> Markup:
    """The marker of curve number `index`, for a legend; the text beside it says what it means."""
    return Markup(f'<svg class="key" viewBox="0 0 16 16" aria-hidden="true">{_marker(index, 8, 8)}</svg>')


def _marker(index: int, x: float, y: float) -> str:
    colour, shape = f"marker c{index % 6}", MARKERS[index % len(MARKERS)]
    if shape == "circle":
        return f'<circle class="{colour}" cx="{x}" cy="{y}" r="4.5"/>'
    if shape == "square":
        return f'<rect class="{colour}" x="{x - 4}" y="{y - 4}" width="8" height="8"/>'
    if shape == "diamond":
        return f'<path class="{colour}" d="M{x} {y - 5.5}L{x + 5.5} {y}L{x} {y + 5.5}L{x - 5.5} {y}Z"/>'
    return f'<path class="{colour}" d="M{x} {y - 5}L{x + 5} {y + 4}L{x - 5} {y + 4}Z"/>'


def _ticks(axis: Axis, values: Sequence[float], y: int, most: int) -> str:
    return "".join(f"M{axis.x(value)} {y}v18" for value in thin(values, most))


def _unit(value: float) -> tuple[float, str]:
    return next(((size, unit) for size, unit in UNITS if value >= size), UNITS[-1])


def _svg(title: str, shapes: Iterable[str], width: float, height: float, attributes: str) -> Markup:
    name = for_html(title)
    return Markup(
        f'<svg role="img" aria-label="{name}" viewBox="0 0 {width:g} {height:g}" {attributes}>'
        f"<title>{name}</title>{''.join(shapes)}</svg>"
    )
