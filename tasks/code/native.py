"""Reading compiled languages with tree-sitter: where the functions of a C, C++, CUDA or Rust file are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tree_sitter import Language, Node

Grammar = Literal["c", "cpp", "cuda", "rust", "cython", "python"]
GRAMMARS: dict[str, Grammar] = {
    ".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp", ".hh": "cpp", ".inl": "cpp",
    ".cu": "cuda", ".cuh": "cuda", ".rs": "rust", ".pyx": "cython", ".pxd": "cython", ".pxi": "cython", ".py": "python",
}  # fmt: skip
TEMPLATES = (".src", ".in")
"""Ends of the names of files from which others are generated."""
_CPP_HEADER = re.compile(rb"^\s*(?:namespace|template|class|using|public:|private:)\b|\w::\w", re.MULTILINE)
_PLACEHOLDER = re.compile(rb"@(\w+)@")
_LINKAGE = re.compile(
    rb"^((?:static|extern|inline)[ \t]+)*(?!PyMODINIT_FUNC)([A-Z][A-Z0-9_]{3,})(?=[ \t]+[A-Za-z_][\w \t]*[*\s])",
    re.MULTILINE,
)
"""A macro before the type, `NPY_NO_EXPORT int`: the grammar knows no macros and would take it for the type."""
_CONTAINERS = {
    "translation_unit", "source_file", "preproc_if", "preproc_ifdef", "preproc_else", "preproc_elif",
    "linkage_specification", "declaration_list", "template_declaration", "field_declaration_list", "ERROR",
}  # fmt: skip
_SCOPES = {
    "namespace_definition", "class_specifier", "struct_specifier", "union_specifier", "impl_item", "mod_item",
    "trait_item",
}  # fmt: skip
_COMMENTS = {"comment", "line_comment", "block_comment"}
_IGNORED = {"preproc_include", "use_declaration", *_COMMENTS}
_NAMES = {
    "identifier", "field_identifier", "qualified_identifier", "operator_name", "destructor_name", "type_identifier",
    "operator_cast",
}  # fmt: skip


@dataclass(frozen=True)
class NativeDefinition:
    """A top-level piece of a file. Lines count from 1, both ends included."""

    name: str
    """Qualified with dots (`at.native.add`, `Type.method`); empty unless it is a function."""
    scope: str
    """The namespace, class or `impl` around it; empty at the top."""
    first: int
    last: int
    node: Node
    attributes: tuple[Node, ...] = ()
    """What stands before a Rust item, `#[inline]`."""
    is_inner: bool = False
    """In the body of a class or in a namespace without a name: only whoever includes the file can mean it."""

    def words(self) -> Iterator[str]:
        """Its tokens without comments and layout."""
        for node in (*self.attributes, self.node):
            yield from tokens(node)


def grammar_of(path: str) -> Grammar | None:
    """Which reader a file needs, by its name; templates (`loops.c.src`, `generator.pyx.in`) count as what they make."""
    stem = path.removesuffix(".in").removesuffix(".src")
    dot = stem.rfind(".")
    return GRAMMARS.get(stem[dot:]) if dot >= 0 else None


def definitions(path: str, source: bytes) -> list[NativeDefinition]:
    """Everything at the top of the file and of its namespaces and classes, in order. Broken code is read as far as it
    goes: the parser recovers, and says nothing of what it skipped.
    """
    return list(_read(parse_native(path, source)))


def parse_native(path: str, source: bytes) -> Node:
    """The root of the syntax tree. Raises ValueError for other languages."""
    from tree_sitter import Parser

    grammar = grammar_of(path)
    if grammar is None or grammar in ("cython", "python"):
        raise ValueError(f"no tree-sitter grammar for {path}")
    if path.endswith(".h") and _CPP_HEADER.search(source):
        grammar = "cpp"
    # the masks keep every byte's place
    if path.endswith(TEMPLATES):
        source = _PLACEHOLDER.sub(rb"_\1_", source)
    if grammar != "rust":
        source = _LINKAGE.sub(lambda match: (match[1] or b"") + b" " * len(match[2]), source)
    # a parser holds state, so threads must not share one
    return Parser(_language(grammar)).parse(source).root_node


@lru_cache
def _language(grammar: str) -> Language:
    from tree_sitter import Language

    return Language(import_module(f"tree_sitter_{grammar}").language())


def tokens(node: Node) -> Iterator[str]:
    """Texts of the leaves, without comments. Strings count as one."""
    pending = [node]
    while pending:
        item = pending.pop()
        if item.type in _COMMENTS:
            continue
        if item.child_count and item.type not in ("string_literal", "raw_string_literal"):
            pending += reversed(item.children)
        elif item.text:
            yield item.text.decode("utf-8", "replace")


def _read(root: Node) -> Iterator[NativeDefinition]:
    pending: list[tuple[Node, str, bool]] = [(root, "", False)]
    attributes: list[Node] = []
    while pending:
        node, scope, is_inner = pending.pop()
        if node.type in _CONTAINERS and node.child_count:
            pending += [(child, scope, is_inner) for child in reversed(node.named_children)]
            continue
        if node.type == "attribute_item":
            attributes.append(node)
            continue
        if node.type in _COMMENTS:
            continue
        before, attributes = tuple(attributes), []
        start = (before[0] if before else node).start_point[0] + 1
        last = node.end_point[0] + (1 if node.end_point[1] else 0)
        inner = _scope_of(node)
        if inner is not None:
            label, body = inner
            name = ".".join(filter(None, (scope, label)))
            pending.append((body, name, is_inner or not label or body.type == "field_declaration_list"))
        elif node.type in ("function_definition", "function_item", "preproc_function_def", "inline_method_definition"):
            short = _function_name(node)
            swallowed = _swallowed(node) if node.has_error else []
            if swallowed:
                last = max(start, swallowed[0].start_point[0])
                pending += [(item, scope, is_inner) for item in reversed(swallowed)]
            name = ".".join(filter(None, (scope, short))) if short else ""
            yield NativeDefinition(name, scope, start, last, node, before, is_inner)
        elif node.has_error and (swallowed := _swallowed(node)):
            pending += [(item, scope, is_inner) for item in reversed(swallowed)]
        elif node.type not in _IGNORED:
            yield NativeDefinition("", scope, start, last, node, before, is_inner)


def _swallowed(node: Node) -> list[Node]:
    """Functions and tables inside of something broken: braces that do not match across `#if` make the parser nest what
    follows. A table is what ends with `};` at the left edge.
    """
    if node.type == "function_item":
        return []  # Rust has functions in functions
    found, pending = [], list(reversed(node.named_children))
    while pending:
        item = pending.pop()
        if item.type == "function_definition" or _is_table(item):
            found.append(item)
        elif item.has_error or item.type in _CONTAINERS:
            pending += reversed(item.named_children)
    return found


def _is_table(node: Node) -> bool:
    (first, _), (last, column) = node.start_point, node.end_point
    return node.type == "declaration" and first < last and column <= 2 and not node.has_error


def _scope_of(node: Node) -> tuple[str, Node] | None:
    if node.type in ("declaration", "field_declaration"):
        held = node.child_by_field_name("type")  # `class A { ... };` is a declaration of nothing
        node = held if held is not None and node.child_by_field_name("declarator") is None else node
    if node.type not in _SCOPES:
        return None
    body = node.child_by_field_name("body")
    name = node.child_by_field_name("type" if node.type == "impl_item" else "name")
    if body is None:
        return None
    return _plain(name.text.decode("utf-8", "replace")) if name is not None and name.text else "", body


def _function_name(node: Node) -> str:
    name = node.child_by_field_name("name")
    while name is None:
        inner = node.child_by_field_name("declarator")
        if inner is None:  # a parenthesised or reference declarator has no field
            inner = next((item for item in node.named_children if item.type.endswith("declarator")), None)
        if inner is None:
            inner = next((item for item in node.named_children if item.type in _NAMES), None)
        if inner is None:
            return ""
        if inner.type in _NAMES or inner.type in ("template_function", "scoped_identifier"):
            name = inner
        if inner.type == node.type == "function_declarator":
            # `void NAME(sum)(int n)`: no function returns a function, so a macro makes the name
            name = _argument(inner) or name
        node = inner
    return _plain(name.text.decode("utf-8", "replace")) if name.text else ""


def _argument(declarator: Node) -> Node | None:
    """The only word in the brackets, as the name of a function in a macro that completes it."""
    brackets = declarator.child_by_field_name("parameters")
    words = brackets.named_children if brackets is not None else []
    word = words[0].child_by_field_name("type") if len(words) == 1 else None
    return word if word is not None and words[0].named_child_count == 1 and word.type == "type_identifier" else None


def _plain(name: str) -> str:
    without = re.sub(r"<[^<>]*>", "", name) if "operator" not in name else name
    return re.sub(r"\s+", "", without).replace("::", ".").strip(".")
