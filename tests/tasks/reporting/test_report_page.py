"""The page: complete, self-contained, safe, accessible, the same for the same tables."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from configs.errors import UserError
from storage.store import Store
from storage.tables import Commit, Measurement
from tasks.reporting.report import write_report

VOID = {"meta", "link", "br", "img", "input", "hr", "rect", "circle", "line", "path", "polygon", "polyline"}


class Page(HTMLParser):
    """Elements and texts; fails on unbalanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", " ".join(data.split())))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(text for parent, text in self.texts if parent != "style")


@pytest.fixture
def page(filled, tmp_path) -> Page:
    path = write_report(filled, tmp_path / "out")
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]
    return Page(path.read_text(encoding="utf-8"))


def test_shows_every_part(page):
    for expected in (
        "acme/logkit", "Split frames without copying", "3.40× [3.20, 3.64]", "17.5×", "model-b <b>bold</b>",
        "Timed, but in no instance", "1.02 is below 1.2", "55.0", "SandboxError", "incorrect", "flag clock",
        "inconclusive", "168 calls in 168 batches and 3 sets of processes", "no keyword",
    ):  # fmt: skip
        assert expected in page.text, expected


def test_hostile_text_stays_text(page):
    assert {"script", "img", "b", "iframe", "link", "object"}.isdisjoint(tag for tag, _ in page.elements)
    assert "<script>alert('pwned')</script>" in page.text
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_needs_nothing_from_outside(page):
    for _, attributes in page.elements:
        for name in ("href", "src", "action", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    style = next(text for parent, text in page.texts if parent == "style")
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def test_accessible(page):
    assert page.all("html")[0]["lang"] == "en"
    pictures = [svg for svg in page.all("svg") if "aria-hidden" not in svg]
    assert len(pictures) == 4 + 3 + 1  # funnel bars, intervals, curves; strips stand beside their numbers
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in pictures)
    assert len(page.all("caption")) == len(page.all("table")) == 5 + 4
    assert all(th.get("scope") in ("row", "col") for th in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))
    targets = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {(a["href"] or "")[1:] for a in page.all("a")} <= targets


def test_the_same_tables_give_the_same_page(filled, tmp_path):
    first = write_report(filled, tmp_path / "one").read_bytes()
    assert write_report(Store(filled.root), tmp_path / "two").read_bytes() == first
    assert write_report(filled, tmp_path / "one").read_bytes() == first


def test_an_empty_store_says_what_is_missing(tmp_path):
    (tmp_path / "store").mkdir()
    page = Page(write_report(Store(tmp_path / "store"), tmp_path / "out").read_text(encoding="utf-8"))
    for expected in ("An empty store", "No funnel yet", "No instances yet", "No Opt@K yet", "No scores yet"):
        assert expected in page.text
    assert page.all("table") == []


def test_a_store_with_only_commits(filled, tmp_path):
    store = Store(tmp_path / "other")
    store.append(filled.rows(Commit))
    page = Page(write_report(store, tmp_path / "out").read_text(encoding="utf-8"))
    assert "changes considered 27" in page.text


def test_no_store_and_no_place_to_write_are_the_users_to_mend(filled, tmp_path):
    with pytest.raises(UserError, match=r"no store at .*none"):
        write_report(Store(tmp_path / "none"), tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/index\.html"):
        write_report(filled, tmp_path / "file")


def test_instances_without_measurements_say_so(filled, tmp_path):
    shutil.rmtree(f"{filled.root}/measurements")
    page = Page(write_report(filled, tmp_path / "out").read_text(encoding="utf-8"))
    assert "No measurements of this perf test in this store." in page.text


def test_thousands_of_measurements_stay_a_small_page(filled, tmp_path):
    rows = filled.rows(Measurement)
    more = [
        row.model_copy(update={"round": row.round + 100 * n, "wall_ns": row.wall_ns + 7919 * n, "warmup": False})
        for n in range(1, 26)
        for row in rows
    ]
    before = write_report(filled, tmp_path / "out").stat().st_size
    filled.append(more)
    after = write_report(filled, tmp_path / "out").stat().st_size
    assert len(more) > 15_000
    assert after < before + 120_000


def test_forbidden_characters_are_written_out(filled, tmp_path):
    (commit, *_) = filled.rows(Commit)
    filled.append([commit.model_copy(update={"repo": "a/\x00\x08b", "sha": "f" * 40})])
    text = write_report(filled, tmp_path / "out").read_text(encoding="utf-8")
    assert r"a/\x00\x08b" in text
    assert "\x00" not in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_real_browser_lays_it_out_without_running_anything(filled, tmp_path):
    path = write_report(filled, tmp_path / "out")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"--user-data-dir={tmp_path}/c"]
    done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert "<h1>acme/logkit</h1>" in done.stdout
    assert "pwned" in done.stdout
    assert "Refused to" not in done.stderr
