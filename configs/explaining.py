"""Options in words: what a field expects, and which name a misspelt one was meant to be."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Sequence
from datetime import date
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_SIMPLE = {
    str: ("text", "texts"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    date: ("a date such as 2024-01-31", "dates such as 2024-01-31"),
}


def expected(field: FieldInfo, inside: int = 0) -> str:
    """What a field takes, e.g. `an integer greater than 0`; `inside` steps into its lists and mappings."""
    annotation = field.annotation
    for _ in range(inside):
        annotation = get_args(annotation)[-1] if get_args(annotation) else annotation
    return _phrase(annotation, () if inside else field.metadata)


def field_at(model: type[BaseModel], place: Sequence[str | int]) -> tuple[FieldInfo | None, int]:
    """The field that a place belongs to, and how many steps into its lists and mappings the place goes."""
    known = options(model)
    for steps in range(len(place)):
        found = known.get(".".join(str(key) for key in place[: len(place) - steps]))
        if found is not None:
            return found, steps
    return None, 0


def show(value: Any) -> str:
    """A value as it would be written in YAML, at most 60 characters: `'many'`, `3`, `true`, `null`."""
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def options(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """All options by dotted name, sections included: `mining`, `mining.max_files`, ..."""
    found: dict[str, FieldInfo] = {}
    for name, field in model.model_fields.items():
        found[name] = field
        section = section_of(field.annotation)
        if section is not None:
            found.update({f"{name}.{inner}": info for inner, info in options(section).items()})
    return found


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model behind an annotation `Section` or `Section | None`; None for anything else."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def suggest(name: str, model: type[BaseModel], section: str = "") -> str:
    """` (did you mean 'max_files'?)` for a name that a section does not have, or the names that it has."""
    known = options(model)
    prefix = f"{section}." if section else ""
    here = [key.removeprefix(prefix) for key in known if key.startswith(prefix) and "." not in key.removeprefix(prefix)]
    close = difflib.get_close_matches(name, here, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    last = name.rsplit(".", 1)[-1]
    elsewhere = [key for key in known if key.rsplit(".", 1)[-1] == last]
    if elsewhere:
        return f"did you mean '{elsewhere[0]}'?"
    return f"known here: {', '.join(here)}"


def _phrase(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        inner = " or ".join(_phrase(arg, metadata) for arg in args if arg is not type(None))
        return f"{inner}, or null" if type(None) in args else inner
    if origin is Literal:
        return f"one of {', '.join(map(str, args))}" if len(args) > 1 else str(args[0])
    if origin in (list, tuple):
        return f"a list of {_plural(args[0])}"
    if origin is dict:
        return f"a mapping to {_plural(args[1])}"
    if section_of(annotation):
        return "a section with options"
    words = _SIMPLE.get(annotation, (str(getattr(annotation, "__name__", annotation)), ""))[0]
    return " ".join([words, *_bounds(metadata)])


def _plural(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return f"{', '.join(map(str, get_args(annotation)))}"
    if get_origin(annotation) is list:
        return f"lists of {_plural(get_args(annotation)[0])}"
    return _SIMPLE[annotation][1] if annotation in _SIMPLE else _phrase(annotation)


def _bounds(metadata: Sequence[Any]) -> list[str]:
    words = {"gt": "greater than", "ge": "of at least", "lt": "less than", "le": "of at most"}
    found = [
        f"{word} {getattr(item, name):g}"
        for item in metadata
        for name, word in words.items()
        if getattr(item, name, None) is not None
    ]
    patterns = [item.pattern for item in metadata if getattr(item, "pattern", None)]
    return [" and ".join(found)] * bool(found) + [f"that matches `{pattern}`" for pattern in patterns]
