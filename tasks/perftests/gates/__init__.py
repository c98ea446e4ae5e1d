"""The gates: what a script must pass before anybody spends time on measuring with it. `judging.py` has the table."""

from tasks.perftests.gates.bench import Bench, GateFailed
from tasks.perftests.gates.judging import judge

__all__ = ["Bench", "GateFailed", "judge"]
