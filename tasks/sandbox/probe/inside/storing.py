"""Results by way of the script's own files: store_result and load_result. The probe executes this file inside
sandboxes: standard library only, syntax of Python 3.8.
"""

import itertools
import os
import tempfile
from typing import Any

from tasks.sandbox.probe.inside.dialects import Failure, user_code

MOST = 1000  # items of a container whose types are told
_VIEWS = {type({}.keys()): "dict keys", type({}.values()): "dict values", type({}.items()): "dict items"}


def outline(value: Any, depth: int = 4) -> Any:
    """Types of a result that has no safe encoding, as JSON: the names of a class and of those it derives from.

    All iterators count as one type, so do lists and tuples. Containers tell the types of what they hold.
    """
    kind = type(value)
    if kind in (list, tuple, dict, set, frozenset):
        items = dict.values(value) if kind is dict else value
        inner = [outline(item, depth - 1) for item in itertools.islice(items, MOST)] if depth else []
        name = "list" if kind in (list, tuple) else "set" if kind in (set, frozenset) else "dict"
        return [name, [item for index, item in enumerate(inner) if item not in inner[:index]]]
    if kind in _VIEWS:
        return [_VIEWS[kind]]
    lineage = type.__dict__["__mro__"].__get__(kind)
    if kind.__flags__ & (1 << 9) == 0 and any("__next__" in vars(base) for base in lineage):
        return ["iterator"]  # C's own: generators, map, zip and the like
    return [f"{base.__module__}.{base.__qualname__}" for base in lineage[:-1]]


def stored(space: Any, value: Any) -> bytes:
    """What the script's store_result writes: suffix, NUL, content."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "result")
        user_code(space["store_result"], value, path)
        names = os.listdir(folder)  # numpy.save and others append a suffix
        if len(names) != 1:
            raise Failure("unserialisable", f"store_result must write one file, it wrote {len(names)}")
        with open(os.path.join(folder, names[0]), "rb") as file:
            return names[0][len("result") :].encode() + b"\0" + file.read()


def restored(space: Any, data: bytes) -> Any:
    """What load_result reads; pickles in it are held to data."""
    load = space.get("load_result")
    if not callable(load):
        raise Failure("missing_function", "the script defines store_result and not load_result")
    suffix, _, content = data.partition(b"\0")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "result" + os.path.basename(suffix.decode()))
        with open(path, "wb") as file:
            file.write(content)
        return load(path)


def round_trip(space: Any, value: Any) -> Any:
    """A reference as check_equivalence of the gso dialect expects it: stored and loaded."""
    if all(callable(space.get(name)) for name in ("store_result", "load_result")):
        return restored(space, stored(space, value))
    return value
