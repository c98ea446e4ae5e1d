"""Doors of reporting: Prefect tasks, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from configs.errors import UserError
from storage.store import Store
from tasks.caching import cache_key
from tasks.decorators import stage_task
from tasks.reporting.digests import digest
from tasks.reporting.models import Report
from tasks.reporting.report import TEMPLATES
from tasks.reporting.report import write_report as write


def _key(context: Any, parameters: dict[str, Any]) -> str:
    # templates are not Python, so the code version does not see them
    templates = [path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.iterdir())]
    return cache_key("reporting", "write_report", digest(Store(parameters["store"])), parameters["out"], templates)


@stage_task(_key, name="write report", run_name="report of {store}", tags=["reporting"], timeout_s=600)
def write_report(out: str, store: str) -> Report:
    """Write the HTML page about the whole store into `<store>/<out>` (or `out`, where that is absolute).

    Done again when a row that the page shows has changed; `Report.is_gone` tells whether the page was deleted since.
    No retries: what can fail here is the disk and the user's folder.
    """
    opened = Store(store)
    place = Path(store) / out if opened.is_local else Path(out)
    if place.is_symlink() and not Path(out).is_absolute():
        raise UserError(f"{place} is a link: the page would be written to wherever it leads; remove it")
    page = write(opened, place)
    return Report(out=out, page=page.name, bytes=page.stat().st_size)
