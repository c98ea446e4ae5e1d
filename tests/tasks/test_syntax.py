"""Files in odd dresses are read as Python reads them, and lines are counted as Python counts them."""

from __future__ import annotations

import ast

import pytest

from tasks.code.python import lines_of, parse, source_text


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xef\xbb\xbfname = 'na\xc3\xafve'\n", "naïve"),
        (b"\xef\xbb\xbf# coding: utf-8\r\nname = 'na\xc3\xafve'\r\n", "naïve"),
        (b"# -*- coding: latin-1 -*-\nname = 'na\xefve'\n", "naïve"),
        (b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nname = '\x80'\n", "€"),
        (b"name = 'a'\rother = 1\r", "a"),
        (b"# coding: no-such-encoding\nname = 'na\xc3\xafve'\n", "naïve"),
        (b"name = 'na\xefve'\n", "na\ufffdve"),
    ],
)
def test_a_file_is_read_as_it_declares_itself_and_stays_readable(data: bytes, name: str) -> None:
    text = source_text(data)
    assert "\r" not in text
    for again in (text, text.encode()):  # what is written again is UTF-8, and must say so
        space: dict[str, str] = {}
        exec(compile(again, "again", "exec"), space)
        assert space["name"] == name


def test_a_cookie_is_one_only_in_the_first_two_lines() -> None:
    text = "import os\n\n# coding: latin-1\n"
    assert source_text(text.encode()) == text


def test_lines_are_those_of_the_syntax_tree() -> None:
    text = "a = 1\n\x0c\nb = '\x1c\u2028\x0b'\nc = 3"
    tree = parse("\ufeff" + text)
    lines = lines_of(text)
    assert [lines[node.lineno - 1][0] for node in tree.body] == ["a", "b", "c"]
    assert "".join(lines_of(text, keepends=True)) == text
    assert [lines_of(it) for it in ("", "\n", "a\n", "a\n\n")] == [[], [""], ["a"], ["a", ""]]


@pytest.mark.parametrize("text", ["-" * 200_000 + "1", "f" + ".a" * 200_000, "a = 1\0"])
def test_what_no_parser_survives_is_a_value_error(text: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        parse(text)
    assert isinstance(parse("x"), ast.Module)
