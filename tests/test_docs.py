"""Pages for people: links lead somewhere, and what they name is there."""

from __future__ import annotations

import importlib
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from configs.agent_runs import AgentsConfig
from configs.models import Config
from flows.cli import app
from storage.tables import TABLES

ROOT = Path(__file__).parents[1]
PACKAGES = ("configs", "storage", "tasks", "flows", "tests", "deployments", "docs")
HISTORY = ("CHANGELOG.md", "docs/measures/")
"""Pages that tell what was: what they name may be gone."""

_FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*?) *#*$", re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_COMMAND = re.compile(r"^(?:\$ |\.venv/bin/|uv run )*isobench (.*)$", re.MULTILINE)
_FILE = re.compile(r"^[\w./-]+\.(?:py|yaml|md|j2|sh|service)$")
_DOTTED = re.compile(rf"^(?:{'|'.join(PACKAGES[:4])})(?:\.\w+)+$")


@cache
def files() -> list[str]:
    """What git keeps, and what is new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).exists()]


@cache
def program() -> Any:
    """The command line; typer has a click of its own, so its types are not click's."""
    return typer.main.get_command(app)


@cache
def endings() -> set[str]:
    """`inside/probe.py` and `probe.py` for a file at `tasks/sandbox/probe/inside/probe.py`."""
    return {"/".join(words[at:]) for words in (name.split("/") for name in files()) for at in range(len(words))}


@cache
def kinds() -> tuple[type[BaseModel], ...]:
    return (Config, AgentsConfig, *TABLES.values())


def pages() -> list[str]:
    return [name for name in files() if name.endswith(".md") and "/left/" not in name]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@cache
def anchors(page: str) -> set[str]:
    """Names of a page's headings as GitHub makes them: the second of a name has `-1` behind it."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", read(page))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = sum(1 for known in found if known == name or re.fullmatch(rf"{re.escape(name)}-\d+", known))
        found.add(f"{name}-{count}" if count else name)
    return found


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    wrong = []
    for link in _LINK.findall(_SPAN.sub("", _FENCE.sub("", read(page)))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists():
            wrong.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(str(target.resolve().relative_to(ROOT))):
            wrong.append(f"{link}: no such heading")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", [page for page in pages() if not page.startswith(HISTORY)])
def test_what_is_named_is_there(page: str) -> None:
    text = _FENCE.sub("", read(page))
    gone = [span for span in _SPAN.findall(text) if not any(map(_is_there, _readings(span)))]
    assert not gone, "\n".join(gone)


@pytest.mark.parametrize("page", [page for page in pages() if not page.startswith(HISTORY)])
def test_commands_and_their_options_are_there(page: str) -> None:
    text = read(page)
    commands = _COMMAND.findall("\n".join(match[0] for match in _FENCE.finditer(text)))
    commands += [span.removeprefix("isobench ") for span in _SPAN.findall(text) if span.startswith("isobench ")]
    wrong = [said for command in commands for said in _unknown(command)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_folder_says_what_is_in_it(folder: str) -> None:
    """Its README names each folder and each module in it; tests say themselves what they are about."""
    text = read(f"{folder}/README.md")
    here = {name.split("/")[1] for name in files() if name.startswith(f"{folder}/")} - {"README.md", "__init__.py"}
    told = {name for name in here if name.startswith("test_") or re.search(rf"(?<![\w-]){re.escape(name)}(?!\w)", text)}
    silent = sorted(here - told)
    assert not silent, f"{folder}/README.md needs a line on each of these"


def _readings(span: str) -> Iterator[str]:
    """A span as it is, and without the line, anchor or member behind a file's name."""
    yield span
    yield re.sub(r"(\.\w+)[:#].*$", r"\1", span)


def _is_there(name: str) -> bool:
    """False only for what looks like a file, a folder, a module or a setting of ours, and is none."""
    if name in OTHERS or re.search(r"[<>*{}$ ]|\.\.\.", name):
        return True
    if name.split("/", 1)[0] in PACKAGES and "/" in name:
        return (ROOT / name).exists()
    if _FILE.match(name):
        return name in endings()
    if _DOTTED.match(name):
        return _resolves(name)
    section, _, rest = name.partition(".")
    if rest in KINDS_OF_FILES or not re.fullmatch(r"[a-z_][\w.]*", rest):
        return True
    found = [kind for kind in kinds() if _holds(kind, section)]
    doors = ROOT / "tasks" / section / "stage.py"
    return (
        not found or any(_has(kind, name) for kind in found) or (doors.exists() and f"def {rest}(" in doors.read_text())
    )


def _holds(kind: type[BaseModel], section: str) -> bool:
    return getattr(kind, "table", None) == section or isinstance(_model(kind, section), type)


def _has(kind: type[BaseModel], name: str) -> bool:
    """Whether a setting, or a column of a table, has this name."""
    section, _, rest = name.partition(".")
    inner: object = kind if getattr(kind, "table", None) == section else _model(kind, section)
    for word in rest.split("."):
        if not isinstance(inner, type) or not issubclass(inner, BaseModel):
            return True  # a key that the user chooses
        if word not in inner.model_fields:
            return False
        inner = _model(inner, word)
    return True


def _model(kind: type[BaseModel], name: str) -> object:
    """The section that a setting is, if it is one."""
    if name not in kind.model_fields:
        return None
    said = kind.model_fields[name].annotation
    return next((one for one in (said, *get_args(said)) if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _resolves(dotted: str) -> bool:
    words = dotted.split(".")
    for count in range(len(words), 0, -1):
        try:
            found: object = importlib.import_module(".".join(words[:count]))
        except ModuleNotFoundError:
            continue
        for word in words[count:]:
            if not hasattr(found, word):
                return isinstance(found, type) and word in getattr(found, "model_fields", {})
            found = getattr(found, word)
        return True
    return False


def _unknown(command: str) -> Iterator[str]:
    """What of a command line `isobench ...` is no command of ours, or no option of that command."""
    words = re.split(r"#|&&| > |;|\|", command)[0].split()
    here: Any = program()
    while words and hasattr(here, "commands") and re.fullmatch(r"[a-z-]+", words[0]) and words[0][0] != "-":
        name = words.pop(0)
        if name not in here.commands:
            yield f"isobench {command}: {name}"
            return
        here = here.commands[name]
    known = {option for parameter in here.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    for word in words:
        option = word.split("=")[0].rstrip(",.`)]")
        if re.fullmatch(r"--[a-z][a-z-]*", option) and option not in known:
            yield f"isobench {command}: {option}"


OTHERS = {
    "conftest.py", "setup.py", "agents.yaml", "platform.py", "pytest.py", "tests/Dockerfile", "tests/test.sh",
    "bench.yaml", "generate_soft_metrics.py", "prepare_images.py", "scripts/vm/setup_vm.sh",
}  # fmt: skip
"""Names of files of others, or that a reader makes."""
KINDS_OF_FILES = {"json", "jsonl", "toml", "csv", "html", "parquet", "diff", "patch", "txt", "log"}
"""`scores.json` is no column of `scores`."""


def test_messages_of_the_troubleshooting_page_are_given() -> None:
    """What stands still in each message (not `...`, not words in capitals) is a text of the product."""
    page = read("docs/troubleshooting.md").split("## In the funnel")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(messages) > 15
    sources = (read(name) for name in files() if name.endswith(".py") and name.split("/", 1)[0] in PACKAGES[:4])
    said = "\n".join(re.sub(r'"\s*\n\s*f?"', "", source) for source in sources)  # texts over several lines
    parts = {part.strip() for message in messages for part in re.split(r"\.\.\.|\b[A-Z]{4,}\b", message)}
    assert [part for part in sorted(parts) if len(part) > 11 and part not in said] == []
