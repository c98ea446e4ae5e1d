"""A dataset and predictions of a stranger, through the real command: nothing in them steers what shows them."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from storage.store import Store
from storage.tables import Funnel
from tests.flows.conftest import Isobench, command, environment
from tests.poison import MARKUP, OURS, STEERS, TERMINAL
from tests.tasks.reporting.test_report_page import Page

FORGED = "x\nerror: all is lost\r\nwarning: call 555"
REFUSED = ["".join(TERMINAL.values()), FORGED]
"""What no instance may be called: what is said of it quotes it."""
IDS = ["[bold red]loud[/] :smile: [blink]x[/blink]", MARKUP["script"], MARKUP["table"], MARKUP["markdown link"]]
"""What can be printed, and so may name an instance."""
TEXT = "".join([*TERMINAL.values(), *MARKUP.values(), FORGED])
SCRIPT = "def setup(seed): ...\ndef experiment(state): ...\ndef check_equivalence(reference, candidate): ...\n"
WRITTEN_OUT = r"\x1b]52;c;"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """(dataset of which nothing can be cloned, predictions with a model, unknown ids and a broken line as bad)."""
    folder = tmp_path / f"files {TERMINAL['title']}{TERMINAL['reversed']}[bold]"
    folder.mkdir()
    rows = [
        {"instance_id": name, "repo": "a/b", "repo_url": "/nowhere/[link=x]y[/link]", "base_commit": "a" * 40,
         "head_commit": "b" * 40, "efficiency_test": SCRIPT, "gt_commit_message": TEXT}
        for name in [*IDS, *REFUSED]
    ]  # fmt: skip
    lines = [
        {
            "instance_id": name,
            "model_name_or_path": f"model {name} {MARKUP['bare link']} {MARKUP['markdown picture']}",
            "model_patch": f"--- a/{name}\n+++ b/{name}\n",
        }
        for name in [*IDS, "unknown " + IDS[0], *REFUSED]
    ]
    dataset, predictions = folder / "instances.jsonl", folder / "predictions.jsonl"
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    predictions.write_text("".join(json.dumps(line) + "\n" for line in lines) + f'{{"{TERMINAL["c1"]}": \x1b[2J}}\n')
    return dataset, predictions


def on_a_terminal(arguments: list[str], variables: dict[str, str]) -> bytes:
    """What a command writes where stdout and stderr are a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command(*arguments), env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    found = b""
    try:
        while piece := os.read(ours, 65536):
            found += piece
    except OSError:  # Linux's way to say that nobody writes any more
        pass
    os.close(ours)
    assert process.wait(timeout=60) is not None
    return found


def assert_harmless(printed: bytes) -> None:
    """No character that steers, no line that only a stranger wrote."""
    text = printed.decode()
    assert not STEERS.search(text), ascii(STEERS.search(text))
    lines = [line for line in text.splitlines() if line.startswith(("error: all is lost", "warning: call"))]
    assert lines == []


@pytest.mark.slow
def test_a_terminal_a_file_a_page_and_the_ui(
    files: tuple[Path, Path], tmp_path: Path, server: dict[str, str], isobench: Isobench
) -> None:
    store = tmp_path / "store"
    variables = environment() | server | {"TERM": "xterm-256color"}
    run = ["evaluate", "--dataset", str(files[0]), "--predictions", str(files[1]), "--store", str(store), "--trust"]
    printed = on_a_terminal([*run, "--verbose", "--run-id", REFUSED[0].replace("\0", "")], variables)
    assert b"\x1b[1;31merror:" in printed, "it is a terminal, with colours of ours"
    assert_harmless(OURS.sub(b"", printed))
    assert WRITTEN_OUT.encode() in printed
    assert b"[bold red]loud" in printed
    assert b":smile:" in printed
    assert {row.key for row in Store(store).rows(Funnel) if row.outcome == "failed"} >= set(IDS)

    for table in ("funnel", "instances", "predictions"):
        done = CliRunner().invoke(app, ["show", table, "--columns", "all", "--store", str(store)])
        assert_harmless(done.output.encode())
    narrow = variables | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "COLUMNS": "80"}
    shown = on_a_terminal(
        ["show", "funnel", "--where", f"reason != '{TERMINAL['link']}'", "--store", str(store)], narrow
    )
    assert OURS.sub(b"", shown).isascii()
    assert_harmless(OURS.sub(b"", shown))

    page = Page((store / "report" / "index.html").read_text(encoding="utf-8"))
    assert not STEERS.search(page.text)
    assert {"script", "img"}.isdisjoint(tag for tag, _ in page.elements)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "alert(1)" in page.text

    asked = urllib.request.Request(
        f"{server['PREFECT_API_URL']}/artifacts/filter",
        json.dumps({"artifacts": {"key": {"any_": ["opt-at-k"]}}, "sort": "CREATED_DESC", "limit": 50}).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": f"Basic {b64encode(server['PREFECT_API_AUTH_STRING'].encode()).decode()}",
        },
    )
    with urllib.request.urlopen(asked) as answer:
        found = json.load(answer)
    artifact = next(one for one in found if "evil" in one["data"])  # other workers evaluate, too
    texts = artifact["data"] + artifact["description"]
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)<\w|http:/", json.loads(artifact["data"])[0]["model"])
    assert not STEERS.search(texts)


def test_what_others_print_and_crashes_and_usage(tmp_path: Path) -> None:
    code = """
import logging, sys, threading, warnings
import typer
from flows import cli
bad = "\\x1b]52;c;x\\x07\\x9b31m\\u202e"
@cli.app.command()
def others():
    print(bad)
    sys.stderr.write(bad + "\\n")
    logging.getLogger("x").error("log %s", bad)
    warnings.warn("warned " + bad)
    thread = threading.Thread(target=lambda: 1 / len([]) if bad is None else int(bad))
    thread.start(); thread.join()
    raise RuntimeError("crash " + bad + "\\ud800")
cli.app.registered_commands[-1].cls = cli._Command
cli.main()
"""
    ended = {}
    for arguments in (["others"], ["show", "--nonsense\x1b[2J"], ["\x1b]0;x\x07"], ["demo", "--sandbox", "\u202emoon"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=environment(), capture_output=True, timeout=60, check=False
        )
        assert_harmless(done.stdout + done.stderr)
        assert rb"\x1b" in done.stdout + done.stderr or rb"\u202e" in done.stderr
        ended[arguments[0]] = done.returncode
    assert ended == {"others": 1, "show": 2, "\x1b]0;x\x07": 2, "demo": 2}
