"""The command `calibrate`: measures this machine with progress, and draws what was found."""

from __future__ import annotations

import time
from shlex import quote
from typing import TYPE_CHECKING, Literal

from flows.commands.terminal import changing, note, say, table

if TYPE_CHECKING:
    from tasks.reporting.calibrations import Finding

INTERRUPTED = 130
BAR = 10
"""Characters of a full bar."""


def run_calibrate(store: str, minutes: float, sandbox: Literal["local", "docker"] | None) -> int:
    """Measure for that long, or until Ctrl-C; finished comparisons are in the store either way."""
    from configs.models import SandboxConfig
    from flows.commands.build import require
    from storage.store import Store
    from storage.tables import Calibration
    from tasks.reporting.calibrations import conclusions, findings
    from tasks.timing.calibration import calibrate

    box = SandboxConfig(kind=sandbox or "local")
    require(box)
    kept = Store(store, run="calibrate")
    note(f"Comparing code of known speed for {minutes:g} minutes; Ctrl-C ends it and keeps what was measured.")
    code, start, done = 0, time.monotonic(), []
    try:
        with changing("the first comparison") as change:
            for row in calibrate(kept, box, minutes):
                done.append(row)
                spent = time.monotonic() - start
                change(f"{len(done)} comparisons, {spent:.0f} s: {row.true_ratio:g}x, {row.verdict}")
    except KeyboardInterrupt:
        code = INTERRUPTED
    if not done:
        return code
    machine = done[0].machine_id
    everything = [row for row in kept.rows(Calibration) if (row.machine_id, row.sandbox) == (machine, box.kind)]
    found = findings(everything)
    table(f"Machine {machine}, {box.kind} sandbox, {len(everything)} comparisons", [_row(item) for item in found])
    for sentence in conclusions(found):
        say(f"- {sentence}")
    named = quote(store)
    say(f"`isobench report {named}` draws them; `isobench show calibrations --store {named}` lists them.")
    return code


def _row(found: Finding) -> dict[str, object]:
    full = round(BAR * found.right)
    return {
        "calls, truth, question": f"{found.call:>5} {found.true_ratio:.2f}x, at least {found.question:g}x? "
        f"{'█' * full}{'░' * (BAR - full)}",
        "right %": round(100 * found.right),
        "wrong %": round(100 * found.wrong),
        "noise %": round(100 * found.spread, 2),
        "s": round(found.seconds, 1),
        "n": found.sessions,
    }
