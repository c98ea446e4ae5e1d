"""Every test of a promise runs in every kind of sandbox."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tasks.sandbox.kinds import Kind, make_kind

IN_CONTAINERS = 0.3
"""Share of the tests of a file that a push repeats in containers, where they run in the local sandbox, too."""
DOCKER = pytest.param("docker", marks=pytest.mark.docker)


@pytest.fixture(scope="module", params=["bubblewrap", DOCKER, "plain"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """All three ways to run a command."""
    made = make_kind(request.param, request)
    with made.sandbox:
        yield made


@pytest.fixture(scope="module", params=["bubblewrap", DOCKER])
def isolated(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """The two that isolate."""
    made = make_kind(request.param, request)
    with made.sandbox:
        yield made


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every promise is kept in the local sandbox on each push, and in containers by a choice, which rotates."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    local = {(item.path, _name(item)) for item in here if not item.get_closest_marker("docker")}
    repeated: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in here:
        if item.get_closest_marker("docker") and (item.path, _name(item)) in local:
            repeated[item.path].append(item)
    for family in repeated.values():
        for item in family:
            item.add_marker(pytest.mark.rotated(math.ceil(IN_CONTAINERS * len(family)), family="in containers"))


def _name(item: pytest.Item) -> str:
    return item.name.partition("[")[0]
