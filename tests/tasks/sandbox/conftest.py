"""Every test of a promise runs in every kind of sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tasks.sandbox.kinds import Kind, make_kind

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
