"""Prompts are Jinja templates in `configs/prompts/<name>.j2`.

The first line is `{# version: 1 #}`; the texts are `{% block system %}` (optional) and `{% block user %}`. A name that
the template uses and nobody gave is an error, not an empty string.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import configs
from storage.ids import content_hash
from tasks.llm.models import Prompt

FOLDER = Path(configs.__file__).parent / "prompts"
_VERSION = re.compile(r"\A\{#\s*version:\s*(\d+)\s*#\}")


def render(name: str, **values: Any) -> Prompt:
    """Fill in a template. Raises FileNotFoundError, ValueError (no version, no user block) or jinja2.UndefinedError."""
    source = template_text(name)
    template = _environment().get_template(f"{name}.j2")
    match = _VERSION.match(source)
    if match is None:
        raise ValueError(f"prompt {name}: the first line must be '{{# version: N #}}'")
    if "user" not in template.blocks:
        raise ValueError(f"prompt {name}: there is no 'user' block")
    version = int(match[1])
    texts = {}
    for block in ("system", "user"):
        parts = template.blocks[block](template.new_context(values)) if block in template.blocks else ()
        texts[block] = "".join(parts).strip()
    sha = content_hash("prompt", name, version, texts["system"], texts["user"])
    return Prompt(name=name, version=version, system=texts["system"], user=texts["user"], sha=sha)


def template_text(name: str) -> str:
    """The template itself, for cache keys. Raises FileNotFoundError with the names that exist."""
    path = FOLDER / f"{name}.j2"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(sorted(found.stem for found in FOLDER.glob("*.j2")))
        raise FileNotFoundError(f"no prompt '{name}' in {FOLDER}; there are: {known}") from None


@lru_cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # plain text for a model, not HTML
    )
