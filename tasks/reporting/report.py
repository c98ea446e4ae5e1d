"""The page: one HTML file that needs nothing else, no network, no scripts."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from configs.errors import UserError
from configs.escaping import for_html
from configs.models import MIN_SPEEDUP
from storage.store import Store
from tasks.reporting.gathering import gather, short_of
from tasks.reporting.tables import own_tests
from tasks.reporting.timings import speed

TEMPLATES = Path(__file__).parent / "templates"

LIMITS = {"most_rows": 1000, "most_reasons": 40, "most_open": 8, "most_script": 6000}
"""What keeps a page of a large store readable; what is left out is counted on the page."""


def write_report(store: Store, out: str | Path) -> Path:
    """Write `index.html` about everything in the store into the folder `out`; returns its path.

    Equal tables give equal bytes. Empty tables are said to be empty. Raises UserError if there is no store or the
    folder cannot be written.
    """
    if not store.exists():
        raise UserError(f"no store at {store.root}: `isobench demo` makes one")
    page = render(store)
    path = Path(out) / "index.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # readers of the old page keep it until the new one is whole
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False) as file:
            file.write(page)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def render(store: Store) -> str:
    """The page as text. Everything that comes from the store is escaped: patches and reasons are hostile input.

    The engine hands every expression of the template to `for_html` (`finalize`), also a new one.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=for_html,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {"cut": _cut, "percent": _percent, "short_of": short_of, "own_tests": own_tests}
    return environment.get_template("page.html.j2").render(
        view=gather(store),
        speed=speed,
        min_speedup=MIN_SPEEDUP,
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        **LIMITS,
    )


def _cut(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} characters more)"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
