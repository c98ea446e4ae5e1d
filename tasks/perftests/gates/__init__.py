"""The gates: what a script must pass before anybody spends time on measuring with it. `verdict.py` has the table."""

from tasks.perftests.gates.context import Bench, GateFailed
from tasks.perftests.gates.verdict import run_gates

__all__ = ["Bench", "GateFailed", "run_gates"]
