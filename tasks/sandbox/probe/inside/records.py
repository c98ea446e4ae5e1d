"""Dataclasses and enum members, read without running anything of their classes. The probe executes this file inside
sandboxes: standard library only, syntax of Python 3.8.

A class of the arm's may define its fields as properties, or its name, so that the work is done when somebody looks.
What is read here is what the instance holds: its own dictionary and its slots.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
import dataclasses
import enum
import types
from typing import Any, Callable, Dict, List, Tuple

_MRO: Any = type.__dict__["__mro__"].__get__
_NAMESPACE: Any = type.__dict__["__dict__"].__get__
_MISSING = object()


class Computed(TypeError):
    """A field that the class computes instead of holding it."""


def is_record(kind: type) -> bool:
    """Whether instances of this class are dataclasses or enum members."""
    return issubclass(kind, enum.Enum) or type(_lookup(kind, "__dataclass_fields__")) is dict


def is_frozen(kind: type) -> bool:
    """Whether its instances promise not to change."""
    if issubclass(kind, enum.Enum):
        return True
    parameters = _lookup(kind, "__dataclass_params__")
    return bool(getattr(parameters, "frozen", False))


def readers(kind: type) -> List[Tuple[str, Callable[[Any], Any]]]:
    """(field, how to read it from an instance), in the order of the fields. Raises Computed."""
    if issubclass(kind, enum.Enum):
        return [("name", reader(kind, "_name_")), ("value", reader(kind, "_value_"))]
    fields: Dict[str, Any] = _lookup(kind, "__dataclass_fields__")
    pseudo = (dataclasses._FIELD_CLASSVAR, dataclasses._FIELD_INITVAR)  # type: ignore[attr-defined]
    return [(name, reader(kind, name)) for name, field in dict.items(fields)
            if not any(getattr(field, "_field_type", None) is one for one in pseudo)]  # fmt: skip


def reader(kind: type, name: str) -> Callable[[Any], Any]:
    """How to read one attribute that instances hold. Raises Computed if the class has a say in it."""
    held = _lookup(kind, name)
    if type(held) is types.MemberDescriptorType:
        return lambda value: held.__get__(value, kind)
    if held is not _MISSING and hasattr(type(held), "__set__"):
        raise Computed(f"its class computes {name}")
    own = _lookup(kind, "__dict__")
    if type(own) is not types.GetSetDescriptorType:
        raise Computed("its class hides what it holds")

    def read(value: Any) -> Any:
        found = dict.get(own.__get__(value, kind), name, held)
        if found is _MISSING:
            raise Computed(f"it holds no {name}")
        return found

    return read


def _lookup(kind: type, name: str) -> Any:
    """A class attribute as it is written there; _MISSING without one."""
    for owner in _MRO(kind):
        space = _NAMESPACE(owner)
        if name in space:
            return space[name]
    return _MISSING
