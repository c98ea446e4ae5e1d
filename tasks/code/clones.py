"""Where clones lie in a store's work folder."""

from __future__ import annotations

from configs.escaping import for_file_name


def clone_path(repo: str) -> str:
    """Folder of a repository's clone, relative to `Store.work`."""
    return f"clones/{for_file_name(repo.replace('/', '__'))}.git"
