"""What `isobench refresh` does around its flow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands.build import finish, running
from flows.commands.terminal import complain, say

if TYPE_CHECKING:
    from storage.tables import Withdrawal


def run_refresh(folder: Path, store: str | None, settings: list[str], verbose: bool) -> int:
    """Refresh, and say what became of the dataset; exit code 1 if something failed, the rest is done."""
    with running(store or "./store", verbose):
        from flows.refresh import refresh

        summary = refresh(str(folder), store=store, settings=settings)
    for name, built in summary.builds.items():
        say(f"{name}: {len(built.instances)} instances of {built.candidates} candidates")
    _list(summary.withdrawn)
    for version in summary.versions:
        counts = f"{len(version.added)} added, {len(version.changed)} changed, {len(version.withdrawn)} withdrawn"
        say(f"Version {version.number}: {len(version.instances)} instances; {counts}")
    if not summary.versions:
        say("Nothing changed: there is no new version")
    for url in summary.published:
        say(f"Published: {url}")
    return finish(summary)


def run_plan(folder: Path, store: str | None, settings: list[str]) -> int:
    """List what a refresh would withdraw; exit code 1 if a configuration cannot be used."""
    from flows.refresh import planned

    found, failures = planned(str(folder), store, settings)
    _list(found)
    say(f"{sum(row.withdrawn for row in found)} would be withdrawn; nothing was built and nothing changed")
    for reason in failures.values():
        complain(reason)
    return 1 if failures else 0


def _list(rows: list[Withdrawal]) -> None:
    for row in rows:
        say(f"{'withdrawn' if row.withdrawn else 'back'}: {row.instance_id}: {row.why}")
