"""The settings of the filters as plain data: worker processes do without the library that checks configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from configs.models import MiningConfig


@dataclass(frozen=True)
class Rules:
    """The settings of `configs.models.MiningConfig` that judge a single change, by their names there."""

    languages: tuple[str, ...]
    """As in `RepositoryConfig.languages`."""
    use_keywords: bool
    keywords: list[str]
    ignore_phrases: list[str]
    exclude_paths: list[str]
    max_files: int
    max_changed_lines: int
    ignore_authors: list[str]
    min_score: float
    keep_new_code: bool
    named: bool
    """The user named the changes: only what holds no code of functions is dropped."""

    @classmethod
    def of(cls, mining: MiningConfig, languages: Sequence[str]) -> Rules:
        """The rules of a configuration."""
        names = [field.name for field in fields(cls) if field.name not in ("languages", "named")]
        settings = {name: getattr(mining, name) for name in names}
        return cls(languages=tuple(languages), named=bool(mining.commits), **settings)
