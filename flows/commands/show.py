"""The commands that look at things: a store, configuration files, this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.commands.formats import Form, print_as
from flows.commands.terminal import complain, record, say, table


def run_report(store: str, folder: Path) -> int:
    """Write the HTML page."""
    from storage.store import Store
    from tasks.reporting.report import write_report

    page = write_report(Store(store), folder)
    say(f"Report: {page}")
    return 0


def run_show(name: str, store: str, where: str | None, columns: str | None, limit: int, form: Form = "table") -> int:
    """Print a table of the store; a single row one column a line."""
    from storage.query import show
    from storage.store import Store

    wanted = None if columns in (None, "all") else [column.strip() for column in str(columns).split(",")]
    found = show(Store(store), name, where, wanted, limit, everything=columns == "all", full=form != "table")
    if form != "table":
        print_as(form, found.rows, found.columns)
        return 0
    if len(found.rows) == 1 and found.total == 1:
        found = show(Store(store), name, where, wanted, limit, everything=wanted is None)
        record(f"{name}: the only row", {column: found.rows[0][column] for column in found.columns})
        return 0
    of = f" where {where.strip()}" if where and where.strip() else ""
    title = f"{name}: {len(found)} of {found.total} rows{of}"
    table(title, found.rows, found.columns, cut=columns is None and "reason" not in found.columns, widen=True)
    return 0


def run_show_funnel(store: str, form: Form = "table") -> int:
    """Print what each stage kept and dropped, by reason, with what can be done about each."""
    from configs.errors import UserError
    from storage.store import Store
    from tasks.reporting.tables import funnel_by_reason

    opened = Store(store)
    if not opened.exists():
        raise UserError(f"no store at {opened.root}: `isobench demo` makes one, or name another with --store")
    rows = funnel_by_reason(opened)
    if form != "table":
        print_as(form, rows, list(rows[0]) if rows else [])
        return 0
    table("funnel by reason; `isobench show funnel --items` lists items, `isobench why SHA` tells one's story", rows)
    return 0


def run_why(sha: str, store: str, repo: str | None) -> int:
    """Print a commit's whole story."""
    from storage.store import Store
    from tasks.reporting.story import lines_of_story, story_of

    say("\n".join(lines_of_story(story_of(Store(store), sha, repo))).rstrip())
    return 0


def run_rule(name: str, store: str, run_id: str | None) -> int:
    """Print an evaluation as another benchmark's rule reads it."""
    from storage.store import Store
    from tasks.scoring.rules.applying import RULES, apply

    found = apply(Store(store), name, run_id)
    table(f"{name}: {RULES[name].means}", found.rows(named=True), found.columns)
    return 0


def run_validate(files: Sequence[Path], settings: list[str]) -> int:
    """Check configuration files; exit code 2 if one is bad."""
    from configs.loading import ConfigError, load_config

    bad = 0
    for path in files:
        try:
            load_config(path, settings)
        except ConfigError as error:
            complain(str(error))
            bad += 1
        else:
            say(f"{path}: ok")
    return 2 if bad else 0


def run_doctor() -> int:
    """Print the checks; exit code 1 if something that local runs need is missing."""
    from tasks.sandbox.doctor import examine

    checks = examine()
    table(
        "What is here",
        [{"": "ok" if c.ok else "--", "what": c.name, "found": c.found, "advice": c.advice} for c in checks],
    )
    return 1 if any(c.required and not c.ok for c in checks) else 0
