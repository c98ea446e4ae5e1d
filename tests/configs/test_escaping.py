"""Each target's function, on texts that try to steer the target and on any text."""

from __future__ import annotations

import csv
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.escaping import for_csv, for_file_name, for_html, for_json_line, for_markdown, for_terminal
from tests.poison import MARKUP, NAMES, STEERS, SURROGATE, TERMINAL

ANY_TEXT = st.text(st.characters(categories=None))  # surrogates, too
POISONS = [*TERMINAL.values(), *MARKUP.values(), SURROGATE]


@pytest.mark.parametrize("text", [*POISONS, "".join(POISONS)])
@pytest.mark.parametrize("escaped", [for_terminal, for_html, for_markdown, for_json_line, for_csv])
def test_nothing_steers_the_reader(escaped, text):
    found = str(escaped(text))
    assert not STEERS.search(found)
    found.encode()


@given(ANY_TEXT)
def test_nor_does_any_other_text(text):
    for escaped in (for_terminal, for_html, for_markdown, for_json_line, for_csv):
        assert not STEERS.search(str(escaped(text)))


def test_what_is_written_out_can_be_told_apart():
    assert for_terminal("a\x1b]0;x\x07\r\nb\rc\t\u202e\U000e0041\ud83d") == (
        r"a\x1b]0;x\x07" "\n" r"b\x0dc" "\t" r"\u202e\U000e0041\ud83d"
    )


@pytest.mark.parametrize(
    "text", ["naïve Ελληνικά עברית 日本語 🚀 ⚡️ x² – “quoted”", "a\tb\n  c", "C:\\x [1] :smile: <b>"]
)
def test_ordinary_text_stays_as_it_is(text):
    assert for_terminal(text) == text
    assert for_html(text).unescape() == text


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_reads_back_as_the_same_value(value):
    line = for_json_line(value)
    assert json.loads(line) == value
    assert "\n" not in line


@pytest.mark.parametrize("text", ["=1+1", " =cmd|x", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "\uff1d1"])
def test_a_spreadsheet_finds_no_formula(text):
    (cell,) = next(csv.reader([for_csv(text)]))
    assert cell.startswith("'")
    assert "'" not in for_csv(f"a{text}")
    assert for_csv(-1) == "-1"


@given(ANY_TEXT)
def test_markdown_has_one_line_and_no_sign_of_its_own(text):
    found = for_markdown(text)
    assert "\n" not in found
    assert not re.search(r"(?<!\\)[`*_\[\]()<>#|!&~:@$.+=-]", found.replace("\\\\", ""))


def test_html_of_ours_is_not_escaped_twice():
    assert for_html(for_html("<b>&")) == "&lt;b&gt;&amp;"


@pytest.mark.parametrize("text", NAMES)
def test_file_names_are_one_part_of_a_path(text, tmp_path):
    name = for_file_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,150}", name)
    assert not re.fullmatch(r"\.*|(con|nul)(\..*)?", name, re.IGNORECASE)
    (tmp_path / name).write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_file_names_that_are_fine_stay_and_others_stay_apart():
    fine = ["owner__repo-PR-12", "astropy__astropy-16742", ".github", "a.b_c-D"]
    assert [for_file_name(name) for name in fine] == fine
    assert len({for_file_name(name) for name in NAMES}) == len(NAMES)
