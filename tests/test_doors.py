"""Each target has one door: no other file of the product may write to it, by the syntax of its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inside import INSIDE

ROOT = Path(__file__).parents[1]
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for top in ("flows", "tasks", "storage", "configs", "deployments")
    for path in (ROOT / top).rglob("*.py")
    if not path.is_relative_to(ROOT / "configs/demo/answers")
)
TERMINAL = {"flows/commands/terminal.py"}
ESCAPING = {"configs/escaping.py"}
PAGE = {"tasks/reporting/report.py", "tasks/reporting/svg.py"}
CALLS = {
    "print": TERMINAL | {"configs/demo/regenerate.py"},  # a script of the maintainer's
    "echo": set(),
    "secho": set(),
    "Console": TERMINAL,
    "Screen": TERMINAL,
    "from_markup": set(),
    "from_ansi": set(),
    "Markup": ESCAPING | PAGE,
    "select_autoescape": set(),
    "write_csv": set(),
    "to_csv": set(),
    "create_table_artifact": {"flows/engine/run.py"},
    "create_progress_artifact": {"flows/engine/progress.py"},
    "create_markdown_artifact": {"flows/engine/again.py", "flows/refresh.py"},
    "create_link_artifact": set(),
    "create_image_artifact": set(),
}
"""Name of what is called -> the files that may."""
IMPORTS = {
    "rich": TERMINAL,
    "csv": set(),
    "html": {"tasks/environments/patches/dresses.py"},  # takes entities away, and writes none
    "markupsafe": ESCAPING | PAGE,
    "jinja2": PAGE | {"tasks/llm/prompts.py"},
}
"""Package -> the files that may."""
STREAMS = TERMINAL | {"flows/commands/streams.py"}
"""Files that may name sys.stdout and sys.stderr."""


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_main(node: ast.AST) -> bool:
    """`if __name__ == "__main__":`, a script of the maintainer's."""
    return isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a script runs."""
    for child in ast.iter_child_nodes(tree):
        if not is_main(child):
            yield child
            yield from nodes(child)


def offences(tree: ast.AST, file: str) -> list[str]:
    """What a file does at a door that is not its own."""
    found = []
    for node in nodes(tree):
        if isinstance(node, ast.Call) and (name := name_of(node.func)) in CALLS and file not in CALLS[name]:
            found.append(f"{file}:{node.lineno} calls {name}")
        if (
            isinstance(node, ast.Attribute)
            and ast.unparse(node) in ("sys.stdout", "sys.stderr")
            and file not in STREAMS
        ):
            found.append(f"{file}:{node.lineno} uses {ast.unparse(node)}")
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for module in modules:
                if file not in IMPORTS.get(module.partition(".")[0], {file}):
                    found.append(f"{file}:{node.lineno} imports {module}")
                if module == "flows.commands.terminal" and {"out", "err"} & {alias.name for alias in node.names}:
                    found.append(f"{file}:{node.lineno} takes a console")
        if isinstance(node, ast.Call) and name_of(node.func).startswith("create_") and "artifact" in name_of(node.func):
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if not given.get("description", "").startswith("for_markdown("):
                found.append(f"{file}:{node.lineno} describes an artifact in Markdown of others")
    return found


def test_only_a_targets_door_writes_to_it():
    product = [file for file in FILES if file not in INSIDE]
    assert len(product) > 200
    assert [
        bad for file in product for bad in offences(ast.parse((ROOT / file).read_text(encoding="utf-8")), file)
    ] == []


@pytest.mark.parametrize(
    "bad",
    [
        "print(row.reason)", "import typer\ntyper.echo(x)", "import sys\nsys.stderr.write(x)", "import rich.markup",
        "from rich import console", "from flows.commands.terminal import out", "import csv", "frame.write_csv(path)",
        "create_markdown_artifact(text)", "create_table_artifact(table=rows, description=f'of {run_id}')",
        "import markupsafe", "Markup(text)", "from html import escape",
    ],
)  # fmt: skip
def test_other_ways_are_seen(bad):
    assert offences(ast.parse(bad), "tasks/some/where.py")


def test_no_template_trusts_a_text():
    for path in (ROOT / "tasks/reporting/templates").iterdir():
        text = path.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", "")
        assert "autoescape" not in text
