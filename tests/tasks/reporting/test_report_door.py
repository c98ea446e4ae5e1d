"""The Prefect door: written once per content, again when a row changes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from configs.errors import UserError
from storage.store import Store
from storage.tables import Funnel
from tasks.reporting.models import Report
from tasks.reporting.stage import write_report


def key(store: Store, out: str = "report") -> str:
    assert write_report.cache_key_fn is not None
    found = write_report.cache_key_fn(SimpleNamespace(), {"store": store.root, "out": out})
    assert found is not None
    return found


def test_the_key_follows_the_rows_and_not_the_place(filled, tmp_path):
    first = key(filled)
    assert first == key(filled)
    assert first != key(filled, "elsewhere")
    filled.append(filled.rows(Funnel)[:2])
    assert key(filled) == first
    filled.append([filled.rows(Funnel)[0].model_copy(update={"reason": "other"})])
    changed = key(filled)
    assert changed != first
    Path(filled.root).rename(tmp_path / "moved")
    assert key(Store(tmp_path / "moved")) == changed


def test_the_door_writes_into_the_store_and_tells_when_the_page_is_gone(filled, tmp_path):
    report = write_report.fn("report", store=filled.root)
    assert report == Report(out="report", page="index.html", bytes=report.bytes)
    page = Path(filled.root) / "report" / "index.html"
    assert report.path(filled.root) == page
    assert page.stat().st_size == report.bytes
    assert not report.is_gone(filled.root)
    page.unlink()
    assert report.is_gone(filled.root)
    elsewhere = write_report.fn(str(tmp_path / "out"), store=filled.root)
    assert elsewhere.path(filled.root) == tmp_path / "out" / "index.html"
    assert filled.tables() == Store(filled.root).tables()


def test_the_door_is_declared_as_the_others_are():
    assert write_report.persist_result is True
    assert write_report.result_serializer == "json"
    assert write_report.timeout_seconds == 600
    assert write_report.retries == 0


def test_a_page_is_not_written_to_where_a_link_of_the_store_leads(filled: Store, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "index.html").write_text("mine")
    (Path(filled.root) / "report").symlink_to(tmp_path / "home")
    with pytest.raises(UserError, match="is a link"):
        write_report.fn("report", store=filled.root)
    assert (tmp_path / "home" / "index.html").read_text() == "mine"
