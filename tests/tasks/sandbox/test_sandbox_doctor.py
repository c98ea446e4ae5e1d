"""The doctor tells what is here and what is not, and no key's value."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.sandbox.doctor import examine
from tasks.sandbox.local.sandbox import LocalSandbox


def test_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    checks = {check.name: check for check in examine()}
    for name in ("Python 3.11 or newer", "git", "uv"):
        assert checks[name].ok, checks[name]
        assert checks[name].required
    assert checks["OPENAI_API_KEY"].found == "set"
    assert checks["HF_TOKEN"].found == "not set"
    assert "very-secret" not in repr(checks)


def test_what_is_missing_comes_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    checks = {check.name: check for check in examine()}
    for name, advice in (
        ("git", "apt install git"),
        ("C compiler", "apt install gcc"),
        ("docker (docker sandbox)", "start it"),
    ):
        assert not checks[name].ok
        assert advice in checks[name].advice
    assert checks["git"].required
    assert not checks["docker (docker sandbox)"].required


@pytest.mark.parametrize(("meter", "first"), [("cpu.stat", False), ("worker", False), ("processes", True)])
def test_that_nothing_can_be_found_faster_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, meter: str, first: bool
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(LocalSandbox, "meter", meter)
    checks = examine()
    found = next(check for check in checks if check.name == "meter of CPU time (local sandbox)")
    assert found.ok is not first
    assert (checks[0] == found) is first
    assert found.found.startswith("no arm can be found faster here" if first else meter)
    assert ("mount control groups" in found.advice) is first
