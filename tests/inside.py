"""The files that run inside sandboxes: those in folders of that name."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
INSIDE = tuple(
    sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tasks").rglob("inside/*.py")
        if path.name != "__init__.py"
    )
)
BROUGHT = {
    "tasks/sandbox/probe/inside/encoding.py": ("numpy",),
    "tasks/perftests/sources/pytest/inside/discovery.py": ("pytest",),
    "tasks/perftests/sources/pytest/inside/workload.py": ("pytest", "_pytest", "hypothesis"),
    "tasks/suites/inside/child.py": ("pytest", "_pytest"),
    "tasks/suites/inside/server.py": ("pytest", "_pytest"),
}
"""What a file imports where the arm's environment holds it, inside a function."""
