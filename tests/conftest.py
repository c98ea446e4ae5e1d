"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
from functools import lru_cache

import pytest

pytest_plugins = ["tests.turns", "tests.sampling", "tests.budgets"]

HOW = (
    "Docker tests need an engine and a base image: start `dockerd`, run `sudo deployments/images/build-base.sh` "
    "and set ISOBENCH_IMAGE=isobench-base:3.11 (or `docker pull python:3.11-slim`); see CONTRIBUTING.md"
)


@lru_cache
def _missing_docker() -> str | None:
    """Why containers cannot be run here, or None."""
    from tasks.sandbox.docker.engine import connect, default_image, engine_errors
    from tasks.sandbox.models import SandboxError

    image = default_image()
    try:
        client = connect(timeout_s=20)
        with engine_errors(image):
            client.images.get(image)
    except SandboxError as error:
        return str(error)
    client.close()
    return None


@pytest.fixture(scope="session")
def docker_image() -> str:
    """Name of a Docker image with Python 3.11. Without engine or image: skips, or fails if CI demands Docker."""
    from tasks.sandbox.docker.engine import default_image

    if reason := _missing_docker():
        if os.environ.get("ISOBENCH_REQUIRE_DOCKER") == "1":
            pytest.fail(f"ISOBENCH_REQUIRE_DOCKER=1, but {reason}. {HOW}")
        pytest.skip(f"{reason}. {HOW}")
    return default_image()
