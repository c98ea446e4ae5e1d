"""What one C, C++, CUDA or Rust file defines, mentions, and binds to Python names: read from the source alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.grammars import NativeDefinition, definitions

_WORD = re.compile(r"[A-Za-z_]\w*")
_NOISE = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING = r'"((?:\\.|[^"\\])*)"'
_VARIABLE = re.compile(r"(\w+)\s*(?:\[[^\]]*\]\s*)*=\s*(?=[{&(\w])")
_TABLE_KIND = re.compile(r"\b(PyMethodDef|PyGetSetDef|PyTypeObject|PyModuleDef|PyType_Spec|PyType_Slot)\b")
_ENTRY = re.compile(rf'\{{\s*{_STRING}\s*,((?:"(?:\\.|[^"\\])*"|[^{{}}"])*)\}}')
_OWN_NAME = re.compile(rf"\.(?:tp_name|m_name|name)\s*=\s*{_STRING}")
_FIRST_STRING = re.compile(_STRING)
_OLD_MODULE = re.compile(rf"\bPy_InitModule\w*\s*\(\s*{_STRING}\s*,\s*(\w+)")
_PYBIND_MODULE = re.compile(r"\bPYBIND11_MODULE\s*\(\s*(\w+)\s*,")
_PYBIND_CLASS = re.compile(rf"\bclass_\s*<[^;]*?>\s*(?:\w+\s*)?\(\s*\w+\s*,\s*{_STRING}")
_DEF = re.compile(rf"(\w*)\s*\.\s*(?:def|impl)(?:_static|_property\w*|_readonly\w*)?\s*\(\s*{_STRING}")
_TORCH = re.compile(r"\bTORCH_LIBRARY(?:_IMPL|_FRAGMENT)?\s*\(\s*(\w+)\s*,")
_PYO3_NAME = re.compile(r'name\s*=\s*"(\w+)"')


@dataclass(frozen=True)
class Binding:
    """A Python name that the file gives to something compiled."""

    name: str
    """`function`, `Class.method`, or the class itself."""
    node: str
    """The node below it: what the binding mentions."""
    table: str = ""
    """The table that holds it; whoever mentions the table owns the name. Empty: `module` owns it."""
    module: str = ""
    """Module as the source says it, dotted or not; empty if it does not."""
    is_type: bool = False


@dataclass
class NativeSummary:
    """One file."""

    mentions: dict[str, set[str]] = field(default_factory=dict)
    """Function, macro, table or binding -> last names that its code mentions."""
    static: set[str] = field(default_factory=set)
    """Names that other files cannot mean."""
    bindings: list[Binding] = field(default_factory=list)
    modules: dict[str, str] = field(default_factory=dict)
    """Module table, or table of methods for old code -> the module's name."""


def summarise_native(path: str, source: bytes) -> NativeSummary:
    """Summary of a file; what the parser cannot make out is missing from it."""
    summary = NativeSummary()
    for item in definitions(path, source):
        text = _NOISE.sub(" ", (item.node.text or b"").decode("utf-8", "replace"))
        if item.name:
            _read_function(summary, item, text)
        elif "=" in text:
            _read_table(summary, text)
    return summary


def _read_function(summary: NativeSummary, item: NativeDefinition, text: str) -> None:
    short = item.name.rpartition(".")[2]
    _mention(summary, item.name, set(_WORD.findall(text)) - {short})
    if re.match(r"(?:\w+\s+)*static\b", text) or item.node.type == "preproc_function_def":
        summary.static.add(item.name)
    for match in _OLD_MODULE.finditer(text):
        summary.modules[match[2]] = match[1]
    if ".def" in text or ".impl" in text:
        summary.bindings += _read_definitions(summary, item.name, text)
    attributes = " ".join((node.text or b"").decode("utf-8", "replace") for node in item.attributes)
    if "pyfunction" in attributes or (item.node.type == "function_item" and item.scope and "pyo3" in attributes):
        named = _PYO3_NAME.search(attributes)
        summary.bindings.append(Binding(named[1] if named else short, item.name))
    elif "pymodule" in attributes:
        summary.modules[item.name] = short


def _read_definitions(summary: NativeSummary, function: str, text: str) -> Iterator[Binding]:
    """pybind11's `m.def("f", &f)` and torch's `m.impl("f", f)`."""
    torch, pybind = _TORCH.search(text), _PYBIND_MODULE.search(text)
    module = f"torch.ops.{torch[1]}" if torch else pybind[1] if pybind else ""
    classes = [(match.start(), match[1]) for match in _PYBIND_CLASS.finditer(text)]
    found = list(_DEF.finditer(text))
    for index, match in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(text)
        owner = next((name for start, name in reversed(classes) if start < match.start()), "")
        on_module = match[1] in ("m", "mod", "module") or torch is not None
        name = re.split(r"[(.]", match[2].rpartition("::")[2])[0]
        if not re.fullmatch(r"\w+", name):
            continue
        node = f'{function}["{match[2]}"]'
        _mention(summary, node, set(_WORD.findall(text[match.end() : end])))
        yield Binding(name if on_module or not owner else f"{owner}.{name}", node, module=module)


def _read_table(summary: NativeSummary, text: str) -> None:
    variable = _VARIABLE.search(text)
    if variable is None:
        return
    name, body = variable[1], text[variable.end() :]
    kind = _TABLE_KIND.search(text[: variable.start()])
    what = kind[1] if kind else ""
    if what in ("PyMethodDef", "PyGetSetDef"):
        for entry in _ENTRY.finditer(body):
            node = f'{name}["{entry[1]}"]'
            _mention(summary, node, set(_WORD.findall(_FIRST_STRING.sub(" ", entry[2]))))
            summary.bindings.append(Binding(entry[1], node, table=name))
        return
    _mention(summary, name, set(_WORD.findall(body)))
    if what in ("PyTypeObject", "PyModuleDef", "PyType_Spec"):
        own = _OWN_NAME.search(body) or _FIRST_STRING.search(body)
        if own and what == "PyModuleDef":
            summary.modules[name] = own[1]
        elif own:
            summary.bindings.append(Binding(own[1], name, is_type=True))


def _mention(summary: NativeSummary, name: str, words: set[str]) -> None:
    summary.mentions.setdefault(name, set()).update(words)
