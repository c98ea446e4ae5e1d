"""The files that run inside sandboxes, found in the source: those whose text is read to be sent there."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
INSIDE = (
    "tasks/sandbox/probe/inside/probe.py",
    "tasks/sandbox/probe/inside/dialects.py",
    "tasks/sandbox/probe/inside/encoding.py",
    "tasks/sandbox/commands/inside/runner.py",
    "tasks/environments/inside/adopt_venv.py",
    "tasks/environments/inside/build_wheel.py",
    "tasks/environments/inside/own_modules.py",
    "tasks/environments/inside/strip_project.py",
    "tasks/perftests/inside/watch.py",
    "tasks/perftests/gates/inside/mutants.py",
    "tasks/perftests/gates/inside/world.py",
    "tasks/perftests/sources/asv/inside/discovery.py",
    "tasks/perftests/sources/asv/inside/workload.py",
    "tasks/perftests/sources/pytest/inside/discovery.py",
    "tasks/perftests/sources/pytest/inside/workload.py",
)
BROUGHT = {
    "tasks/sandbox/probe/inside/encoding.py": ("numpy",),
    "tasks/perftests/sources/pytest/inside/discovery.py": ("pytest",),
    "tasks/perftests/sources/pytest/inside/workload.py": ("pytest", "_pytest"),
}
"""What a file imports where the arm's environment holds it, inside a function."""
