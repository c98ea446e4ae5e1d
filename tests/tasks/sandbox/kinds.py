"""The kinds of sandboxes under test, and how to run Python in them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import pytest

from tasks.sandbox.local.bubblewrap import find_bubblewrap
from tasks.sandbox.local.sandbox import LocalSandbox
from tasks.sandbox.models import Command, Completed, Limits, Sandbox


@dataclass
class Kind:
    """A sandbox under test and the Python inside it."""

    name: str
    sandbox: Sandbox
    python: str
    image: str | None = None
    isolated: bool = True
    limits: dict[str, float] = field(default_factory=lambda: {"timeout_s": 60, "memory_mb": 512})

    def command(self, code: str, *arguments: str, limits: dict[str, float] | None = None, **more: object) -> Command:
        chosen = Limits.model_validate({**self.limits, **(limits or {})})
        argv = (self.python, "-c", code, *arguments)
        return Command.model_validate({"argv": argv, "limits": chosen, "image": self.image, **more})

    def run(self, code: str, *arguments: str, stdin: bytes = b"", **more: object) -> Completed:
        return self.sandbox.run(self.command(code, *arguments, **more), stdin)  # type: ignore[arg-type]


def make_kind(name: str, request: pytest.FixtureRequest) -> Kind:
    python = f"{sys.base_prefix}/bin/python3"
    if name == "docker":
        image = request.getfixturevalue("docker_image")
        from tasks.sandbox.docker.sandbox import DockerSandbox

        return Kind(name, DockerSandbox(), "python3", image)
    if name == "plain":
        return Kind(name, LocalSandbox(use_bubblewrap=False), python, isolated=False)
    if find_bubblewrap() is None:
        pytest.skip("bubblewrap is not installed, or may not make namespaces here")
    return Kind(name, LocalSandbox(use_bubblewrap=True), python)
