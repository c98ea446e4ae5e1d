"""Removes assertions about time from a test: the workload stays, the claim goes.

A test such as `assert elapsed < 1.0` fails on base, since the change mends exactly this, and on any slow machine. Such
a test is the best evidence of a commit: its author's own idea of an input that was slow. So `pass` replaces every
assertion on a value that came from a clock (or from a meter of memory), at the same place, in both arms alike. The
search follows such values through assignments, containers, and functions of the same module that return them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tasks.code.python import lines_of, parse
from tasks.perftests.targets import FunctionNode

CLOCKS = {
    "time": {"time", "perf_counter", "monotonic", "process_time", "thread_time", "clock", "time_ns", "perf_counter_ns",
             "monotonic_ns", "process_time_ns", "thread_time_ns"},
    "timeit": {"timeit", "repeat", "default_timer", "Timer"},
    "datetime": {"now", "utcnow"},
    "tracemalloc": {"get_traced_memory", "take_snapshot"},
    "resource": {"getrusage"},
    "os": {"times"},
}  # fmt: skip
"""Module -> what reads a clock or the memory in use; of `datetime` also as methods of its classes."""
_SPEAKS = re.compile(
    r"perf|speed|fast|slow|linear|quadratic|exponential|complexity|scal(?:es|ing|ab)|large|huge|big(?![a-z])|many|deep"
    r"|nested|long(?![a-z])|dos(?![a-z])|timeout|stress|bench|efficien|blowup|backtrack|hang(?![a-z])",
    re.IGNORECASE,
)
_FILLS = {"append", "add", "extend", "insert", "appendleft", "setdefault", "update"}
_ENDS = {"fail", "skip", "exit", "xfail", "print"}


def speaks_of_speed(name: str) -> bool:
    """Whether a test's name says that its input is large or that time matters."""
    return bool(_SPEAKS.search(name))


def without_claims(text: str) -> tuple[str, set[str]]:
    """The module without assertions about time and memory, and the names of the tests that had some (`f`, `Class.f`).

    Lines keep their numbers. A text that is not Python is returned as it is.
    """
    try:
        tree = parse(text)
    except (SyntaxError, ValueError):
        return text, set()
    clocks = _Clocks(tree)
    if not clocks.any:
        return text, set()
    claims: list[ast.stmt] = []
    claiming: set[str] = set()
    for name, function in _outer_functions(tree):
        found = list(clocks.claims(function))
        claims += found
        if found:
            claiming.add(name)
    return (_replaced(text, claims), claiming) if claims else (text, set())


class _Clocks:
    """The names of a module that lead to a clock."""

    def __init__(self, tree: ast.Module) -> None:
        self.names: set[str] = set()
        """Names and attributes whose call, or value, is a time: `perf_counter`, a helper that returns one."""
        self._modules: dict[str, set[str]] = {}
        self._read_imports(tree)
        self.any = bool(self._modules or self.names)
        """Whether the module imports a clock at all."""
        functions = [node for node in ast.walk(tree) if isinstance(node, FunctionNode | ast.ClassDef)]
        size = -1
        while self.any and size != len(self.names):  # helpers of helpers
            size = len(self.names)
            for node in functions:
                if isinstance(node, ast.ClassDef):
                    if any(isinstance(item, FunctionNode) and item.name == "__exit__" for item in node.body):
                        self.names |= {node.name} if self._reads(node) else set()
                elif self._returns_time(node):
                    self.names.add(node.name)

    def _read_imports(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for item in node.names:
                    if item.name in CLOCKS:
                        self._modules[item.asname or item.name] = CLOCKS[item.name]
            elif isinstance(node, ast.ImportFrom) and node.module in CLOCKS:
                for item in node.names:
                    if item.name in CLOCKS[node.module]:
                        self.names.add(item.asname or item.name)
                    elif node.module == "datetime":
                        self._modules[item.asname or item.name] = CLOCKS["datetime"]

    def claims(self, function: FunctionNode) -> Iterator[ast.stmt]:
        """Outermost statements of a function whose only purpose is to judge a time."""
        yield from self._claims_in(function.body, self._times_in(function))

    def _claims_in(self, body: list[ast.stmt], held: set[str]) -> Iterator[ast.stmt]:
        for node in body:
            if self._is_claim(node, held):
                yield node
                continue
            for part in ("body", "orelse", "finalbody"):
                yield from self._claims_in(getattr(node, part, []), held)
            for handler in getattr(node, "handlers", []):
                yield from self._claims_in(handler.body, held)

    def _is_claim(self, node: ast.stmt, held: set[str]) -> bool:
        if isinstance(node, ast.Assert):
            return self._is_time(node.test, held)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            judges = _last_name(node.value.func).lower().startswith(("assert", "fail"))
            return judges and any(self._is_time(item, held) for item in node.value.args)
        if isinstance(node, ast.If) and self._is_time(node.test, held):
            return all(self._is_claim(item, held) or _complains(item) for item in [*node.body, *node.orelse])
        return False

    def _times_in(self, function: ast.AST) -> set[str]:
        """Names in a function, and attributes, that hold a time."""
        held: set[str] = set()
        size = -1
        while size != len(held):
            size = len(held)
            for node in ast.walk(function):
                held |= self._filled(node, held)
        return held

    def _filled(self, node: ast.AST, held: set[str]) -> set[str]:
        """What one node makes hold a time."""
        targets: list[ast.expr] = []
        value: ast.expr | None = None
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
            targets, value = [node.target], node.value
        elif isinstance(node, ast.For | ast.comprehension):
            targets, value = [node.target], node.iter
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            targets, value = [node.optional_vars], node.context_expr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _FILLS:
            return set(_held_by(node.func.value)) if any(self._is_time(item, held) for item in node.args) else set()
        if isinstance(value, ast.Tuple) and len(targets) == 1 and isinstance(targets[0], ast.Tuple):
            pairs = zip(targets[0].elts, value.elts, strict=False)  # `start, size = time.time(), len(items)`
            return {name for target, item in pairs if self._is_time(item, held) for name in _held_by(target)}
        if value is None or not self._is_time(value, held):
            return set()
        return {name for target in targets for name in _held_by(target)}

    def _is_time(self, node: ast.expr, held: set[str]) -> bool:
        return any(self._reads_clock(item) or _is_one_of(item, held) for item in ast.walk(node))

    def _reads_clock(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        function = node.func
        if isinstance(function, ast.Attribute):
            owner = function.value
            root = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if function.attr in self._modules.get(root, ()):
                return True
            return root in ("self", "cls") and function.attr in self.names
        return isinstance(function, ast.Name) and function.id in self.names

    def _reads(self, node: ast.AST) -> bool:
        return any(self._reads_clock(item) for item in ast.walk(node))

    def _returns_time(self, node: ast.AST) -> bool:
        held = self._times_in(node)
        given = [item.value for item in ast.walk(node) if isinstance(item, ast.Return | ast.Yield) and item.value]
        return any(self._is_time(value, held) for value in given)


def _outer_functions(tree: ast.Module) -> Iterator[tuple[str, FunctionNode]]:
    """Functions of the module and methods of its classes, by name; what is defined inside of them belongs to them."""
    for node in tree.body:
        if isinstance(node, FunctionNode):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{item.name}", item) for item in node.body if isinstance(item, FunctionNode))


def _is_one_of(node: ast.AST, held: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in held
    return isinstance(node, ast.Attribute) and f".{node.attr}" in held


def _held_by(target: ast.expr) -> Iterator[str]:
    """Names that an assignment fills: `a`, `.b` for `self.b`, the container for `times[0]`."""
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Attribute):
        yield f".{target.attr}"
    elif isinstance(target, ast.Subscript | ast.Starred):
        yield from _held_by(target.value)
    elif isinstance(target, ast.Tuple | ast.List):
        for item in target.elts:
            yield from _held_by(item)


def _complains(node: ast.stmt) -> bool:
    """Whether a statement only says that something is wrong."""
    if isinstance(node, ast.Raise | ast.Pass):
        return True
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _last_name(node.value.func) in _ENDS


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _replaced(text: str, statements: list[ast.stmt]) -> str:
    """The text with `pass` for each statement; what it took of further lines is left empty."""
    lines = [line.encode() for line in lines_of(text, keepends=True)]
    for node in sorted(statements, key=lambda item: -item.lineno):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        head, tail = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        lines[first : last + 1] = [head + b"pass" + tail, *[b"\n"] * (last - first)]
    return b"".join(lines).decode()
