"""What every row type is: a model whose every value a Parquet file can hold."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from storage.texts import visible

WHOLE_NUMBERS = range(-(2**63), 2**63)
"""What a column of whole numbers holds."""


class Row(BaseModel):
    """Base of all rows. Subclasses set `table`, `key_columns` and, when they change, a higher `schema_version`.

    Text and numbers come from files, patches and programs of strangers, and one row that cannot be written would take
    all others of its part with it. So half of a character, which UTF-8 lacks, is spelled out (`\\udce9`), and a number
    that is too large is an error of its field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    table: ClassVar[str]
    key_columns: ClassVar[tuple[str, ...]]
    schema_version: ClassVar[int] = 1

    @model_validator(mode="before")
    @classmethod
    def _text_is_utf8(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        odd = {}
        for name, value in data.items():  # of every row that is made or read: most of it is plain text
            kind = type(value)
            if (kind is str and not value.isascii()) or ((kind is list or kind is dict) and value):
                odd[name] = visible(value)
        return {**data, **odd} if odd else data

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        for name, value in self.__dict__.items():
            if type(value) is int and value not in WHOLE_NUMBERS:
                problem = PydanticCustomError("too_large", "too large a number for the store, which holds 64 bits")
                raise ValidationError.from_exception_data(
                    type(self).__name__, [{"type": problem, "loc": (name,), "input": value}]
                )
        return self
