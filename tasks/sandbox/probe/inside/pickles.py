"""Unpicklers that are held to data, in a process that compares results. The probe executes this file inside sandboxes:
standard library only, syntax of Python 3.8.
"""

import io
import pickle
from typing import Any

SAFE_PICKLES = {
    "builtins": {"set", "frozenset", "bytearray", "complex", "range", "slice", "list", "dict", "tuple", "int", "float"},
    "collections": {"OrderedDict", "Counter", "deque", "defaultdict"},
    "datetime": {"datetime", "date", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
}


class DataOnly:
    """Unpicklers that load data and never code: a candidate's result must not run anything where it is checked."""

    armed = False

    def find_class(self, module: Any, name: Any) -> Any:
        """Once armed, allow the types of SAFE_PICKLES only."""
        if not DataOnly.armed or name in SAFE_PICKLES.get(module, ()):
            return super().find_class(module, name)  # type: ignore[misc]
        raise pickle.UnpicklingError(f"{module}.{name} may not be unpickled by load_result")


class Unpickler(DataOnly, pickle.Unpickler):
    """Takes the place of pickle.Unpickler."""


class PythonUnpickler(DataOnly, pickle._Unpickler):
    """Takes the place of pickle._Unpickler, from which some libraries derive theirs."""


def restrict_pickle() -> Any:
    """Before the arm's imports, so that whatever they derive from an unpickler is restricted too."""
    replaced: Any = pickle
    replaced.Unpickler, replaced._Unpickler = Unpickler, PythonUnpickler
    replaced.load = lambda file, **kwargs: Unpickler(file, **kwargs).load()
    replaced.loads = lambda data, **kwargs: Unpickler(io.BytesIO(data), **kwargs).load()
