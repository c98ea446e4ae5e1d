"""What runs on each push and what runs before a release: marks `thorough` and `rotated`, and the seed.

`--thorough` runs all of it (`make release-test`). Without, tests marked `thorough` are left out, and of each family
that is marked `rotated(n)` n cases run, chosen by a seed: the commit's id, so that over pushes all of them do. A family
is the cases of one test, or of all tests of a file that name the same one (`rotated(2, family="real builds")`).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--thorough` and `--seed`."""
    group = parser.getgroup("sampling")
    group.addoption("--thorough", action="store_true", help="run all tests: none is left out, no family is sampled")
    group.addoption("--seed", default=None, help="chooses the cases of rotated families (default: the commit's id)")


@lru_cache
def commit_id() -> str:
    """Of the checkout; `none` where there is no repository."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "none"


def seed_of(config: pytest.Config) -> str:
    """What chooses the cases of rotated families."""
    return str(config.getoption("seed") or os.environ.get("ISOBENCH_TEST_SEED") or commit_id())


def chosen(names: list[str], number: int, seed: str) -> set[str]:
    """`number` of these cases: each is as likely as any other, and the same seed chooses the same ones."""
    return set(sorted(names, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())[:number])


def cases_of(names: list[str], number: int, config: pytest.Config) -> set[str]:
    """The cases that one test tries in this run: all before a release, else `number` of them."""
    return set(names) if config.getoption("thorough") else chosen(names, number, seed_of(config))


def pytest_report_header(config: pytest.Config) -> str:
    """What is left out, and how to have just that again."""
    if config.getoption("thorough"):
        return "sampling: none, all tests run (--thorough)"
    return f"sampling: no thorough tests, families rotated by --seed={seed_of(config)}; `make release-test` runs all"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this run does not hold. A test that is asked for by its whole name runs always."""
    if config.getoption("thorough"):
        return
    named = {argument for argument in config.args if "::" in argument}
    families: dict[tuple[str, str, int], list[pytest.Item]] = defaultdict(list)
    left: list[pytest.Item] = []
    for item in items:
        if any(item.nodeid.startswith(name) for name in named):
            continue
        if item.get_closest_marker("thorough"):
            left.append(item)
        elif mark := item.get_closest_marker("rotated"):
            family = mark.kwargs.get("family") or item.nodeid.partition("[")[0].rpartition("::")[2]
            families[item.nodeid.partition("::")[0], family, mark.args[0]].append(item)
    for (_, _, number), members in families.items():
        kept = chosen([item.nodeid for item in members], number, seed_of(config))
        left += [item for item in members if item.nodeid not in kept]
    if left:
        out = set(map(id, left))
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if id(item) not in out]
