"""Files beside the tables: trajectories and logs, named by their content, so that equal ones are there once."""

from __future__ import annotations

import hashlib
import os
import uuid

import fsspec

from storage.parts import puts_whole
from storage.store import Store, StoreError

TRAJECTORIES, LOGS, PATCHES = "trajectories", "logs", "patches"
"""Folders."""


def put(store: Store, folder: str, content: bytes, suffix: str) -> tuple[str, str]:
    """Write `<root>/<folder>/<2 digits>/<SHA-256><suffix>`; returns that path, relative to the root, and the SHA-256.

    A file appears whole or not at all; one that is there stays. Raises StoreError.
    """
    sha = hashlib.sha256(content).hexdigest()
    relative = f"{folder}/{sha[:2]}/{sha}{suffix}"
    fs, root = fsspec.core.url_to_fs(store.root)
    target = f"{root}/{relative}"
    parts = [f"{root}/{folder}", os.path.dirname(target), target]
    if store.is_local and any(map(os.path.islink, parts)):
        raise StoreError(f"{target} is, or lies in, a link: remove it")
    try:
        if not fs.exists(target):
            if puts_whole(fs):
                fs.pipe_file(target, content)
                return relative, sha
            fs.makedirs(os.path.dirname(target), exist_ok=True)
            temporary = f"{os.path.dirname(target)}/.{uuid.uuid4().hex}.tmp"
            fs.pipe_file(temporary, content)
            fs.mv(temporary, target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error}") from error
    return relative, sha


def get(store: Store, relative: str) -> bytes:
    """A file that `put` wrote. Raises StoreError."""
    fs, root = fsspec.core.url_to_fs(store.root)
    try:
        return bytes(fs.cat_file(f"{root}/{relative}"))
    except OSError as error:
        raise StoreError(f"cannot read {root}/{relative}: {error}") from error
