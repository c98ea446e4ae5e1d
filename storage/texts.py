"""Text of strangers as UTF-8: what a table, a hash and a JSON file can hold, without a loss.

Python's own text may hold half of a character (a lone surrogate), which UTF-8 cannot. Such halves come from a file
that is not UTF-8, where each stands for one byte (PEP 383), or from an emoji that was cut in two.
"""

from __future__ import annotations

import re
from typing import Any

_BYTE = re.compile("[\udc80-\udcff]")
_HALF = re.compile("[\ud800-\udfff]")
_STORED = 0x10FF00
_STORED_BYTE = re.compile("[\U0010ff80-\U0010ffff]")


def storable(text: str) -> str:
    """Text whose lone bytes are written as U+10FF80 to U+10FFFF, which are for private use; `to_bytes` turns it back.

    Raises ValueError for half of a character that stands for no byte.
    """
    if text.isascii():
        return text
    text = _BYTE.sub(lambda match: chr(_STORED + ord(match[0]) - 0xDC00), text)
    if half := _HALF.search(text):
        line = text.count("\n", 0, half.start()) + 1
        raise ValueError(f"line {line} holds half of a character (U+{ord(half[0]):04X}), which no file can hold")
    return text


def to_bytes(text: str) -> bytes:
    """The bytes that a storable text, or one of Python's with surrogates for bytes, stands for."""
    if text.isascii():
        return text.encode()
    return _STORED_BYTE.sub(lambda match: chr(ord(match[0]) - _STORED + 0xDC00), text).encode(
        "utf-8", "surrogateescape"
    )


def visible(value: Any, depth: int = 8) -> Any:
    """The value with every half of a character, in any text of it, spelled out: `\\udce9`. No column nests deeper."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "backslashreplace").decode()
        return value
    if isinstance(value, list) and depth:
        return [visible(item, depth - 1) for item in value]
    if isinstance(value, dict) and depth:
        return {key: visible(item, depth - 1) for key, item in value.items()}
    return value


def told(value: Any, longest: int = 80) -> str:
    """A value for a message: as Python writes it, in ASCII, cut to a length."""
    text = ascii(value) if not isinstance(value, (dict, list)) else f"a {type(value).__name__} of {len(value)}"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
