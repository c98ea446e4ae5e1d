"""The score: every feature of the table is found where it is, and not where it isn't."""

from datetime import UTC, datetime

import pytest

from configs.models import MiningConfig
from tasks.mining.filters.filters import Filtered, Filters
from tasks.mining.filters.rules import Rules
from tasks.mining.git.diff_parser import Change, FileDiff
from tasks.mining.git.history import Inner
from tasks.mining.ranking.score import WEIGHTS, Score
from tests.benchmarks.mining_labels import HEADS, load_labels

OLD = "def f(xs):\n    out = []\n    return out\n"


def diff(path: str, removed: str, added: str, status: str = "M") -> FileDiff:
    """A file of a change, with the lines that it lost and gained."""
    body = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n"
    body += "".join(f"-{line}\n" for line in removed.splitlines()) + "".join(
        f"+{line}\n" for line in added.splitlines()
    )
    return FileDiff(status, path, path, "1" * 40, "2" * 40, "100644", "100644", body.encode())


def apply(
    message: str = "Change f",
    removed: str = "x = 1",
    added: str = "x = 2",
    *files: FileDiff,
    inner: Inner | None = None,
) -> Filtered:
    """A change of one file of code, and perhaps others, filtered by the default filters."""
    change = Change(
        sha="a" * 40,
        parents=["b" * 40],
        author_date=datetime(2024, 1, 1, tzinfo=UTC),
        author="Ada",
        email="ada@example.org",
        subject=message.split("\n", 1)[0],
        message=message,
        files=[diff("f.py", removed, added), *files],
    )
    return Filters(Rules.of(MiningConfig(), ["python", "c", "cython"])).apply(change, inner)


def names(filtered: Filtered) -> set[str]:
    return {feature.partition(" ")[2] for feature in filtered.score.features}


LOOP = "for x in xs:\n    out.append(x)"
EXAMPLES: dict[str, Filtered] = {
    "perf type": apply("perf(parser): change f"),
    "keyword in title": apply("Faster f"),
    "keyword in message": apply("Change f\n\nIt was slow."),
    "speed in title": apply("Quicker f"),
    "hardware in title": apply("Use AVX512 in f"),
    "saving in title": apply("Don't ask twice in f"),
    "cost in title": apply("Drop two copies in f"),
    "improvement in title": apply("Improve f"),
    "native in title": apply("Move f to Cython"),
    "fix in title": apply("Fix f"),
    "addition in title": apply("Add g to f"),
    "housekeeping in title": apply("Docstring of f"),
    "measured gain": apply("Change f\n\nFrom 49 ms to 32 ms."),
    "complexity": apply("Change f\n\nIt is O(n log n) now."),
    "benchmark in message": apply("Change f\n\nFound with a profiler."),
    "caching added": apply(removed="x = 1", added="@lru_cache\nx = 1"),
    "loops removed": apply(removed=LOOP, added="out += xs"),
    "vectorised": apply(removed=LOOP, added="out = np.asarray(xs)"),
    "copies avoided": apply(removed="y = x.copy()", added="y = x"),
    "container swapped": apply(removed="seen = []", added="seen = set()"),
    "lists avoided": apply(removed="any([x for x in xs])", added="any(x for x in xs)"),
    "slots added": apply(removed="x = 1", added="__slots__ = ('x',)\nx = 1"),
    "name bound": apply(removed="self.g(1)", added="g = self.g\ng(1)"),
    "early exit": apply(removed="x = 1", added="if not xs:\n    return\nx = 1"),
    "buffers": apply(removed="b += data", added="b = bytearray()\nb += data"),
    "intrinsics": apply("Change f", "x = 1", "x = 2", diff("g.c", "y = 1;", "y = _mm256_add_ps(a, b);")),
    "speed in code": apply(removed="x = 1", added="# Fast path: one character\nx = 1"),
    "definitions added": apply(removed="x = 1", added="def g(xs):\n    x = 1"),
    "errors added": apply(removed="x = 1", added="raise ValueError(x)"),
    "nothing replaced": apply(removed="", added="x = 1"),
    "benchmarks touched": apply("Change f", "x = 1", "x = 2", diff("benchmarks/bench_f.py", "", "f()")),
    "performance note": apply("Change f", "x = 1", "x = 2", diff("doc/changes/12.performance.rst", "", "Nice.")),
    "compiled code touched": apply("Change f", "x = 1", "x = 2", diff("g.c.src", "y = 1;", "y = 2;")),
    "large change": apply(removed="x = 1\n" * 300, added="x = 2\n" * 300),
    "many files": apply("Change f", "x = 1", "x = 2", *(diff(f"g{n}.py", "x = 1", "x = 2") for n in range(9))),
    "new file": apply("Change f", "x = 1", "x = 2", diff("g.py", "", "x = 1", status="A")),
}


def test_a_dull_change_has_no_feature() -> None:
    assert (apply().score.value, names(apply())) == (0, set())


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_feature_is_found(name: str) -> None:
    assert name in names(EXAMPLES[name])


def test_score_is_the_sum_of_what_it_names() -> None:
    for filtered in EXAMPLES.values():
        weights = [float(feature.split(" ")[0]) for feature in filtered.score.features]
        assert filtered.score.value == pytest.approx(sum(weights))
        assert [abs(weight) for weight in weights] == sorted(map(abs, weights), reverse=True)
    assert Score().value == 0


@pytest.mark.parametrize(
    "message",
    [
        "Change f\n\nCalls 0x1f and 3 x 4 and a 2x4 grid.",
        "Change f\n\nSee 1e6ms9 and v2.3xy.",
        "Change f\n\nSigned-off-by: 5 % <a@example.org>",
    ],
)
def test_figures_that_measure_nothing(message: str) -> None:
    assert "measured gain" not in names(apply(message))


@pytest.mark.parametrize(
    "gain", ["2.3x", "40 % less", "-35%", "1.381ms (1.84x)", "12.1 µs", "twice as fast", "by half"]
)
def test_figures_that_measure(gain: str) -> None:
    assert "measured gain" in names(apply(f"Change f\n\nNow {gain}."))


def test_names_of_code_in_a_title_are_not_words() -> None:
    assert "speed in title" not in names(apply("Rename `faster` and fast.path and 'slow'"))


def test_a_fix_of_speed_is_not_held_against_it() -> None:
    assert "fix in title" not in names(apply("Fix slow f"))


def test_a_merge_is_what_its_commits_are_for() -> None:
    message = "Merge pull request #12 from bob/patch\n\nChange f"
    inner = Inner(["c" * 40], {}, ["Avoid copies in f", "Fix a typo"])
    assert {"saving in title", "cost in title"} <= names(apply(message, inner=inner))
    assert "fix in title" not in names(apply(message, inner=inner))
    assert "saving in title" not in names(apply(message))


def test_large_changes_are_dropped_but_ranked() -> None:
    filtered = apply("Make f 3x faster", "x = 1\n" * 2000, "x = 2\n" * 2000)
    assert filtered.reason.startswith("too_many_lines")
    assert filtered.score.value > apply("Change f").score.value


def test_labels_are_whole() -> None:
    labels = load_labels()
    assert set(labels) == set(HEADS)
    for repo, rows in labels.items():
        assert len({row.sha for row in rows}) == len(rows) >= 50, repo
        assert {row.label for row in rows} <= {"yes", "no", "unsure"}
        assert all(len(row.sha) == 40 and row.reason and row.weight >= 1 for row in rows)
        assert {row.held_out for row in rows if row.label == "yes"} == {True, False}
    assert sum(map(len, labels.values())) >= 400
