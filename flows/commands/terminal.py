"""How runs look in a terminal: progress bars, tables, messages. Without a terminal, plain lines."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from flows.runtime import Advance

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
WIDE = 100_000
"""Columns that a table in a file or a pipe may have."""


class Bars:
    """Progress of a run: one bar per stage, which stays when the stage is done."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """See `flows.runtime.Progress`."""
        if not err.is_terminal:
            with _lines(name, total) as advance:
                yield advance
            return
        columns = (
            TextColumn("{task.description:<13}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=err) as progress:
            task = progress.add_task(name, total=total)

            def advance(done: int | None = None, total: int | None = None) -> None:
                if done is None:
                    progress.advance(task)
                else:
                    progress.update(task, completed=done, total=total)

            yield advance


@contextmanager
def _lines(name: str, items: int) -> Iterator[Advance]:
    """For logs: a line when a stage ends, and one every 15 s while it lasts."""
    started = last = time.monotonic()
    lock = threading.Lock()
    count, of = 0, items

    def advance(done: int | None = None, total: int | None = None) -> None:
        nonlocal count, of, last
        with lock:
            count = count + 1 if done is None else done
            of = of if total is None else total
            if time.monotonic() - last > 15:
                last = time.monotonic()
                err.print(f"{name}: {count}/{of}")

    yield advance
    err.print(f"{name}: {of} done in {time.monotonic() - started:.1f} s")


def table(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    *,
    cut: bool = False,
    widen: bool = False,
) -> None:
    """Print rows as a table; numbers to the right, None as a dash.

    Texts wrap where the terminal is narrow; with `cut` they end with an ellipsis instead, one line for each row. With
    `widen`, what goes to a file or a pipe is as wide as its texts, unless COLUMNS says how wide it may be.
    """
    if not rows:
        out.print(f"{title}: nothing yet")
        return
    names = list(columns or rows[0])
    wide = Console(highlight=False, width=WIDE)
    shown = _table(title, rows, names, out.width, cut=False, stacked=False)
    if widen and not out.is_terminal and "COLUMNS" not in os.environ:
        wide.print(shown)
        return
    if cut or wide.measure(shown).maximum > out.width:
        shown = _table(title, rows, names, out.width, cut=cut, stacked=True)
    out.print(shown)


def _table(
    title: str, rows: Sequence[Mapping[str, Any]], names: list[str], width: int, *, cut: bool, stacked: bool
) -> Table:
    """`stacked`: there is no room for long headers above short numbers."""
    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name in names:
        numeric = all(isinstance(row[name], (int, float)) or row[name] is None for row in rows)
        longest = max(len(_cell(row[name])) for row in rows)
        shown.add_column(
            name.replace("_", "\n" if numeric and stacked else " "),
            justify="right" if numeric else "left",
            overflow="ellipsis" if cut else "fold",
            no_wrap=numeric or name == names[0],  # the texts between them wrap where the terminal is narrow
            min_width=None if numeric else min(longest, 8),  # else many numbers would leave them nothing
            max_width=max(12, width // 4) if cut and name != names[-1] else None,  # the last one has what is left
        )
    for row in rows:
        shown.add_row(*(Text(_cell(row[name]), no_wrap=cut) for name in names))
    return shown


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)


def complain(message: str) -> None:
    """Say what went wrong, on stderr."""
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


def warn(message: str) -> None:
    """Say what the user should know, on stderr."""
    err.print(f"[yellow]warning:[/] {escape(message)}", soft_wrap=True)


def leave(code: int) -> NoReturn:
    """End after Ctrl-C, at once but for answers of models: those under way will be charged for, so they are kept.

    Threads that still work for the command are not waited for; what they run in sandboxes ends with this process.
    """
    stopping = sys.modules.get("tasks.llm.stopping")
    if stopping is not None and (number := stopping.under_way()):
        answers = "1 answer" if number == 1 else f"{number} answers"
        err.print(f"\nWaiting for {answers} already paid for; Ctrl-C again leaves them.")
        with suppress(KeyboardInterrupt):
            stopping.wait_for_answers()
    err.print("\nInterrupted. Finished work is in the store; the same command goes on from there.")
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # threads left behind complain that Prefect's server is gone
    atexit._run_exitfuncs()
    os._exit(code)
