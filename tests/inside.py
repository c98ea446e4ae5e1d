"""The files that run inside sandboxes, found in the source: those whose text is read to be sent there."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
INSIDE = (
    "tasks/sandbox/probe/inside/probe.py",
    "tasks/sandbox/probe/inside/dialects.py",
    "tasks/sandbox/probe/inside/encoding.py",
    "tasks/sandbox/commands/inside/runner.py",
    "tasks/environments/adopt_venv.py",
    "tasks/environments/build_wheel.py",
    "tasks/environments/own_modules.py",
    "tasks/environments/strip_project.py",
    "tasks/perftests/watch.py",
    "tasks/perftests/gates/mutating.py",
    "tasks/perftests/gates/watching.py",
    "tasks/perftests/asv_source/discovery.py",
    "tasks/perftests/asv_source/workload.py",
    "tasks/perftests/pytest_source/discovery.py",
    "tasks/perftests/pytest_source/workload.py",
)
BROUGHT = {
    "tasks/sandbox/probe/inside/encoding.py": ("numpy",),
    "tasks/perftests/pytest_source/discovery.py": ("pytest",),
    "tasks/perftests/pytest_source/workload.py": ("pytest", "_pytest"),
}
"""What a file imports where the arm's environment holds it, inside a function."""
