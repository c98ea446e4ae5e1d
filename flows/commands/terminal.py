"""How runs look in a terminal: progress bars, tables, messages. Without a terminal, plain lines.

The only door to the terminal: every text that is printed goes through `for_terminal` here, and is never read as rich's
markup. What others print (libraries, logs, tracebacks) passes `streams.py`.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, NoReturn

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from configs.escaping import for_terminal
from flows.commands.streams import behind

if TYPE_CHECKING:
    from flows.engine.progress import Advance


class Screen(Console):
    """A console that reads no markup and no emoji codes, and writes past the guard of the standard streams."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **settings)

    @property  # type: ignore[misc]
    def file(self) -> IO[str]:
        """Where it writes."""
        return behind(super().file)

    @property
    def encoding(self) -> str:
        """Of where it writes: without it, tables are drawn in characters that not every stream has."""
        return (getattr(self.file, "encoding", None) or "utf-8").lower()


out = Screen()
err = Screen(stderr=True)
WIDE = 100_000
"""Columns that a table in a file or a pipe may have."""


def say(message: str) -> None:
    """A result, on stdout."""
    out.print(_indented(for_terminal(message)), soft_wrap=True)


def hand_over(text: str) -> None:
    """A result for another program, on stdout: nothing is wrapped or indented."""
    print(for_terminal(text), end="")


def note(message: str) -> None:
    """How things go, on stderr."""
    err.print(_indented(for_terminal(message)), soft_wrap=True)


def complain(message: str) -> None:
    """Say what went wrong, on stderr."""
    err.print(Text.assemble(("error:", "bold red"), " ", _indented(for_terminal(message))), soft_wrap=True)


def warn(message: str) -> None:
    """Say what the user should know, on stderr."""
    err.print(Text.assemble(("warning:", "yellow"), " ", _indented(for_terminal(message))), soft_wrap=True)


def heading(words: str, *, faint: bool = False) -> None:
    """A line across the screen, above a text."""
    out.rule(Text(for_terminal(words)), style="dim" if faint else "rule.line", align="left")


def show_text(text: str) -> None:
    """A text of many lines as it is, on stdout."""
    out.print(Text(for_terminal(text)), soft_wrap=True)


def crash(error: BaseException) -> None:
    """The traceback of a fault of ours, on stderr."""
    err.print(Text(for_terminal("".join(traceback.format_exception(error)).rstrip())), soft_wrap=True)


@contextmanager
def changing(words: str) -> Iterator[Callable[[str], None]]:
    """A line on stderr that changes: call what this gives with its new words. Without a terminal, a line each."""
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False)
    with _progress(*columns, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(for_terminal(words), total=None)

        def change(to: str) -> None:
            progress.update(task, description=for_terminal(to))
            if not err.is_terminal:
                note(to)

        yield change


def _progress(*columns: ProgressColumn, **settings: Any) -> Progress:
    """Bars on stderr. What others print meanwhile passes the guard; rich would read it for colours and links."""
    return Progress(*columns, console=err, redirect_stdout=False, redirect_stderr=False, **settings)


def _indented(text: str) -> str:
    """Further lines of a message, pushed in: none of them can pass for a message of its own."""
    return text.replace("\n", "\n  ")


class Bars:
    """Progress of a run: one bar per stage, which stays when the stage is done."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Advance]:
        """See `flows.engine.progress.Progress`."""
        if not err.is_terminal:
            with _lines(name, total) as advance:
                yield advance
            return
        stage = TextColumn("{task.description:<13}", markup=False)
        with _progress(stage, BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn()) as progress:
            task = progress.add_task(for_terminal(name), total=total)

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
                note(f"{name}: {count}/{of}")

    yield advance
    note(f"{name}: {of} done in {time.monotonic() - started:.1f} s")


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
        say(f"{title}: nothing yet")
        return
    names = list(columns or rows[0])
    wide = Screen(width=WIDE)
    shown = _table(title, rows, names, out.width, cut=False, stacked=False)
    if widen and not out.is_terminal and "COLUMNS" not in os.environ:
        wide.print(shown)
        return
    if cut or wide.measure(shown).maximum > out.width:
        shown = _table(title, rows, names, out.width, cut=cut, stacked=True)
    out.print(shown)


def record(title: str, row: Mapping[str, Any]) -> None:
    """Print one row with a line for each column, and texts in full."""
    width = max(map(len, row))
    lines = [f"{name.ljust(width)}  {_cell(value)}" for name, value in row.items()]
    hanging = "\n" + " " * (width + 2)
    say("\n".join([title, *(line.replace("\n", hanging) for line in lines)]))


def _table(
    title: str, rows: Sequence[Mapping[str, Any]], names: list[str], width: int, *, cut: bool, stacked: bool
) -> Table:
    """`stacked`: there is no room for long headers above short numbers."""
    shown = Table(title=Text(for_terminal(title)), title_justify="left", title_style="bold", header_style="bold")
    for name in names:
        numeric = all(isinstance(row[name], (int, float)) or row[name] is None for row in rows)
        longest = max(len(_cell(row[name])) for row in rows)
        shown.add_column(
            Text(for_terminal(name.replace("_", "\n" if numeric and stacked else " "))),
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
    return for_terminal(value)


def leave(code: int) -> NoReturn:
    """End after Ctrl-C, at once but for answers of models: those under way will be charged for, so they are kept.

    Threads that still work for the command are not waited for; what they run in sandboxes ends with this process.
    """
    stopping = sys.modules.get("tasks.llm.stopping")
    if stopping is not None and (number := stopping.under_way()):
        answers = "1 answer" if number == 1 else f"{number} answers"
        err.print()
        note(f"Waiting for {answers} already paid for; Ctrl-C again leaves them.")
        with suppress(KeyboardInterrupt):
            stopping.wait_for_answers()
    err.print()
    note("Interrupted. Finished work is in the store; the same command goes on from there.")
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # threads left behind complain that Prefect's server is gone
    atexit._run_exitfuncs()
    os._exit(code)
