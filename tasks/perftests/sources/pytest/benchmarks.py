"""Makes a project's benchmark scripts callable: the statements that a script runs become `main()`.

Half of such scripts define `main` or `bench_...`; the others loop at the top level or below `if __name__ ==
"__main__":`. Of the others, all statements from the first one that does more than define move into a function.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tasks.code.python import lines_of, parse
from tasks.perftests.targets import FunctionNode

MAIN = "main"
_LOUD = ast.For | ast.While | ast.With | ast.Try | ast.If


def callable_text(text: str) -> str:
    """A benchmark whose work can be called: as it is, if it has a `main` or nothing to run, or is not Python."""
    try:
        tree = parse(text)
    except (SyntaxError, ValueError):
        return text
    defined = {node.name for node in tree.body if isinstance(node, FunctionNode)}
    first = next((index for index, node in enumerate(tree.body) if _runs(node)), None)
    if first is None or (MAIN in defined and _is_guard(tree.body[first])):
        return text
    if MAIN in defined:
        return text  # called in a way of its own
    body: list[ast.stmt] = []
    for node in tree.body[first:]:
        body += node.body if isinstance(node, ast.If) and _is_guard(node) else [node]
    names = sorted({name for node in body for name in _assigned(node)})
    function = parse(f"def {MAIN}():\n    {'global ' + ', '.join(names) if names else 'pass'}\n").body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body += body
    head = lines_of(text, keepends=True)[: tree.body[first].lineno - 1]
    new = f"{''.join(head).rstrip()}\n\n\n{ast.unparse(ast.fix_missing_locations(function))}\n"
    try:
        parse(new)
    except SyntaxError:
        return text  # a statement that only a module may have
    return new


def functions_to_call(text: str) -> list[str]:
    """Functions of a benchmark that take no arguments and are named for it: `main`, `bench_...`."""
    try:
        tree = parse(callable_text(text))
    except (SyntaxError, ValueError):
        return []
    if any(_runs(node) and not _is_guard(node) for node in tree.body):
        return []  # importing it takes as long as running it
    return [node.name for node in tree.body if isinstance(node, FunctionNode) and _is_benchmark(node)]


def _runs(node: ast.stmt) -> bool:
    """Whether a statement of a module does more than define and import."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Try | ast.If) and not _is_guard(node):
        return any(isinstance(inner, _LOUD | ast.Expr) for inner in node.body)
    return isinstance(node, _LOUD)


def _is_guard(node: ast.stmt) -> bool:
    """`if __name__ == "__main__":`"""
    return isinstance(node, ast.If) and "__name__" in {
        item.id for item in ast.walk(node.test) if isinstance(item, ast.Name)
    }


def _assigned(node: ast.stmt) -> Iterator[str]:
    """Names that a statement binds where it stands, without those of functions inside of it."""
    if isinstance(node, FunctionNode | ast.ClassDef):
        yield node.name
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (item.asname or item.name.partition(".")[0] for item in node.names if item.name != "*")
        return
    pending: list[ast.AST] = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, FunctionNode | ast.ClassDef):
            yield item.name
        elif isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
            yield item.id
        elif not isinstance(item, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            pending += ast.iter_child_nodes(item)


def _is_benchmark(node: FunctionNode) -> bool:
    arguments = node.args
    needed = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    named = node.name == MAIN or node.name.startswith(("bench", "test"))
    return named and (needed == 0 or node.name.startswith("test")) and None not in arguments.kw_defaults
