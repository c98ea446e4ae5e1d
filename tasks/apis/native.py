"""What one C, C++, CUDA or Rust file defines, mentions, and binds to Python names: read from the source alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.apis.templates import Repeat, names_made, repeats
from tasks.code.native import TEMPLATES, NativeDefinition, definitions

_WORD = re.compile(r"[A-Za-z_]\w*")
_STATIC = re.compile(r"(?:\w+\s+)*static\b")
_NOISE = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING = r'"((?:\\.|[^"\\])*)"'
_VARIABLE = re.compile(r"(\w+)\s*(?:\[[^\]]*\]\s*)*=\s*(?=[{&(\w])")
_DECLARED = re.compile(r"(?<=[\s*&])(\w+)\s*(?:\[[^\]]*\]\s*)*(?=[=;])")
_NO_VARIABLE = re.compile(
    r"(?:extern|typedef|using|namespace|friend|return|goto|#)|(?:struct|class|union|enum)\s+\w+\s*;"
)
_NO_VALUES = {
    "for_statement", "if_statement", "while_statement", "return_statement", "compound_statement", "type_definition",
}  # fmt: skip
"""What holds no table: types, and what the parser finds outside of functions only where it has lost its way."""
_MACRO = re.compile(r"#[ \t]*define[ \t]+(\w+)")
_TABLE_KIND = re.compile(r"\b(PyMethodDef|PyGetSetDef|PyTypeObject|PyModuleDef|PyType_Spec|PyType_Slot)\b")
_ENTRY = re.compile(rf'\{{\s*{_STRING}\s*,((?:"(?:\\.|[^"\\])*"|[^{{}}"])*)\}}')
_OWN_NAME = re.compile(rf"\.(?:tp_name|m_name|name)\s*=\s*{_STRING}")
_FIRST_STRING = re.compile(_STRING)
_OLD_MODULE = re.compile(rf"\bPy_InitModule\w*\s*\(\s*{_STRING}\s*,\s*(\w+)")
_PYBIND_MODULE = re.compile(r"\bPYBIND11_MODULE\s*\(\s*(\w+)\s*,")
_PYBIND_CLASS = re.compile(rf"\bclass_\s*<[^;]*?>\s*(?:\w+\s*)?\(\s*\w+\s*,\s*{_STRING}")
_DEF = re.compile(rf"(\w*)\s*\.\s*(?:def|impl)(?:_static|_property\w*|_readonly\w*)?\s*\(\s*{_STRING}")
_TORCH = re.compile(r"\bTORCH_LIBRARY(?:_IMPL|_FRAGMENT)?\s*\(\s*(\w+)\s*,")
_INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*["<](?:[^">\n]*/)?([^">/\n]+)[">]', re.MULTILINE)
_INNER_TYPE = re.compile(r'\.tp_name\s*=\s*"|\bPy(?:Var)?Object_HEAD_INIT\s*\([^()]*\)\s*,?\s*"')
_SET_CALL = re.compile(r"(\w+)\s*->\s*(\w*vectorcall)\s*=\s*(?:\([^()]*\)\s*)?&?\s*([A-Za-z_]\w*)")
_CALL_OFFSET = re.compile(r"\boffsetof\s*\(\s*(?:struct\s+)?(\w+)\s*,\s*(\w*vectorcall)\s*\)")
_LOOP = re.compile(r"(?:[A-Z][A-Z0-9]*_)+([a-z]\w*)")
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
    """Names that other files cannot mean unless they include this one."""
    includes: set[str] = field(default_factory=set)
    """Last parts of the paths that it includes."""
    loops: dict[str, list[tuple[int, int, set[str]]]] = field(default_factory=dict)
    """Function -> for each of that name: first line, last line, and the `power` of `DOUBLE_power` and its like."""
    bindings: list[Binding] = field(default_factory=list)
    modules: dict[str, str] = field(default_factory=dict)
    """Module table, or table of methods for old code -> the module's name."""


def summarise_native(path: str, source: bytes) -> NativeSummary:
    """Summary of a file; what the parser cannot make out is missing from it."""
    summary = NativeSummary(includes={name.decode("utf-8", "replace") for name in _INCLUDE.findall(source)})
    blocks = repeats(source.decode("utf-8", "replace")) if path.endswith(TEMPLATES) else []
    for item in definitions(path, source):
        text = _NOISE.sub(" ", (item.node.text or b"").decode("utf-8", "replace"))
        if item.name:
            _read_function(summary, item, text)
            _read_loops(summary, item, blocks)
        elif item.node.type in _NO_VALUES:
            continue
        elif "=" in text:
            _read_table(summary, text)
        elif (name := _variable_of(text)) and not _STATIC.match(text):
            _mention(summary, name, set())
    return summary


def variables(path: str, source: bytes) -> list[tuple[str, int, int]]:
    """Variables, tables and constant macros of a file: name, first line, last line."""
    found = []
    for item in definitions(path, source):
        if not item.name and item.node.type not in _NO_VALUES:
            text = (item.node.text or b"").decode("utf-8", "replace")
            macro = _MACRO.match(text)
            name = macro[1] if macro else _variable_of(_NOISE.sub(" ", text))
            if name:
                found.append((name, item.first, item.last))
    return found


def _variable_of(text: str) -> str | None:
    """The name that a statement declares as a variable; None if it declares a function, a type or what is elsewhere."""
    match = _DECLARED.search(text)
    before = text[: match.start()] if match else "("
    return None if match is None or "(" in before or "{" in before or _NO_VARIABLE.match(text) else match[1]


def _read_function(summary: NativeSummary, item: NativeDefinition, text: str) -> None:
    short = item.name.rpartition(".")[2]
    words = set(_WORD.findall(text)) - {short}
    if "vectorcall" in text:
        words -= _read_calls(summary, text)
    _mention(summary, item.name, words)
    if item.is_inner or _STATIC.match(text) or item.node.type == "preproc_function_def":
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


def _read_calls(summary: NativeSummary, text: str) -> set[str]:
    """`self->vectorcall = &f`: calling an instance calls f. Returns functions that the code only puts there."""
    only_set = set()
    for match in _SET_CALL.finditer(text):
        made = re.search(rf"(\w+)\s*\*\s*(?:const\s+)?{match[1]}\b", text)
        if made is not None:
            _mention(summary, f"{made[1]}->{match[2]}", {match[3]})
            if len(re.findall(rf"\b{match[3]}\b", text)) == 1:
                only_set.add(match[3])
    return only_set


def _read_loops(summary: NativeSummary, item: NativeDefinition, blocks: list[Repeat]) -> None:
    names = names_made(item.name, item.first, blocks) if blocks else {item.name}
    found = {match[1] for name in names if (match := _LOOP.fullmatch(name))}
    if found:
        summary.loops.setdefault(item.name, []).append((item.first, item.last, found))


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
    if _STATIC.match(text):
        summary.static.add(name)
    kind = _TABLE_KIND.search(text[: variable.start()])
    what = kind[1] if kind else ""
    if what in ("PyMethodDef", "PyGetSetDef"):
        _mention(summary, name, set())
        for entry in _ENTRY.finditer(body):
            node = f'{name}["{entry[1]}"]'
            _mention(summary, node, set(_WORD.findall(_FIRST_STRING.sub(" ", entry[2]))))
            summary.bindings.append(Binding(entry[1], node, table=name))
        return
    words = set(_WORD.findall(body))
    if "vectorcall" in body:
        words |= {f"{struct}->{slot}" for struct, slot in _CALL_OFFSET.findall(body)}
    _mention(summary, name, words)
    if not what and _INNER_TYPE.search(body):
        what = "PyTypeObject"  # inside of another struct
    if what in ("PyTypeObject", "PyModuleDef", "PyType_Spec"):
        own = _OWN_NAME.search(body) or _FIRST_STRING.search(body)
        if own and what == "PyModuleDef":
            summary.modules[name] = own[1]
        elif own:
            summary.bindings.append(Binding(own[1], name, is_type=True))


def _mention(summary: NativeSummary, name: str, words: set[str]) -> None:
    summary.mentions.setdefault(name, set()).update(words)
