"""Texts that try to steer what shows them: terminals, browsers, Markdown, spreadsheets, file systems."""

from __future__ import annotations

import re

TERMINAL = {
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clear": "\x1b[2J\x1b[1;1H",
    "reset": "\x1bc",
    "colour": "\x1b[8mhidden",
    "answer back": "\x1b[6n\x1bP$q\x1b\\",
    "c1": "\x9b31m\x9d0;owned\x9c",
    "overwritten": "bad\b\b\bgood\rfine",
    "bell": "\a",
    "reversed": "\u202egpj.exe",
    "isolated": "\u2066\u2069\u2067",
    "unseen": "a\u200bb\u2060c\ufeffd\u00ade\u3164",
    "tags": "\U000e0068\U000e0069",
    "lines": "x\u2028y\x85z\x0bw",
    "markup": "[bold red]loud[/] [link=http://evil.example]click[/link] [/nothing]",
    "emoji": ":smile: :warning:",
}
"""What it would do -> the text."""
SURROGATE = "half \ud83d of a pair"
MARKUP = {
    "script": "</script></style><script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)" x=\'',
    "picture": "<img src=http://evil.example/x onerror=alert(1)>",
    "svg": "</text></svg><svg onload=alert(1)>",
    "template": "{{ 7 * 7 }}{% raw %}",
    "markdown link": "[click](javascript:alert(1))",
    "markdown picture": "![x](http://evil.example/pixel.png)",
    "bare link": "http://evil.example www.evil.example me@evil.example <http://evil.example>",
    "table": "a | b ` c",
    "heading": "# big\n\n---\n- item\n1. one\n> said\n\n    code",
    "formula": "$$x$$ =1+1",
}
NAMES = ("..", ".", "", "../../etc/passwd", "/etc/passwd", "a\0b", "CON", "nul.txt", "x" * 300, "é" * 200, "a/b",
         "a\\b", "-rf", "a b", "a:b", "trailing.", "\ud800", *TERMINAL.values())  # fmt: skip
"""For paths."""

STEERS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\u3164\ufeff"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
"""None of this may reach a reader: written apart from the product's own list, so that a hole in that shows."""
OURS = re.compile(rb"\x1b\[(\d+(;\d+)*)?m|\x1b\[1A|\x1b\[2K|\x1b\[\?25[lh]|\r")
"""What rich writes to a terminal of ours: colours, and how bars are drawn again."""
