"""Where requests and replies are kept."""

from __future__ import annotations

from pathlib import Path

from storage.store import Store, StoreError


def cache_folder(store: Store) -> Path:
    """Where replies are kept: `<store>/.cache/llm` for a local store. Raises StoreError if that is a link."""
    folder = store.work.parent / "llm" if store.is_local else store.work / "llm"
    if folder.is_symlink():
        raise StoreError(f"{folder} is a link: replies would be written to wherever it leads; remove it")
    return folder
