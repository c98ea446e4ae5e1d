"""The reference of all options, made from the models.

To renew the committed pages: `python -m configs.reference > docs/reference/configuration.md`, and
`python -m configs.reference agents > docs/reference/agents.md`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from configs.agent_runs import AgentsConfig
from configs.explaining import expected, options, section_of
from configs.models import Config
from configs.secrets import Secrets


class Option(BaseModel):
    """One option as the reference shows it."""

    model_config = ConfigDict(frozen=True)

    section: str
    """`mining`; empty for an option at the top of the file."""
    name: str
    type: str
    """What it takes, in words."""
    default: str
    """As written in YAML; `required` if there is none."""
    text: str


def describe(model: type[BaseModel] = Config) -> list[Option]:
    """Every option of a kind of YAML file, in the order of the models; sections themselves are left out."""
    return [
        Option(
            section=dotted.rpartition(".")[0],
            name=dotted.rpartition(".")[2],
            type=expected(field),
            default=_default(field),
            text=_text(field),
        )
        for dotted, field in options(model).items()
        if section_of(field.annotation) is None
    ]


def to_markdown() -> str:
    """The reference page."""
    lines = [
        "# Configuration",
        "",
        "Every option of a YAML file, with what it takes and its default. Any of them can be given on the command",
        "line as `--set section.option=value`. `isobench validate FILE` checks a file and names line, option and what",
        "was expected.",
        "",
        "This page is generated from `configs/models.py`; after a change there, run",
        "`python -m configs.reference > docs/reference/configuration.md`.",
        "",
        "The smallest file:",
        "",
        "```yaml",
        "repository: {name: more-itertools/more-itertools}",
        "```",
    ]
    lines += [*_sections(Config), "", "## Environment variables", "", *_environment()]
    return "\n".join(lines) + "\n"


def agents_markdown() -> str:
    """The reference page of the files that `isobench agents` reads."""
    lines = [
        "# Configuration of agents' runs",
        "",
        "Every option of a YAML file for `isobench agents plan` and `run`, with what it takes and its default. Any of",
        "them can be given on the command line as `--set section.option=value`.",
        "[How to use it](../how-to/run-agents.md).",
        "",
        "This page is generated from `configs/agent_runs.py` and `configs/attempts.py`; after a change there, run",
        "`python -m configs.reference agents > docs/reference/agents.md`.",
        "",
        "The smallest file:",
        "",
        "```yaml",
        "agents: [mini-swe-agent]",
        "models: [{name: gpt-5-mini, provider: openai}]",
        "```",
    ]
    return "\n".join([*lines, *_sections(AgentsConfig)]) + "\n"


def _sections(model: type[BaseModel]) -> list[str]:
    lines: list[str] = []
    found = describe(model)
    sections = {name: field for name, field in options(model).items() if section_of(field.annotation) is not None}
    for name, field in {**sections, "": None}.items():
        title = f"`{name}`" if name else "Top of the file"
        text = _text(field) if field else "Options that belong to no section."
        if field is not None and field.default is None:
            text += " The section may be left out."
        lines += [
            "",
            f"## {title}",
            "",
            text,
            "",
            *_table(name, [option for option in found if option.section == name]),
        ]
    return lines


def _table(section: str, rows: list[Option]) -> list[str]:
    head = ["| option | takes | default | meaning |", "| --- | --- | --- | --- |"]
    return head + [
        f"| `{row.name}` | {_cell(row.type)} | {_default_cell(row.default)} | {_cell(row.text)} |" for row in rows
    ]


def _environment() -> list[str]:
    lines = [
        "Keys and tokens come from environment variables or from `.env` in the working directory (see `.env.example`),",
        "never from YAML. An environment variable wins over `.env`.",
        "",
        "| variable | meaning |",
        "| --- | --- |",
    ]
    return lines + [f"| `{name.upper()}` | {_cell(_text(field))} |" for name, field in Secrets.model_fields.items()]


def _text(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return json.dumps(field.get_default(call_default_factory=True), default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _default_cell(default: str) -> str:
    return default if default == "required" else f"`{default}`".replace("|", "\\|")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(agents_markdown() if sys.argv[1:] == ["agents"] else to_markdown(), end="")
