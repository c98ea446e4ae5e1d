"""The commands about requests to models: batch files, and the exact prompt that was sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Literal

from configs.errors import UserError
from flows.commands.build import finish, print_dataset, require, running
from flows.commands.terminal import complain, heading, say, show_text, table

if TYPE_CHECKING:
    from configs.models import Config
    from flows.dataset import Until


def run_batch_export(
    config: Path,
    file: Path,
    form: Literal["openai", "anthropic"] | None,
    until: Until,
    store: str | None,
    settings: Sequence[str],
    verbose: bool,
) -> int:
    """Run `build_dataset` up to a stage without sending anything, and write the requests that wait."""
    loaded = _load(config, [*settings, "llm.batch=true"], store)
    assert loaded.llm is not None
    if until not in ("mining", "apis"):
        require(loaded.sandbox)
    from storage.store import Store
    from tasks.llm.folder import cache_folder
    from tasks.llm.requests import Requests

    Requests(cache_folder(Store(loaded.store))).forget_open()  # of an earlier run, with other settings
    with running(loaded.store, verbose):
        from flows.dataset import build_dataset

        summary = build_dataset(loaded, until=until)
    print_dataset(summary)
    from tasks.llm.batch import export_requests

    chosen = form or ("anthropic" if loaded.llm.model.startswith("anthropic/") else "openai")
    written = export_requests(Store(loaded.store), file, chosen)
    if written.total:
        stages = ", ".join(f"{count} {stage}" for stage, count in written.stages.items())
        say(f"{written.total} requests wait for an answer ({stages}): {file}")
        say(f"Their answers go back with: isobench batch import {quote(str(config))} ANSWERS.jsonl")
    else:
        say(f"No request waits for an answer; {file} is empty.")
    return finish(summary)


def run_batch_import(config: Path, file: Path, store: str | None, settings: Sequence[str]) -> int:
    """Keep the answers of a file; exit code 1 if some lines could not be used."""
    from storage.store import Store
    from tasks.llm.batch import import_answers

    loaded = _load(config, settings, store)
    done = import_answers(Store(loaded.store), file)
    for problem in done.problems:
        complain(problem)
    say(f"{done.answers} answers imported, {len(done.problems)} lines not used, {done.still_open} requests still open.")
    if done.still_open == 0 and done.answers:
        say("Run the stages again: they go on from the answers, and may ask for repairs or for what follows.")
    return 1 if done.problems else 0


def run_show_prompt(item: str | None, store: str, stage: str | None) -> int:
    """Print the exact messages of the newest request of each stage for an item, or of one request."""
    if not item:
        raise UserError("say whose prompt: `isobench show prompt SHA`, or a call_id or request_key of table llm_calls")
    from storage.store import Store
    from tasks.llm.asked import find_asked

    for found in find_asked(Store(store), item, stage):
        call = found.call
        heading(f"{call.stage} {call.item[:12]}")
        say(f"model: {call.model}   prompt: {call.prompt}   request: {call.request_key}")
        say(f"outcome: {call.outcome}")
        for message in found.messages:
            heading(message["role"], faint=True)
            show_text(message["content"])
        if found.reply is not None:
            heading("answer", faint=True)
            show_text(found.reply)
    return 0


def run_show_costs(item: str | None, store: str, limit: int) -> int:
    """Print what models cost: by stage, then by stage and commit."""
    from storage.store import Store
    from tasks.llm.costs import costs

    opened = Store(store)
    if not opened.exists():
        raise UserError(f"no store at {opened.root}: name another with --store")
    stages = costs(opened, ["stage"], item)
    if not stages:
        about = f" about {item!r}" if item else ""
        raise UserError(f"no model was asked{about} in {opened.root}")
    total = {name: sum(row[name] for row in stages) for name in stages[0] if name != "stage"}
    table("What models cost, by stage", [*stages, {"stage": "all", **total}], widen=True)
    commits = costs(opened, ["stage", "item"], item)
    shown = [{**row, "item": row["item"][:12]} for row in commits[:limit]]
    table(f"By stage and commit: {len(shown)} of {len(commits)}, dearest first", shown, widen=True)
    return 0


def _load(config: Path, settings: Sequence[str], store: str | None) -> Config:
    from configs.loading import load_config

    loaded = load_config(config, [*settings, *([f"store={store}"] if store else [])])
    if loaded.llm is None:
        raise UserError(f"{config} has no section llm: name the model whose batch it is, e.g. llm.model=openai/gpt-5")
    return loaded
