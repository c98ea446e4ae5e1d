"""What a Cython file defines and mentions, in the form that Python files have."""

from __future__ import annotations

import re

from tasks.apis.mentions import Chain
from tasks.apis.summary import Definition, Summary
from tasks.code.cython import CythonDefinition, definitions

NATIVE = "native"
"""Kind of a `cdef` function: code of the project that Python cannot import."""
_STRING = re.compile(r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
_CHAIN = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_FROM = re.compile(r"from\s+(\S+)\s+c?import\s+(.+)", re.DOTALL)
_IMPORT = re.compile(r"c?import\s+(.+)", re.DOTALL)
_BASES = re.compile(r"class\s+\w+\s*\(([^)]*)\)")
_CLASS_NAME = re.compile(r"class\s+(\w+)")
_HEAD = re.compile(r"(\w+\s*\([^:]*\))\s*(?:->[^:]*|except[^:]*|noexcept[^:]*|nogil[^:]*)*:", re.DOTALL)


def summarise_cython(source: bytes) -> Summary:
    """Summary of a file. Mentions are names and attributes as they stand; types of locals are not followed."""
    summary = Summary()
    classes: dict[str, Definition] = {}
    for item in definitions(source):
        code = _STRING.sub('""', item.code)
        if item.kind == "class":
            _add_class(item, code, summary, classes)
        elif item.name:
            scope = classes.get(item.scope)
            made = _function(item, code, in_class=scope is not None)
            (scope.members if scope else summary.definitions).setdefault(made.name, made)
        else:
            _read_imports(code.strip(), summary.imports, summary.stars)
    return summary


def mentioned_words(source: bytes) -> dict[str, set[str]]:
    """Function -> every name in its code: for calls of compiled code."""
    return {
        item.name: set(re.findall(r"[A-Za-z_]\w*", _STRING.sub('""', item.code)))
        for item in definitions(source)
        if item.name
    }


def _add_class(item: CythonDefinition, code: str, summary: Summary, classes: dict[str, Definition]) -> None:
    name = _CLASS_NAME.search(code)
    bases = _BASES.search(code)
    made = Definition(name[1] if name else item.scope, "class", item.first)
    made.bases = [tuple(base.strip().split(".")) for base in bases[1].split(",") if base.strip()] if bases else []
    classes[item.scope] = made
    outer = classes.get(item.scope.rpartition(".")[0])
    (outer.members if outer else summary.definitions)[made.name] = made


def _function(item: CythonDefinition, code: str, *, in_class: bool) -> Definition:
    name = item.name.rpartition(".")[2]
    body = code[code.find("(") :]
    first = re.match(r"\(\s*(\w+)\s*[,)]", body)
    mentions: set[Chain] = {tuple(match[0].split(".")) for match in _CHAIN.finditer(body)}
    head = _HEAD.search(code)
    imports: dict[str, str] = {}
    for line in code.split("\n"):
        _read_imports(line.strip(), imports, [])
    return Definition(
        name,
        NATIVE if item.kind == "cdef" else "function",
        item.first,
        signature=" ".join(head[1].split()) if head else f"{name}(...)",
        mentions=frozenset(mentions - {(name,)}),
        imports=imports,
        receiver=first[1] if in_class and first else None,
    )


def _read_imports(statement: str, imports: dict[str, str], stars: list[str]) -> None:
    if match := _FROM.match(statement):
        joint = "" if match[1].endswith(".") else "."
        for part in match[2].strip("() \n").split(","):
            words = part.split()
            if words == ["*"]:
                stars.append(match[1])
            elif words:
                imports[words[-1]] = f"{match[1]}{joint}{words[0]}"
    elif match := _IMPORT.match(statement):
        for part in match[1].split(","):
            words = part.split()
            if len(words) == 3:
                imports[words[2]] = words[0]
            elif words:
                imports[words[0].split(".")[0]] = words[0].split(".")[0]
