"""The one error that mining raises."""

from __future__ import annotations

from configs.errors import UserError


class MiningError(UserError):
    """Mining cannot go on. The message says what to do; `outside` is true for faults that a retry may cure."""

    def __init__(self, message: str, *, outside: bool = False) -> None:
        super().__init__(message)
        self.outside = outside
