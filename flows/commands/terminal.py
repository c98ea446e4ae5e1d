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

if TYPE_CHECKING:
    from flows.runtime import Advance

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


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


def table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Print rows as a table; numbers to the right, None as a dash."""
    if not rows:
        out.print(f"{title}: nothing yet")
        return
    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    names = list(columns or rows[0])
    for name in names:
        numeric = all(isinstance(row[name], (int, float)) or row[name] is None for row in rows)
        shown.add_column(
            name.replace("_", " "),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=numeric or name == names[0],  # the texts between them wrap where the terminal is narrow
        )
    for row in rows:
        shown.add_row(*(_cell(row[name]) for name in names))
    out.print(shown)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return escape(str(value))


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
