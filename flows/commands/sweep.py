"""What `isobench sweep` does around its flow."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from flows.commands.build import finish, require, running
from flows.commands.terminal import say, table

if TYPE_CHECKING:
    from flows.summaries import SweepSummary


def run_sweep(config: Path, store: str | None, settings: list[str], null: bool, verbose: bool) -> int:
    """Sweep, and say what was found and what it cost; exit code 1 if something met a fault."""
    from configs.loading import load_config

    loaded = load_config(config, [*settings, *([f"store={store}"] if store else [])])
    require(loaded.sandbox)
    with running(loaded.store, verbose):
        from flows.sweep import sweep

        summary = sweep(loaded, null=null)
    _print(summary, config)
    return finish(summary)


def _print(summary: SweepSummary, config: Path) -> None:
    each = summary.timed_s / max(1, summary.changes)
    say(
        f"{summary.changes} changes in {summary.windows} windows, {summary.comparisons} comparisons, "
        f"{summary.timed_s:.0f} s of timing, {each:.1f} s per change"
    )
    if summary.null:
        say(f"False steps: {summary.false_steps} of {summary.comparisons} comparisons of a commit with itself")
        return
    rows = [
        {
            "change": step.sha[:10] + (f" or one of {step.n_changes - 1} before" if step.n_changes > 1 else ""),
            "ratio": round(step.ratio, 2), "interval": f"{step.ci_low:.2f} to {step.ci_high:.2f}",
            "mined": "yes" if step.mined else step.reason, "test": step.test, "subject": step.subject,
        }
        for step in summary.steps
    ]  # fmt: skip
    table(f"Changes at which a test steps down: {summary.repo}", rows)
    single = [step.sha[:10] for step in summary.steps if step.n_changes == 1]
    if single:
        say(f"To build them: isobench build {quote(str(config))} --set 'mining.commits=[{', '.join(single)}]'")
