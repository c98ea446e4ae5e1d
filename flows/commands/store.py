"""What the commands do that keep a store for years."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from configs.errors import UserError
from flows.commands.terminal import complain, say, table

if TYPE_CHECKING:
    from storage.store import Store

SHOWN = 20


def run_compact(place: str, dry_run: bool) -> int:
    """Compact all tables; exit code 1 if parts had to be left as they are."""
    from storage.upkeep.compacting import compact

    done = compact(_opened(place), dry_run)
    for problem in done.problems:
        complain(f"left as it is: {problem}")
    say(
        f"{'would be ' if dry_run else ''}{done.parts_before} parts -> {done.parts_after}; "
        f"{done.rows_dropped} older rows of keys that have a newer one {'would go' if dry_run else 'are gone'}"
    )
    return 1 if done.problems else 0


def run_prune(place: str, days: float, dry_run: bool) -> int:
    """Remove what nobody needs; always exit code 0."""
    from storage.upkeep.orphans import orphans
    from tasks.housekeeping import prunable, prune

    store = _opened(place)
    reasons: Counter[str] = Counter()
    for number, path in enumerate(list(orphans(store))):
        _list(number, path, "no row names it")
        reasons["no row names it"] += 1
        if not dry_run:
            store.fs.rm_file(path)
    for number, item in enumerate(list(prunable(store, days))):
        _list(number, str(item.path), item.why)
        reasons[item.why] += 1
        if not dry_run:
            prune(item)
    for why, count in sorted(reasons.items()):
        say(f"{count} {'would go' if dry_run else 'are gone'}: {why}")
    if not reasons:
        say("nothing to remove")
    return 0


def run_check(place: str) -> int:
    """Name what is broken."""
    from storage.upkeep.checking import check

    count = 0
    for problem in check(_opened(place)):
        complain(problem)
        count += 1
    say(f"{count} problems" if count else "nothing is broken")
    return 1 if count else 0


def run_du(place: str) -> int:
    """Print what a store takes."""
    from storage.upkeep.usage import usage

    rows = [
        {"what": use.what, "MiB": f"{use.bytes / 2**20:,.1f}", "parts": use.parts, "rows": use.rows}
        for use in usage(_opened(place))
    ]
    table(f"{place} on the disk", rows, ["what", "MiB", "parts", "rows"])
    return 0


def _opened(place: str) -> Store:
    from storage.store import Store

    store = Store(place)
    if not store.exists():
        raise UserError(f"no store at {store.root}")
    return store


def _list(number: int, path: str, why: str) -> None:
    if number < SHOWN:
        say(f"{path}: {why}")
    elif number == SHOWN:
        say("...")
