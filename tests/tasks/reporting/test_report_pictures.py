"""Pictures: positions, ticks, thinning, units."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reporting import svg


def test_axis_maps_ends_and_middle():
    linear = svg.Axis(0, 10, 100, 200)
    assert [linear.x(value) for value in (0, 5, 10, -3, 99)] == [100, 150, 200, 100, 200]
    log = svg.Axis(1, 100, 0, 100, log=True)
    assert [log.x(value) for value in (1, 10, 100)] == [0, 50, 100]


@pytest.mark.parametrize(
    ("values", "log"), [([1.0, 2.0], False), ([1.0, 7.0], True), ([0.0, 9.0], False), ([3.0], False), ([], False)]
)
def test_axis_is_logarithmic_where_values_span_much(values, log):
    assert svg.Axis.around(values, 0, 100).log is log


@given(st.lists(st.floats(1e-9, 1e4), min_size=1, max_size=30), st.sampled_from([None, True, False]))
def test_every_value_lies_inside_and_ticks_are_few(values, log):
    axis = svg.Axis.around(values, 10, 90, log)
    assert all(10 <= axis.x(value) <= 90 for value in values)
    ticks = axis.ticks()
    assert ticks == sorted(ticks)
    assert len(ticks) <= 13
    assert all(axis.low <= tick <= axis.high * (1 + 1e-9) or math.isclose(tick, axis.low) for tick in ticks)


@given(st.lists(st.floats(-1e6, 1e6), max_size=400), st.integers(2, 50))
def test_thinning_keeps_ends_and_order(values, most):
    kept = svg.thin(values, most)
    assert len(kept) == min(len(values), most)
    assert kept == sorted(kept)
    if values:
        assert (kept[0], kept[-1]) == (min(values), max(values))


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5, "1.50 s"), (0.0123, "12.3 ms"), (4.2e-7, "420 ns"), (3.14e-5, "31.4 µs"), (123.4, "123 s"), (0.0, "0 ns")],
)
def test_seconds(value, text):
    assert svg.seconds(value) == text


def test_strips_draw_one_tick_per_batch_and_mark_wrong_ones():
    axis = svg.Axis(0.0, 2.0, 0, 200)
    rows = [
        svg.Strip([1.0, 1.1, 1.2], 1.1, "base"),
        svg.Strip([0.5] * 500, 0.5, "patch", wrong=[0.4]),
    ]
    pictures = [svg.strip(axis, row, most=100) for row in rows]
    paths = dict(re.findall(r'class="ticks (\w+)" d="([^"]*)"', "".join(pictures)))
    assert {kind: path.count("M") for kind, path in paths.items()} == {"base": 3, "patch": 100, "wrong": 1}
    assert [re.findall(r'class="median (\w+)" x1="([\d.]+)"', picture) for picture in pictures] == [
        [("base", "110.0")], [("patch", "50.0")],
    ]  # fmt: skip
    assert "median" not in svg.strip(axis, svg.Strip([], None, "patch", wrong=[0.4]))


def test_the_axis_of_strips_names_its_unit_and_leaves_room_for_it():
    drawn = svg.time_axis(svg.Axis(0.002, 0.2, 4, svg.STRIP_WIDTH - 4, log=True))
    assert re.findall(r">([^<>]+)</text>", drawn)[-1] == "ms, log"
    places = [float(x) for x in re.findall(r'class="tick" x="([\d.]+)"', drawn)]
    assert places
    assert max(places) < svg.STRIP_WIDTH - 75


def test_bars_show_shares():
    picture = svg.bar([("kept", 1), ("dropped", 3), ("failed", 0)], "x")
    assert re.findall(r'class="(\w+)" x="([\d.]+)" width="([\d.]+)"', picture) == [
        ("kept", "0.00", "25.00"),
        ("dropped", "25.00", "75.00"),
    ]
    assert "rect" not in svg.bar([("kept", 0)], "x")


def test_intervals_are_placed_on_the_axis():
    axis = svg.Axis(1, 100, 0, 100, log=True)
    picture = svg.interval(axis, 1.0, 10.0, 100.0, [10.0], "x")
    assert 'class="point" cx="50.0"' in picture
    assert 'class="whisker" x1="0.0" x2="100.0"' in picture
    assert "whisker" not in svg.interval(axis, None, 10.0, None, [], "x")


def test_curves_of_one_k_are_points_with_bars_and_of_none_an_empty_frame():
    one = svg.curves([svg.Curve("m", [(1, 0.5, 0.2, 0.8)])], "x")
    assert "polygon" not in one
    assert one.count("marker") == 1
    many = svg.curves([svg.Curve("m", [(1, 0.5, 0.2, 0.8), (2, 0.6, 0.3, 0.9)])], "x")
    assert many.count("<polygon") == 1
    assert many.count("marker") == 2
    assert "100%" in many
    assert svg.curves([], "x").startswith("<svg")
