"""The command line. Each command imports what it needs when it runs, so that `--help` is instant."""

from __future__ import annotations

import sys

from flows.surroundings import be_seen, import_nothing_from_here, warn_as_usual

import_nothing_from_here()  # nor what follows
warn_as_usual()
be_seen()

from typing import Any  # noqa: E402

import typer  # noqa: E402
from typer.core import TyperCommand  # noqa: E402

from configs.errors import UserError  # noqa: E402
from flows.cli_agents import agents as agent_commands  # noqa: E402
from flows.cli_batch import batch  # noqa: E402
from flows.cli_build import building  # noqa: E402
from flows.cli_evaluate import evaluating  # noqa: E402
from flows.cli_exchange import exporting, harbor, importing  # noqa: E402
from flows.cli_show import showing  # noqa: E402
from flows.cli_store import store_commands  # noqa: E402

app = typer.Typer(
    help="Mines real performance commits, proves their speedups in sandboxes, and scores coding agents against them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for _commands in (building, evaluating, exporting, showing):
    app.registered_commands += _commands.registered_commands
app.add_typer(batch, name="batch")
app.add_typer(agent_commands, name="agents")
app.add_typer(importing, name="import")
app.add_typer(harbor, name="harbor")
app.add_typer(store_commands, name="store")

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class _Command(TyperCommand):
    """A command during which nothing that others print steers the terminal; its `--help` has colours."""

    def invoke(self, ctx: Any) -> Any:
        from flows.commands.streams import guard

        guard()
        return super().invoke(ctx)


for _declared in (
    command
    for group in (app, batch, agent_commands, importing, harbor, store_commands)
    for command in group.registered_commands
):
    _declared.cls = _Command


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 some items failed (listed), 2 the user's mistake, 130 interrupted."""
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        from flows.commands.terminal import complain

        complain(str(error))
        code = 2
    except typer.Exit as stop:
        code = stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        from flows.commands.terminal import complain, crash, note

        code = 1
        if hasattr(error, "format_message"):  # a usage error of the command line
            code = 2
            if message := error.format_message():
                context = getattr(error, "ctx", None)
                note(context.get_usage() if context else "`isobench --help` says what there is")
                complain(message)
        else:
            crash(error)
    if code == INTERRUPTED:  # Typer, too, may have turned Ctrl-C into it
        from flows.commands.terminal import leave

        leave(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)
