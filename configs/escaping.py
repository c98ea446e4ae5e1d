"""What strangers wrote, made safe for the place that it goes to: one function per target.

Ids, reasons, subjects, names of models and files come from files and repositories of others. Each function is called
at its target's own door: `for_terminal` in `flows/commands/terminal.py` and `streams.py`, `for_html` by the report's
template engine and its pictures, `for_markdown` where Prefect's artifacts and dataset cards are made, `for_json_line`
where JSON Lines are written, `for_file_name` where a name becomes part of a path. Words of a shell command that we
show are quoted by `shlex`. There is no CSV: whoever adds it adds its function here.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from typing import Any

from markupsafe import Markup, escape

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Formatting and fillers: they reorder what stands beside them (bidi), or have no width, and so hide or fake texts."""
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
"""C0 without tab and newline, DEL, C1: 0x9b alone begins an escape sequence."""
_UNSAFE = re.compile(f"[{_CONTROLS}{_INVISIBLE}\ud800-\udfff]")
_NOT_IN_JSON = re.compile(f"[\x7f-\x9f{_INVISIBLE}\ud800-\udfff]")
_MARKDOWN = re.compile(r"[\\`*_{}\[\]()<>#+\-.!|&~:@=$^]")
_EMOJI_STYLE = "\ufe0f"
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How formulas begin, also in full-width letters."""
LONGEST_NAME = 120
"""Characters of a file name at most: systems take 255 bytes, and callers add to it."""
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", re.IGNORECASE)
"""Names that Windows keeps for itself, whatever follows the dot."""


def for_terminal(text: object) -> str:
    """Text that a terminal only shows: what would steer it, hide or reorder letters is written out, as `\\x1b`.

    Line breaks and tabs stay.
    """
    return _visible(text)


def one_line(text: object) -> str:
    """The text with its line breaks and tabs as spaces, so that no line of it can pass for one of ours."""
    return re.sub(r"[ ]*[\n\t]+[ ]*", " ", str(text).replace("\r\n", "\n")).strip()


def from_html(text: str) -> str:
    """What a text stands for that somebody wrote for HTML: entities are read, nothing else."""
    return str(Markup(text).unescape())


def for_html(text: object) -> Markup:
    """Text for an element or a quoted attribute. What is Markup already stays as it is."""
    return text if isinstance(text, Markup) else escape(_visible(text))


def for_markdown(text: object) -> str:
    """One line of Markdown that reads as the text: no link, image, HTML, code, table cell, heading or formula."""
    return _MARKDOWN.sub(r"\\\g<0>", _visible(one_line(text)))


def for_json_line(value: Any) -> str:
    """JSON on one line that reads back as the same value and is safe to look at; the rest of Unicode stays readable."""
    return _NOT_IN_JSON.sub(_in_json, json.dumps(value, ensure_ascii=False))


def for_csv(value: object) -> str:
    """One cell of CSV, quoted where it has to be. A text that a spreadsheet takes for a formula gets an apostrophe."""
    if value is None:
        return ""
    text = _visible(value)
    if isinstance(value, str) and text.lstrip(" \t\n").startswith(_FORMULA):
        text = f"'{text}"
    quoted = '"{}"'.format(text.replace('"', '""'))
    return quoted if any(char in text for char in '",\n\r') else text


def for_file_name(text: str, empty: str = "unnamed") -> str:
    """One part of a path on any system: letters, digits, `_`, `.` and `-`; never a device, a parent folder, too long.

    A text that is none already gets a part of its hash, so that different texts have different names.
    """
    if not text:
        return empty
    name = re.sub(r"[^\w.-]", "-", text, flags=re.ASCII)[:LONGEST_NAME].rstrip(".")
    name = _DEVICES.sub(r"\1-", name) or empty
    return name if name == text else f"{name}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def _visible(text: object) -> str:
    return _UNSAFE.sub(_written_out, str(text).replace("\r\n", "\n"))


def _written_out(match: re.Match[str]) -> str:
    char = match[0]
    before = match.string[match.start() - 1 : match.start()]
    if char == _EMOJI_STYLE and before and unicodedata.category(before) == "So":
        return char  # a symbol in colours: commit messages are full of them
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _in_json(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]
