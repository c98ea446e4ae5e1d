"""The gates: what a script must pass before anybody spends time on measuring with it. `verdict.py` has the table."""

from tasks.perftests.gates.context import Bench, GateFailed
from tasks.perftests.gates.verdict import judge

__all__ = ["Bench", "GateFailed", "judge"]
