"""What a patch was wrapped in on its way: JSON text, a mail's encoding, quotes of a mail, entities of HTML.

Nothing here knows what a diff is. A wrapping is taken off only where the text as it stands cannot be a diff.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
from email.iterators import typed_subpart_iterator

from configs.escaping import from_html

_ENCODED = re.compile(rb"^Content-Transfer-Encoding:[ \t]*(?:base64|quoted-printable)[ \t]*\r?$", re.MULTILINE | re.I)
_DIFF = re.compile(rb"^(?:diff --git |--- )", re.MULTILINE)
_FIELD = re.compile(rb"(?:From |[A-Za-z][A-Za-z0-9-]*:)")
_ENTITY = re.compile(rb"&(?:lt|gt|amp|quot|apos|#[0-9]+|#x[0-9A-Fa-f]+);")
_QUOTE = re.compile(rb"^>[ ]?", re.MULTILINE)
_DEPTH = 3
"""Wrappings within each other."""
_MARK = b"\xef\xbb\xbf"


def undressed(data: bytes) -> tuple[bytes, list[str]]:
    """The text without its wrappings, and which there were. A byte order mark says nothing and is left out silently."""
    notes: list[str] = []
    for _ in range(_DEPTH):
        data = data.removeprefix(_MARK)
        for take, note in (
            (_from_json, "taken out of JSON text"),
            (_from_mail, "taken out of a mail's encoding"),
            (_from_quotes, "quoted throughout"),
            (_from_old_lines, "line ends of CR read as LF"),
        ):
            if (inner := take(data)) is not None:
                data = inner
                notes.append(note)
                break
        else:
            break
    return data, notes


def without_entities(data: bytes) -> bytes | None:
    """The text as it was before it was written as HTML, or None if it was not: then a bare <, > or & stands in it."""
    if b"<" in data or b">" in data or not _ENTITY.search(data) or b"&" in _ENTITY.sub(b"", data):
        return None
    return from_html(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _from_json(data: bytes) -> bytes | None:
    """A diff has lines. One line with `\\n` in it is JSON's way to write them."""
    line = data.strip()
    if b"\n" in line or b"\\n" not in line:
        return None
    text = line.decode("utf-8", "surrogateescape")
    try:
        value = json.loads(text if text.startswith('"') else f'"{text}"', strict=False)
        return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else None
    except ValueError:
        return None


def _from_mail(data: bytes) -> bytes | None:
    """The text of a mail whose head says that it is encoded, as `git am` reads it."""
    found = _ENCODED.search(data)
    if found is None or not _FIELD.match(data.lstrip()):
        return None
    diff = _DIFF.search(data)
    if diff is not None and diff.start() < found.start():
        return None
    mail = email.message_from_bytes(data.lstrip().replace(b"\r\n", b"\n"), policy=email.policy.compat32)
    texts = [part.get_payload(decode=True) for part in typed_subpart_iterator(mail, "text")]
    text = b"\n".join(part for part in texts if isinstance(part, bytes))
    return text if text.strip() else None


def _from_quotes(data: bytes) -> bytes | None:
    """Every line begins with `>`, as in an answer to a mail."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    if not lines or not all(line.startswith(b">") for line in lines):
        return None
    return _QUOTE.sub(b"", data)


def _from_old_lines(data: bytes) -> bytes | None:
    """Lines that end with CR alone."""
    return data.replace(b"\r", b"\n") if b"\r" in data.strip() and b"\n" not in data.strip() else None
