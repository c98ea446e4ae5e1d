"""What the doors of reporting return."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Report(BaseModel):
    """A page that was written."""

    model_config = ConfigDict(frozen=True)

    out: str
    """Folder, relative to the store's root or absolute."""
    page: str
    """File name in the folder."""
    bytes: int

    def path(self, store: str) -> Path:
        """Where the page is now, wherever the store has moved."""
        return Path(store) / self.out / self.page

    def is_gone(self, store: str) -> bool:
        """Whether the page was deleted since it was written."""
        return not self.path(store).is_file()
