"""The command line. Each command imports what it needs when it runs, so that `--help` is instant."""

from __future__ import annotations

import sys

from flows.surroundings import be_seen, import_nothing_from_here, warn_as_usual

import_nothing_from_here()  # nor what follows
warn_as_usual()
be_seen()

from pathlib import Path  # noqa: E402
from typing import Annotated, Any, Literal  # noqa: E402

import typer  # noqa: E402
from typer.core import TyperCommand  # noqa: E402

from configs.errors import UserError  # noqa: E402
from flows.cli_agents import agents as agent_commands  # noqa: E402
from flows.cli_exchange import harbor, importing  # noqa: E402
from flows.cli_store import store_commands  # noqa: E402
from flows.options import (  # noqa: E402
    ConfigArgument,
    OnlyOption,
    RetryOption,
    SandboxOption,
    SetOption,
    StoreOption,
    StoreOverride,
    VerboseOption,
)

app = typer.Typer(
    help="Mines real performance commits, proves their speedups in sandboxes, and scores coding agents against them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
batch = typer.Typer(
    help="Answer requests to models through a batch file: at half the price, by hand, or with a model that has no API.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(batch, name="batch")
app.add_typer(agent_commands, name="agents")
app.add_typer(importing, name="import")
app.add_typer(harbor, name="harbor")
app.add_typer(store_commands, name="store")

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

KeywordsOption = Annotated[
    bool | None,
    typer.Option(
        "--keywords/--no-keywords",
        help="Take changes whose message holds a performance keyword, or judge all by their score.",
        show_default="by score, unless CONFIG says mining.use_keywords",
    ),
]


@app.command(epilog="Example: `isobench demo --store /tmp/demo --sandbox docker`")
def demo(
    store: StoreOption = "./store",
    sandbox: SandboxOption = None,
    agents: Annotated[
        bool, typer.Option("--agents", help="Run mini-swe-agent with scripted models, and score what it does.")
    ] = False,
    verbose: VerboseOption = False,
) -> int:
    """Build a benchmark from the embedded demo repository and score three sets of predictions, or an agent's. Needs no
    network; with `--agents` once, to install the agent.
    """
    from flows.commands.build import run_demo

    return run_demo(store, sandbox, verbose, agents)


@app.command(epilog="Example: `isobench build configs/more-itertools.yaml --set mining.max_candidates=10`")
def build(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    keywords: KeywordsOption = None,
    only: OnlyOption = None,
    retry: RetryOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Build a dataset: every stage from mining to instances, or one of them."""
    return _build(config, store, settings, verbose, "instances", keywords, only, retry)


@app.command(epilog="Example: `isobench refresh nightly --store ./store --dry-run`")
def refresh(
    configs: Annotated[Path, typer.Argument(help="Folder of YAML files, one per repository.", metavar="FOLDER")],
    store: StoreOverride = None,
    settings: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be withdrawn by what the store says now.")
    ] = False,
    verbose: VerboseOption = False,
) -> int:
    """Build every configuration of a folder, withdraw what no longer holds, and make a version of the dataset."""
    from flows.commands.refresh import run_plan, run_refresh

    if dry_run:
        return run_plan(configs, store, settings or [])
    return run_refresh(configs, store, settings or [], verbose)


@app.command(epilog="Example: `isobench sweep configs/more-itertools.yaml --set sweep.max_windows=4`")
def sweep(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    null: Annotated[
        bool, typer.Option("--null", help="Time commits against themselves instead: the rate of false steps.")
    ] = False,
    verbose: VerboseOption = False,
) -> int:
    """Find changes that made the repository's own tests faster by timing them over its history."""
    from flows.commands.sweep import run_sweep

    return run_sweep(config, store, settings or [], null, verbose)


@app.command(epilog="Example: `isobench mine configs/more-itertools.yaml --set mining.min_score=2`")
def mine(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    keywords: KeywordsOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Mine the history for candidate changes (and ask the model about them, if there is one)."""
    return _build(config, store, settings, verbose, "mining", keywords)


@app.command(epilog="Example: `isobench apis configs/more-itertools.yaml`")
def apis(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    keywords: KeywordsOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Mine, then find the public APIs that each candidate reaches."""
    return _build(config, store, settings, verbose, "apis", keywords)


@app.command(epilog="Example: `isobench perftests configs/more-itertools.yaml --set perf_tests.sources=[pytest]`")
def perftests(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    keywords: KeywordsOption = None,
    verbose: VerboseOption = False,
) -> int:
    """All stages up to perf tests that passed the gates."""
    return _build(config, store, settings, verbose, "perftests", keywords)


@app.command("time", epilog="Example: `isobench time configs/more-itertools.yaml --set timing.budget_s=120`")
def time_command(
    config: ConfigArgument,
    store: StoreOverride = None,
    settings: SetOption = None,
    keywords: KeywordsOption = None,
    verbose: VerboseOption = False,
) -> int:
    """All stages up to timing base against human."""
    return _build(config, store, settings, verbose, "timing", keywords)


@app.command(
    epilog="Example: `isobench evaluate --dataset instances.jsonl --predictions a.jsonl b.jsonl --k 3 --run-id paper`"
)
def evaluate(
    dataset: Annotated[str, typer.Option(help="A store, or a .jsonl or .parquet file of canonical instances.")],
    predictions: Annotated[list[Path], typer.Option(help="Files with instance_id, model_patch, model_name_or_path.")],
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Further prediction files.")] = None,
    k: Annotated[int, typer.Option(min=1, help="Report Opt@1 to Opt@K.")] = 1,
    run_id: Annotated[str | None, typer.Option(help="Name of this evaluation. Default: from its content.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds for one call of one arm.")] = None,
    tests: Annotated[
        float | None, typer.Option(min=0, help="Seconds of the repository's own tests per patch; 0: none.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Where results go. Default: the dataset, if it is a store.")] = None,
    sandbox: SandboxOption = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run what the dataset asks for where no sandbox holds it; without it, asks.")
    ] = False,
    only: OnlyOption = None,
    retry: RetryOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Time predictions beside the human's patch and report Opt@K."""
    from flows.commands.build import run_evaluation

    files = [*predictions, *(more or [])]
    return run_evaluation(dataset, files, k, run_id, timeout, tests, store, sandbox, trust, verbose, only, retry or [])


@app.command(epilog="Example: `isobench report ./store --out ./report`")
def report(
    store: Annotated[str, typer.Argument(help="Folder or fsspec URL of the store.")] = "./store",
    out: Annotated[Path, typer.Option(help="Folder to write index.html to.")] = Path("./report"),
) -> int:
    """Write one self-contained HTML page: funnel, instances with their timing strips, Opt@K."""
    from flows.commands.show import run_report

    return run_report(store, out)


@app.command(epilog="Example: `isobench export ./store --out instances.jsonl --layout gso`")
def export(
    store: Annotated[str, typer.Argument(help="Folder or fsspec URL of the store.")] = "./store",
    out: Annotated[
        Path | None, typer.Option(help="File to write, .jsonl or .parquet; with `--layout harbor` a folder.")
    ] = None,
    layout: Annotated[
        Literal["isobench", "gso", "swe-perf", "harbor", "predictions"],
        typer.Option(
            help="Whose fields the records have. `harbor`: a task folder per instance. "
            "`predictions`: not instances but predictions, as SWE-bench reads them."
        ),
    ] = "isobench",
    repo: Annotated[str | None, typer.Option(help="Only instances of this repository, owner/name.")] = None,
    image: Annotated[
        str | None, typer.Option(help="With `harbor`: base image of the containers. Default: the environment's.")
    ] = None,
    withdrawn: Annotated[
        bool, typer.Option("--withdrawn", help="Also instances that no longer hold (not with `harbor`).")
    ] = False,
) -> int:
    """Write the instances to one file, which `isobench evaluate --dataset` and other harnesses read; or to Harbor's
    task folders; or the predictions.
    """
    from flows.commands.export import run_export, run_export_predictions

    if layout == "harbor":
        from flows.commands.harbor import run_export_tasks

        return run_export_tasks(store, out or Path("./tasks"), repo, image)
    if layout == "predictions":
        return run_export_predictions(store, out or Path("./predictions.jsonl"), repo)
    return run_export(store, out or Path("./instances.jsonl"), layout, repo, withdrawn)


@app.command(epilog="Example: `HF_TOKEN=... isobench publish configs/mine.yaml --set publishing.hub_dataset=me/fast`")
def publish(config: ConfigArgument, store: StoreOverride = None, settings: SetOption = None) -> int:
    """Upload the instances to the Hugging Face Hub dataset that CONFIG names, with a dataset card."""
    from flows.commands.export import run_publish

    return run_publish(config, store, settings or [])


@app.command(epilog="Example: `isobench show commits --where kept --limit 20`")
def show(
    table: Annotated[
        str,
        typer.Argument(
            help="commits, apis, perf_tests, measurements, comparisons, instances, ...; or prompt, or costs"
        ),
    ],
    item: Annotated[
        str | None,
        typer.Argument(
            help="With prompt: a sha, a call_id or a request_key of llm_calls (prefixes do). With costs: a sha."
        ),
    ] = None,
    store: StoreOption = "./store",
    where: Annotated[
        str | None, typer.Option(help="SQL condition, e.g. `kept` or `score > 2 AND repo = 'a/b'`.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Comma-separated columns, or `all`.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 50,
    stage: Annotated[str | None, typer.Option(help="With prompt: mining, apis, perftests, statements.")] = None,
    items: Annotated[bool, typer.Option("--items", help="With funnel: each item instead of counts by reason.")] = False,
    form: Annotated[
        Literal["table", "json", "csv", "markdown"],
        typer.Option("--format", help="A table for people, or all values in full: JSON lines, CSV, Markdown."),
    ] = "table",
) -> int:
    """Show a table of the store, of the funnel what fell out where and why; the exact prompt that was sent: `isobench
    show prompt SHA --stage perftests`; or what models cost, by stage and commit: `isobench show costs`.
    """
    if table == "prompt":
        from flows.commands.batch import run_show_prompt

        return run_show_prompt(item, store, stage)
    if table == "costs":
        from flows.commands.batch import run_show_costs

        return run_show_costs(item, store, limit)
    if item is not None:
        raise UserError(f"'isobench show {table}' takes no further argument; did you mean `--where`?")
    from flows.commands.show import run_show, run_show_funnel

    if table == "funnel" and not (items or where or columns):
        return run_show_funnel(store, form)
    return run_show(table, store, where, columns, limit, form)


@app.command(epilog="Example: `isobench why a51df6d9e2`")
def why(
    sha: Annotated[str, typer.Argument(help="A commit, or the first digits of its sha.")],
    store: StoreOption = "./store",
    repo: Annotated[str | None, typer.Option(help="Which repository, owner/name, if the store has several.")] = None,
) -> int:
    """Tell a commit's whole story: score, APIs, environment, each perf test with its gates, sessions, verdict, and what
    could be done.
    """
    from flows.commands.show import run_why

    return run_why(sha, store, repo)


@app.command(epilog="Example: `isobench rule swe-fficiency --run-id paper`")
def rule(
    name: Annotated[str, typer.Argument(help="gso, swe-fficiency, swe-perf, formula-code or iso-bench.")],
    store: StoreOption = "./store",
    run_id: Annotated[str | None, typer.Option(help="Which evaluation, if the store has several.")] = None,
) -> int:
    """Read an evaluation by another benchmark's rule: nothing is timed again."""
    from flows.commands.show import run_rule

    return run_rule(name, store, run_id)


@batch.command("export", epilog="Example: `isobench batch export configs/more-itertools.yaml requests.jsonl`")
def batch_export(
    config: ConfigArgument,
    file: Annotated[Path, typer.Argument(help="File to write, one request per line.", metavar="FILE")],
    form: Annotated[
        Literal["openai", "anthropic"] | None,
        typer.Option("--format", help="Whose batch service. Default: the one that llm.model names, else openai."),
    ] = None,
    until: Annotated[
        Literal["mining", "apis", "perftests", "timing", "instances"], typer.Option(help="Last stage to run.")
    ] = "instances",
    store: StoreOverride = None,
    settings: SetOption = None,
    verbose: VerboseOption = False,
) -> int:
    """Run without sending anything, and write all requests that wait for an answer."""
    from flows.commands.batch import run_batch_export

    return run_batch_export(config, file, form, until, store, settings or [], verbose)


@batch.command("import", epilog="Example: `isobench batch import configs/more-itertools.yaml answers.jsonl`")
def batch_import(
    config: ConfigArgument,
    file: Annotated[
        Path, typer.Argument(help="A provider's results, or lines of custom_id and text by hand.", metavar="FILE")
    ],
    store: StoreOverride = None,
    settings: SetOption = None,
) -> int:
    """Keep the answers of a file; the next run finds them."""
    from flows.commands.batch import run_batch_import

    return run_batch_import(config, file, store, settings or [])


@app.command(epilog="Example: `isobench calibrate --minutes 10 --sandbox docker`")
def calibrate(
    store: StoreOption = "./store",
    minutes: Annotated[float, typer.Option(min=0, help="How long to measure; more comparisons say more.")] = 5,
    sandbox: SandboxOption = None,
) -> int:
    """Measure this machine: the noise of identical code, which speedups it tells apart, and in what time.

    Keep the machine quiet meanwhile. Later calibrations of the same machine add to the earlier ones.
    """
    from flows.commands.calibrate import run_calibrate

    return run_calibrate(store, minutes, sandbox)


@app.command(epilog="Example: `isobench validate configs/*.yaml`")
def validate(
    files: Annotated[list[Path], typer.Argument(help="YAML files.", metavar="FILE...")], settings: SetOption = None
) -> int:
    """Check configuration files; names file, line, field and what was expected."""
    from flows.commands.show import run_validate

    return run_validate(files, settings or [])


@app.command()
def doctor() -> int:
    """Say what is here, what is missing, and how to get it."""
    from flows.commands.show import run_doctor

    return run_doctor()


def _build(
    config: Path,
    store: str | None,
    settings: list[str] | None,
    verbose: bool,
    until: Any,
    keywords: bool | None,
    only: str | None = None,
    retry: list[str] | None = None,
) -> int:
    from flows.commands.build import run_build

    chosen = [*(settings or []), *([f"mining.use_keywords={str(keywords).lower()}"] if keywords is not None else [])]
    return run_build(config, store, chosen, verbose, until, only, retry or [])


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
