"""Marks by which this user recognises results of their own: made with a key that nobody else has.

A store may come from anywhere. Its tables are data. Its caches would decide what runs and what is believed, so only
records with a mark of this user's key are used.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from functools import lru_cache
from pathlib import Path

from configs.errors import UserError

KEY_VARIABLE = "ISOBENCH_CACHE_KEY"
"""Holds the key where several machines or accounts share caches; else the key is in the user's state folder."""
SHORTEST = 16
"""Characters that a key of the user's own choice must have."""


class KeyFault(UserError):
    """The key cannot be read or made: the message says where it was looked for."""


class NotOurs(UserError):
    """A cache folder belongs to another user of this machine: the message says whose, and what to do."""


def mark(*parts: str | bytes) -> str:
    """64 hex digits that only a holder of the key can make for these parts. Raises KeyFault."""
    made = hmac.new(_key(), digestmod=hashlib.sha256)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        made.update(len(data).to_bytes(8, "big"))
        made.update(data)
    return made.hexdigest()


def is_mark(claimed: str, *parts: str | bytes) -> bool:
    """Whether `claimed` is the mark of these parts. Raises KeyFault."""
    return hmac.compare_digest(claimed.encode(), mark(*parts).encode())


def own_name(kind: str) -> str:
    """A folder name for `kind` that others cannot guess: what they put into a store lies elsewhere. Raises KeyFault."""
    return f"{kind}-{mark('folder', kind)[:16]}"


def own_cache_folder(root: str | Path, kind: str) -> Path:
    """`<root>/.cache/<kind>-<what only this user's key gives>`, which need not exist.

    Raises NotOurs if `.cache` belongs to another user, who could change what is in it at any moment; unless the user
    shares a key with them. Also if it is no folder, or a link, which may have come with the store and lead anywhere.
    """
    cache = Path(root) / ".cache"
    try:
        found = cache.lstat()
        owner = found.st_uid
    except FileNotFoundError:
        found, owner = None, os.geteuid()
    except OSError as error:
        raise NotOurs(f"{root} cannot be used as a store: {error.strerror}") from error
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise NotOurs(f"{cache} is no folder, or is a link to one: remove it, or use another --store")
    if owner != os.geteuid() and not is_shared():
        raise NotOurs(
            f"{cache} belongs to another user (uid {owner}), and this is uid {os.geteuid()}: what lies there decides "
            f"what runs. Use another --store, copy this one without .cache, or set {KEY_VARIABLE} to a secret that "
            "you share with that user"
        )
    return cache / own_name(kind)


def key_file() -> Path:
    """Where the key is, unless the variable holds it."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "isobench" / "cache.key"


def is_shared() -> bool:
    """Whether the user chose a key, and so trusts everybody who has it."""
    return bool(os.environ.get(KEY_VARIABLE))


def _key() -> bytes:
    given = os.environ.get(KEY_VARIABLE, "")
    if not given:
        return _read(key_file())
    if len(given) < SHORTEST:
        raise KeyFault(
            f"{KEY_VARIABLE} is too short to be a secret: give it {SHORTEST} characters or more, for example what "
            '`python -c "import secrets; print(secrets.token_hex(32))"` prints'
        )
    return hashlib.sha256(given.encode()).digest()


@lru_cache
def _read(path: Path) -> bytes:
    try:
        if not os.path.lexists(path):
            _make(path)
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise KeyFault(f"{path} is not a file of this user's: remove it, or set {KEY_VARIABLE}")
            if found.st_mode & 0o077:
                raise KeyFault(f"{path} can be read or written by others: `chmod 600` it, or remove it for a new key")
            key = file.read(1024)
    except OSError as error:
        raise KeyFault(
            f"the key that marks this user's caches cannot be kept in {path}: {error.strerror}; set {KEY_VARIABLE} to "
            f"a secret of {SHORTEST} characters or more, or XDG_STATE_HOME to a folder that can be written"
        ) from error
    if len(key) < SHORTEST:
        raise KeyFault(f"{path} holds no key: remove it for a new one")
    return key


def _make(path: Path) -> None:
    """Whole or not at all, and once: of two processes that make it, both use the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
