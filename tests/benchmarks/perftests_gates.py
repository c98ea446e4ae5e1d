"""Every gate against a script that only it catches, and the good scripts against all gates.

    python -m tests.benchmarks.perftests_gates

One line per script: the verdict, and the verdict once the gate it is for is taken away.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console
from rich.table import Table

from configs.models import PerfTestConfig, SandboxConfig
from tasks.perftests.gates import Bench, run_gates
from tasks.perftests.models import Proposal, Verdict
from tasks.perftests.targets import find_targets
from tasks.sandbox import limits_of, open_sandbox
from tests.tasks.perftests.conftest import CHANGED, make_kit
from tests.tasks.perftests.gate_scripts import BAD, GOOD, GSO, WITHOUT

CONFIG = PerfTestConfig(min_duration_s=0.0005, max_duration_s=2, gate_timeout_s=60, screen_speedup=1.5)


def gates() -> list[dict[str, Any]]:
    """One row per script: the gate that it is for, the verdict, and the verdict without that gate."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, open_sandbox(SandboxConfig()) as sandbox:
        kit = make_kit(Path(folder))
        targets = find_targets(CHANGED, ["kit/words.py"], kit.work / "base", kit.work / "human")
        limits = limits_of(SandboxConfig(memory_mb=1024))
        bench = Bench(sandbox, kit.work, kit.base, kit.human, targets, limits, kit.commit.patch)

        def verdict(script: str, dialect: Any = "isobench", config: PerfTestConfig = CONFIG) -> Verdict:
            return run_gates(Proposal("it", "kit.words.Counter.top", script, "seeded", dialect), bench, config)

        for name, script, dialect in (("good", GOOD, "isobench"), ("good, gso", GSO, "gso")):
            rows.append({"script for": name, "verdict": verdict(script, dialect).gate or "accepted", "without": ""})
        for gate, script in BAD.items():
            found = verdict(script)
            row = {"script for": gate, "verdict": found.gate or "accepted", "without": "cannot run"}
            row["said"] = found.detail.splitlines()[0] if found.detail else ""
            if gate in WITHOUT:
                for module, name, stand_in in WITHOUT[gate]:
                    mock.patch.object(module, name, stand_in).start()
                found = verdict(script, config=CONFIG.model_copy(update={"screen_rounds": 0}))
                row["without"] = found.gate or "accepted"
                mock.patch.stopall()
            rows.append(row)
    return rows


def table(rows: list[dict[str, Any]], title: str) -> Table:
    """A view of rows; the keys of all are the columns."""
    view = Table(title=title)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    for key in keys:
        view.add_column(key)
    for row in rows:
        view.add_row(*(f"{row[k]:.2f}" if isinstance(row.get(k), float) else str(row.get(k, "")) for k in keys))
    return view


if __name__ == "__main__":
    Console(width=200).print(table(gates(), "Gates: the verdict, and the verdict without that gate (and the screen)"))
