"""What compiled code means by a name: types inside of other structs, calls of instances, statics, generated names."""

from __future__ import annotations

import pytest

from tasks.apis.native import summarise_native, variables

PACKAGE = {"fast/__init__.py": ""}
INNER_TYPE = """
static int load(int x) { return x; }
static PyMemberDef members[] = {
    {"flags",
#if A
        T_LONG, offsetof(Kind, flags), READONLY, NULL},
#else
    #error no long
#endif
    {NULL, 0, 0, 0, NULL},
};

static PyObject *kind_new(PyObject *x) { return load(1); }
Macro Meta Kind_TypeFull = {
    {{
        /* set later */
        PyVarObject_HEAD_INIT(NULL, 0)
        .tp_name = "fast.kind",
        .tp_new = kind_new,
    },},
    .size = 3,
};
"""
TYPE_WITH_METHODS = """
static PyObject *kind_dlpack(PyObject *self, PyObject *x) { return x; }
static PyMethodDef kind_methods[] = {{"__dlpack__", kind_dlpack, METH_O, NULL}, {NULL}};
PyTypeObject Kind_Type = { PyVarObject_HEAD_INIT(NULL, 0) .tp_name = "SAID", .tp_methods = kind_methods };
"""
CALLED = """
static PyObject *loop(PyObject *self) { return self; }
static PyObject *loop_at(PyObject *self, PyObject *x) { return x; }
static PyMethodDef loop_methods[] = {{"at", loop_at, METH_O, NULL}, {NULL}};
PyObject *make_loop(PyObject *x)
{
    LoopObject *made = PyObject_New(LoopObject, &Loop_Type);
    made->vectorcall = (vectorcallfunc)&loop;
    return (PyObject *)made;
}
PyTypeObject Loop_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "fast.loop",
    .tp_call = &PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(LoopObject, vectorcall),
    .tp_methods = loop_methods,
};
static PyMethodDef methods[] = {{"make", make_loop, METH_O, NULL}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "loops", NULL, -1, methods};
"""


def extension(name: str, body: str, called: str) -> str:
    """A module with one function, `run`, that calls another."""
    return f"""{body}
static PyObject *run(PyObject *self, PyObject *x) {{ return {called}(x); }}
static PyMethodDef methods[] = {{{{"run", run, METH_O, NULL}}, {{NULL}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", NULL, -1, methods}};
"""


def test_a_type_inside_of_another_struct_after_broken_braces(world) -> None:
    apis, _ = world.find({**PACKAGE, "fast/kind.c": INNER_TYPE}, "fast/kind.c::load")
    assert apis == ["fast.kind"]


@pytest.mark.parametrize(("said", "api"), [("fast.kind", "fast.kind"), ("fast.ext.kind", "fast.ext.kind")])
def test_a_special_method_goes_by_its_class(world, said: str, api: str) -> None:
    text = TYPE_WITH_METHODS.replace("SAID", said)
    assert world.find({**PACKAGE, "fast/kind.c": text}, "fast/kind.c::kind_dlpack")[0] == [api]


def test_an_instance_with_a_type_in_front_is_no_type() -> None:
    text = b'static Thing one = {PyObject_HEAD_INIT(&Thing_Type) .text = "a.b"};\n'
    assert summarise_native("a.c", text).bindings == []


def test_calling_an_instance_is_the_type_and_who_makes_one_only_may_call_it(world) -> None:
    apis, _ = world.find({**PACKAGE, "fast/loops.c": CALLED}, "fast/loops.c::loop")
    assert apis == ["fast.loop", "fast.loops.make"]
    row = world.row("fast.loop")
    assert row.evidence == [
        "fast.loop", "fast/loops.c::Loop_Type", "fast/loops.c::LoopObject->vectorcall", "fast/loops.c::loop",
    ]  # fmt: skip
    assert (row.guesses, world.row("fast.loops.make").guesses) == (0, 1)


def test_methods_of_one_class_in_a_source_file_are_not_those_of_another(world) -> None:
    cpp = "struct Sum {\n  static int reduce(int x) { return x; }\n};\n" + extension("sums", "", "Sum::reduce")
    pyx = "def choice(pop):\n    return pop.reduce(1)\n"
    files = {**PACKAGE, "fast/sums.cpp": cpp, "fast/random.pyx": pyx}
    assert world.find(files, "fast/sums.cpp::Sum.reduce")[0] == ["fast.sums.run"]


def test_a_static_function_is_seen_by_its_file_and_by_those_that_include_it(world) -> None:
    helper = "static int helper(int x) { return x + 1; }\n"
    files = {
        **PACKAGE,
        "fast/one.c": extension("one", '#include "impl/helper.c"', "helper"),
        "fast/impl/helper.c": helper,
        "fast/two.c": extension("two", "", "helper"),
    }
    apis, _ = world.find(files, "fast/impl/helper.c::helper")
    assert apis == ["fast.one.run"]
    assert world.row("fast.one.run").guesses == 0


def test_of_two_functions_of_one_name_that_in_the_folder_is_meant(world) -> None:
    helper = "int helper(int x) { return x + 1; }\n"
    files = {
        **PACKAGE, "fast/a/helper.c": helper, "fast/a/one.c": extension("one", "", "helper"),
        "fast/b/helper.c": helper, "fast/b/two.c": extension("two", "", "helper"),
        "fast/c/three.c": extension("three", "", "helper"),
    }  # fmt: skip
    apis, _ = world.find(files, "fast/a/helper.c::helper")
    assert apis == ["one.run", "three.run"]
    assert [world.row(api).guesses for api in apis] == [0, 1]


LOOPS = """
/**begin repeat
 * #TYPE = FLOAT, DOUBLE#
 */
/**begin repeat1
 *  #func = power, arctan2#
 */
NPY_NO_EXPORT void DISPATCH(@TYPE@_@func@)
(char **args, int *steps)
{
    run_@func@(args);
}
/**end repeat1**/
/**begin repeat1
 *  #func = (sin, cos)*2#
 */
NPY_NO_EXPORT void DISPATCH(@TYPE@_@func@)
(char **args, int *steps)
{
    other_@func@(args);
}
/**end repeat1**/
/**end repeat**/
"""
GENERATED = {
    "fast/__init__.py": "from .core import power, sin, name, pick\n",
    "fast/core.py": "from ._ext import *\nfrom ._ext import pick\n__all__ = ['power', 'sin', 'name']\nname = 'x'\n",
    "fast/_ext.c": extension("_ext", "", "nothing"),
    "src/loops.c.src": LOOPS,
    "src/more.c": "void BOOL_pick(int x) { }\nvoid BOOL_unheard_of(int x) { }\nvoid BOOL_name(int x) { }\n",
}


def test_loops_that_generated_code_registers(world) -> None:
    patch = "--- a/src/loops.c.src\n+++ b/src/loops.c.src\n@@ -11,1 +11,1 @@\n-    old(args);\n+    run_@func@(args);\n"
    apis, _ = world.find(GENERATED, "src/loops.c.src::_TYPE___func_", "src/more.c::BOOL_pick", patch=patch)
    assert apis == ["fast.pick", "fast.power"]
    row = world.row("fast.power")
    assert row.evidence == ["fast._ext.power", "src/loops.c.src::_TYPE___func_"]
    assert row.guesses == 1


def test_a_name_that_python_does_not_import_from_there_stays_unknown(world) -> None:
    functions = ("src/more.c::BOOL_unheard_of", "src/more.c::BOOL_name")
    apis, reason = world.find(GENERATED, *functions)
    assert apis == []
    assert reason.startswith("unknown_binding: ")


def test_users_of_a_variable_or_macro_at_the_top_of_a_compiled_file(world) -> None:
    text = "#define LIMIT 3\n#define OTHER 4\n" + extension(
        "speed", "static int cache[LIMIT];\nint cached(int x) { return cache[x]; }", "cached"
    )
    text += "int lonely(int x) { return OTHER; }\n"
    patch = (
        "--- a/fast/speed.c\n+++ b/fast/speed.c\n@@ -3,1 +3,1 @@\n-static int cache[2];\n+static int cache[LIMIT];\n"
    )
    apis, _ = world.find({**PACKAGE, "fast/speed.c": text}, "fast/speed.c::<module>", patch=patch)
    assert apis == ["fast.speed.run"]
    assert world.row("fast.speed.run").evidence[-2:] == ["fast/speed.c::cached", "fast/speed.c::cache"]


def test_what_counts_as_a_variable() -> None:
    text = b"""#define LIMIT 3
#define SQUARE(x) ((x) * (x))
static TLS bucket cache[LIMIT];
extern int elsewhere;
struct tag;
typedef struct { int a; } kind;
typedef struct gone { ~gone() { for (int i = 0; i < 3; i++) { } } } gone;
int prototype(int a);
double total = 0.0;
"""
    assert [name for name, _, _ in variables("a.cpp", text)] == ["LIMIT", "cache", "total"]
