"""Whether a perf test's own functions and constants are what its text says. The probe executes this file inside
sandboxes: standard library only, syntax of Python 3.8.

Code of an arm runs in the same process and can reach them: through sys.modules, frames, the garbage collector. So they
are described in hashes, which the driver compares with those of base, where nothing reaches for them: a function that
was replaced, whose code or defaults were changed, or that reads other globals has another hash.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
import ast
import builtins
import types
from hashlib import blake2b  # bound before anything of the arm can replace them
from marshal import dumps
from typing import Any, Dict, List, Set

SIZE = 16
_DEPTH = 6  # of functions in closures of functions
_CONSTANTS = frozenset({type(None), bool, int, float, complex, str, bytes})
_BUILTINS = dict(builtins.__dict__)


class OwnNames:
    """What a script's text defines at its top level and nowhere else: functions, classes, constants."""

    def __init__(self, tree: ast.Module, code: types.CodeType, filename: str) -> None:
        self._filename = filename
        bound: Dict[str, List[Any]] = {}
        for node in tree.body:
            for name in _bound(node):
                bound.setdefault(name, []).append(node)
        elsewhere = _stored_elsewhere(tree)
        self.names = sorted(name for name, nodes in bound.items() if name not in elsewhere and _told(nodes[-1]))
        """Of these the text alone says what they are."""
        self._builtins = sorted((_names(code) & set(_BUILTINS)) - set(bound))

    def described(self, space: Any) -> Dict[str, str]:
        """Hash of each name's value as it is in the script's globals; also of built-in functions that were replaced."""
        found = {name: self.hashed(self._value(dict.get(space, name), space, 0)) for name in self.names}
        now = dict.get(space, "__builtins__")
        now = now if type(now) is dict else getattr(now, "__dict__", {})
        for name in self._builtins:
            if dict.get(now, name) is not _BUILTINS[name]:
                found[name] = self.hashed("replaced")
        return found

    def described_call(self, call: Any, space: Any) -> str:
        """The same of a callable that is timed."""
        return self.hashed(self._value(call, space, 0))

    def hashed(self, description: Any) -> str:
        """Hash of a value that marshal knows."""
        return blake2b(dumps(description, 2), digest_size=SIZE).hexdigest()

    def _value(self, value: Any, space: Any, depth: int) -> Any:  # noqa: PLR0911 -- one return per kind
        """What can be said of a value by values that marshal knows."""
        kind = type(value)
        if kind in _CONSTANTS:
            return (kind.__name__, value)
        if kind is tuple:
            return ("tuple", [self._value(item, space, depth + 1) for item in value] if depth < _DEPTH else len(value))
        if depth >= _DEPTH:
            return kind.__qualname__
        if kind is types.FunctionType:
            return self._function(value, space, depth)
        if kind is type and type.__getattribute__(value, "__module__") == dict.get(space, "__name__"):
            members = sorted(type.__dict__["__dict__"].__get__(value).items())
            return ("class", [(name, self._member(item, space, depth + 1)) for name, item in members])
        if kind.__module__ != "functools":
            return "something else"  # a decorator of the arm's may make of a function what it likes
        wrapped = value.func if hasattr(value, "func") else getattr(value, "__wrapped__", None)
        return (kind.__qualname__, self._value(wrapped, space, depth + 1))

    def _function(self, value: Any, space: Any, depth: int) -> Any:
        code = value.__code__
        if code.co_filename != self._filename:
            return "not the script's"
        defaults = [*(value.__defaults__ or ()), *sorted((value.__kwdefaults__ or {}).items())]
        cells = [self._enclosed(_content(cell), space, depth + 1) for cell in value.__closure__ or ()]
        known = [self._value(item, space, depth + 1) for item in defaults]
        return ("function", dumps(code, 2), value.__globals__ is space, known, cells)

    def _enclosed(self, value: Any, space: Any, depth: int) -> Any:
        return self._value(value, space, depth) if callable(value) else None  # data may be the seed's

    def _member(self, value: Any, space: Any, depth: int) -> Any:
        value = getattr(value, "__func__", getattr(value, "fget", value))
        is_own = type(value) is types.FunctionType and value.__code__.co_filename == self._filename
        return self._function(value, space, depth) if is_own else None


class Untouched:
    """Functions of ours as they were before anything of the arm ran."""

    def __init__(self, functions: List[Any]) -> None:
        """`functions`: one of each module, whose globals are taken."""
        spaces = {id(function.__globals__): function.__globals__ for function in functions}
        holders = list(spaces.values())
        names = {space["__name__"] for space in holders}
        for space in list(holders):
            classes = [value for value in space.values() if type(value) is type and value.__module__ in names]
            holders += [type.__dict__["__dict__"].__get__(value) for value in classes]
        self._known = [
            (holder, name, value, value.__code__)
            for holder in holders
            for name, value in holder.items()
            if type(value) is types.FunctionType
        ]

    def touched(self) -> List[str]:
        """Names of those that were replaced or have other code."""
        return sorted({name for holder, name, value, code in self._known
                       if holder.get(name) is not value or value.__code__ is not code})  # fmt: skip


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not bound yet


def _bound(node: Any) -> List[str]:
    """Names that a statement at the top level binds by itself."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        return [node.target.id]
    return []


def _told(node: Any) -> bool:
    """Whether the statement itself says what the value is: a definition, or a constant."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        try:
            value = ast.literal_eval(node.value)  # type: ignore[arg-type]
        except (ValueError, TypeError, SyntaxError, RecursionError):
            return False
        return type(value) in _CONSTANTS or (type(value) is tuple and all(type(item) in _CONSTANTS for item in value))
    return True


def _stored_elsewhere(tree: ast.Module) -> Set[str]:
    """Names that are bound in branches and loops, by imports, deleted, or declared global in a function."""
    found: Set[str] = set()
    for node in tree.body:
        own = set(_bound(node))
        for inner in ast.walk(node):
            if isinstance(inner, ast.Global):
                found.update(inner.names)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load) and inner.id not in own:
                    found.add(inner.id)
                elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    found.add(inner.name)
                elif isinstance(inner, ast.alias):
                    found.add(inner.asname or inner.name.split(".")[0])
    return found


def _names(code: types.CodeType) -> Set[str]:
    """Global names that the code and all code in it refers to."""
    found = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            found |= _names(const)
    return found
