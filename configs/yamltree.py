"""YAML text to plain data that remembers on which line each value stands.

PyYAML scans and composes; scalars follow YAML 1.2's core schema, so `no`, `on`, `12:30`, `010` and dates are what they
look like and not what YAML 1.1 made of them. Keys are always text: a commit `1234567` or `12e4567` is no number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Place = tuple[str | int, ...]
"""Where a value stands in the data: `("mining", "keywords", 0)`."""

_TAG = "tag:yaml.org,2002:"
_PLAIN = "plain"
_MAX_NODES = 100_000
_MAX_DIGITS = 1000
_SCALARS = {
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
}


class YamlError(ValueError):
    """The text is not YAML that we read. `line` counts from 1; None where there is none to name."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass
class Tree:
    """The data and the line of every value: of its key in a mapping, of the item in a list."""

    data: Any
    lines: dict[Place, int] = field(default_factory=dict)
    plain: dict[Place, str] = field(default_factory=dict)
    """What stands there, of every number and truth value without quotes: `3.10` and `0012345` may be meant as text."""


class _Composer(yaml.SafeLoader):
    """Scans and composes; which type a plain scalar has is decided by us."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else f"{_TAG}str"
        return f"{_TAG}map" if kind is yaml.MappingNode else f"{_TAG}seq"


def parse(text: str) -> Tree:
    """Read one document. Raises YamlError for broken syntax, duplicate keys, unknown tags and several documents."""
    if not text.strip():
        return Tree(None)
    _check_characters(text)
    loader = _Composer(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error) from error
    except RecursionError as error:
        raise YamlError("nested too deeply") from error
    finally:
        loader.dispose()
    tree = Tree(None)
    if node is not None:
        tree.data = _Builder(tree).build(node, (), ())
    return tree


def _check_characters(text: str) -> None:
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise YamlError(f"holds a control character (code {ord(found.group())})", line)


def _syntax_error(error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    problem = error.problem or "broken YAML"
    if "'\\t'" in problem:
        return YamlError("a tab where YAML wants spaces: indent with spaces", line)
    if "but found another document" in problem:
        return YamlError("several documents in one file; one is expected", line)
    context = f" ({error.context})" if error.context else ""
    return YamlError(f"broken YAML: {problem}{context}", line)


class _Builder:
    def __init__(self, tree: Tree) -> None:
        self.lines = tree.lines
        self.plain = tree.plain
        self.count = 0

    def build(self, node: yaml.Node, path: Place, parents: tuple[int, ...]) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self.count += 1
        if id(node) in parents:
            raise YamlError("an alias that contains itself", line)
        if self.count > _MAX_NODES:  # aliases of aliases grow exponentially
            raise YamlError(f"more than {_MAX_NODES} values", line)
        if isinstance(node, yaml.ScalarNode):
            value = _scalar(node)
            if isinstance(value, int | float) and node.tag == _PLAIN:
                self.plain[path] = node.value
            return value
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            raise YamlError(f"unknown tag {node.tag}", line)
        parents = (*parents, id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index), parents) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            at = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise YamlError("a key must be a name", at)
            name = _readable(key)
            if name in mapping:
                raise YamlError(f"'{name}' stands here twice: first on line {self.lines[*path, name]}", at)
            self.lines[*path, name] = at
            mapping[name] = self.build(value, (*path, name), parents)
        return mapping


def _readable(node: yaml.ScalarNode) -> str:
    """Its text. Escapes can name what no file name and no table holds."""
    text = str(node.value)
    if found := re.search("[\0\ud800-\udfff]", text):
        raise YamlError(f"holds a control character (code {ord(found[0])})", node.start_mark.line + 1)
    return text


def _scalar(node: yaml.ScalarNode) -> Any:
    text = _readable(node)
    tag = node.tag.removeprefix(_TAG)
    if tag == _PLAIN:
        tag = next((name for name, pattern in _SCALARS.items() if pattern.fullmatch(text)), "str")
    elif tag not in ("str", *_SCALARS):
        raise YamlError(f"unknown tag {node.tag}", node.start_mark.line + 1)
    elif tag in _SCALARS and not _SCALARS[tag].fullmatch(text):
        raise YamlError(f"{text!r} is not of the tag's type {tag}", node.start_mark.line + 1)
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag == "int":
        if len(text) > _MAX_DIGITS:
            raise YamlError(f"a number of {len(text)} digits", node.start_mark.line + 1)
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)
    if tag == "float":
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
