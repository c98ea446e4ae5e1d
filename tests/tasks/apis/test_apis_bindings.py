"""From changed compiled functions to the Python names that bind them, in generated repositories."""

from __future__ import annotations

import pytest

from tasks.apis.native import summarise_native

METHODS = """
#include <Python.h>
static int pick(int x) { return x + 1; }
static PyObject *mask(PyObject *self, PyObject *args) { return PyLong_FromLong(pick(1)); }
static PyObject *lonely(PyObject *self, PyObject *args) { return NULL; }
static PyMethodDef methods[] = {
    {"websocket_mask", (PyCFunction)mask, METH_VARARGS, "Mask {all} of it."},
    {NULL, NULL, 0, NULL}
};
"""
SPEEDUPS = (
    METHODS
    + """
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "speedups", NULL, -1, methods};
PyMODINIT_FUNC PyInit_speedups(void) { return PyModule_Create(&definition); }
"""
)
OLD = METHODS + 'PyMODINIT_FUNC initspeedups(void) { Py_InitModule3("speedups", methods, "doc"); }\n'
TYPES = {
    "fast/src/array.c": """
static PyObject *array_sum(PyObject *self, PyObject *args) { return shared(self); }
static Py_ssize_t array_length(PyObject *self) { return 1; }
static PyMethodDef array_methods[] = {{"sum", array_sum, METH_NOARGS, NULL}, {NULL}};
static PySequenceMethods array_as_sequence = { .sq_length = array_length };
PyTypeObject Array_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "fast.Array",
    .tp_as_sequence = &array_as_sequence,
    .tp_methods = array_methods,
};
""",
    "fast/src/shared.c": "PyObject *shared(PyObject *x) { return x; }\n",
    "fast/src/shared.h": "PyObject *shared(PyObject *x);\n",
}
PYBIND = """
#include <pybind11/pybind11.h>
namespace deep { int add(int a, int b) { return a + b; } }
struct Tree { int walk(int n) { return n; } };
int three() { return 3; }
PYBIND11_MODULE(_ext, m) {
  m.def("add", &deep::add, "Adds");
  py::class_<Tree>(m, "Tree")
      .def(py::init<>())
      .def("walk", &Tree::walk);
  m.def("three", []() { return three(); });
}
"""
TORCH = """
__global__ void add_kernel(float* a) { a[0] += 1; }
at::Tensor add_cuda(at::Tensor x) { add_kernel<<<1, 1>>>(x.data_ptr<float>()); return x; }
TORCH_LIBRARY_IMPL(fastops, CUDA, m) { m.impl("add", &add_cuda); }
"""
RUST = """
fn helper(x: i64) -> i64 { x + 1 }

#[pyfunction]
#[pyo3(name = "total")]
fn total_rs(x: i64) -> i64 { helper(x) }

#[pymodule]
fn _rust(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(total_rs, m)?)?;
    Ok(())
}
"""
CYTHON = '''
from fast._inner cimport norm
import math
cdef extern from "kernel.h":
    double kernel(double x)

cdef double twice(double x) nogil:
    return 2 * kernel(x)

def total(xs):
    """Sum."""
    return sum(twice(x) for x in xs)

cdef class Tree:
    cdef double _step(self, int n):
        return norm(n)

    def walk(self, int n):
        return self._step(n)

cpdef double fast_norm(double x):
    return norm(x)
'''
PACKAGE = {"fast/__init__.py": ""}


@pytest.mark.parametrize("source", [SPEEDUPS, OLD])
def test_method_tables(world, source: str) -> None:
    files = {**PACKAGE, "fast/speedups.c": source, "fast/web.py": "from fast.speedups import websocket_mask\n\n"}
    files["fast/web.py"] += "def frame(x):\n    return websocket_mask(x)\n"
    assert world.find(files, "fast/speedups.c::pick") == (["fast.speedups.websocket_mask", "fast.web.frame"], "")
    row = world.row("fast.web.frame")
    steps = ["fast/speedups.c::mask", "fast/speedups.c::pick"]
    assert row.evidence == ["fast.web.frame", "fast.speedups.websocket_mask", *steps]
    assert row.guesses == 0


def test_a_private_extension_is_public_where_python_exports_it(world) -> None:
    files = {
        "fast/__init__.py": "from .core import *\n",
        "fast/core.py": "from ._deep._speed import websocket_mask\n__all__ = ['websocket_mask']\n",
        "fast/_deep/__init__.py": "",
        "native/speed.c": SPEEDUPS.replace('"speedups"', '"_speed"'),
    }
    apis, _ = world.find(files, "native/speed.c::mask")
    assert apis == ["fast.websocket_mask"]


def test_methods_and_slots_of_types_across_files(world) -> None:
    apis, _ = world.find({**PACKAGE, **TYPES}, "fast/src/shared.c::shared", "fast/src/array.c::array_length")
    assert set(apis) == {"fast.Array.sum", "fast.Array"}
    assert world.row("fast.Array.sum").evidence[-1] == "fast/src/shared.c::shared"


@pytest.mark.parametrize(
    ("function", "api"),
    [("deep.add", "fast.ext.add"), ("Tree.walk", "fast.ext.Tree.walk"), ("three", "fast.ext.three")],
)
def test_pybind11(world, function: str, api: str) -> None:
    source = PYBIND.replace("_ext", "ext")
    apis, _ = world.find({**PACKAGE, "fast/ext.cpp": source}, f"fast/ext.cpp::{function}")
    assert apis[0] == api


def test_torch_and_cuda(world) -> None:
    apis, _ = world.find({**PACKAGE, "csrc/add.cu": TORCH}, "csrc/add.cu::add_kernel")
    assert apis == ["torch.ops.fastops.add"]


def test_rust(world) -> None:
    files = {"fast/__init__.py": "from ._rust import total\n", "src/lib.rs": RUST}
    assert world.find(files, "src/lib.rs::helper")[0] == ["fast.total"]


@pytest.mark.parametrize(
    ("function", "apis"),
    [
        ("fast/tree.pyx::twice", ["fast.tree.total"]),
        ("fast/tree.pyx::Tree._step", ["fast.tree.Tree.walk"]),
        ("fast/_inner.pyx::norm", ["fast.tree.fast_norm", "fast.tree.Tree.walk"]),
        ("fast/src/kernel.c::kernel", ["fast.tree.total"]),
    ],
)
def test_cython(world, function: str, apis: list[str]) -> None:
    files = {
        **PACKAGE, "fast/tree.pyx": CYTHON, "fast/_inner.pyx": "cdef double norm(double x):\n    return x * x\n",
        "fast/_inner.pxd": "cdef double norm(double x)\n",
        "fast/src/kernel.c": "double kernel(double x) { return x; }\n",
    }  # fmt: skip
    assert world.find(files, function) == (apis, "")


def test_unknown_is_said(world) -> None:
    apis, reason = world.find({**PACKAGE, "fast/speedups.c": SPEEDUPS}, "fast/speedups.c::lonely")
    assert apis == []
    assert reason.startswith("unknown_binding: ")
    assert "fast/speedups.c::lonely" in reason


def test_names_of_modules_and_classes_lead_to_their_users(world) -> None:
    text = "_LIMIT = 3\n_OTHER = 4\n\nclass Tree:\n    __slots__ = ('a',)\n\ndef use():\n    return _LIMIT\n\n"
    text += "def other():\n    return _OTHER\n"
    patch = "--- a/fast/a.py\n+++ b/fast/a.py\n@@ -1,2 +1,2 @@\n-_LIMIT = 2\n+_LIMIT = 3\n _OTHER = 4\n"
    assert world.find({**PACKAGE, "fast/a.py": text}, "fast/a.py::<module>", patch=patch)[0] == ["fast.a.use"]


def test_what_the_top_package_offers_has_a_place_though_it_is_far(world) -> None:
    near = "".join(f"def near_{number}():\n    return _inner()\n\n" for number in range(40))
    files = {
        **PACKAGE,
        "fast/__init__.py": "from fast.core import run, hidden\n",
        "fast/a.py": f"def _inner():\n    return 1\n\n{near}",
        "fast/core.py": "from fast.a import near_0\n\ndef run():\n    return near_0()\n\nhidden = lambda: near_0()\n",
        "tests/test_core.py": "from fast import run\n",
    }
    apis = world.find(files, "fast/a.py::_inner")[0]
    assert len(apis) == 30
    assert apis[0] == "fast.run"
    assert "fast.hidden" not in apis
    assert sum(name.startswith("fast.a.near_") for name in apis) == 29


def test_class_changed(world) -> None:
    files = {**PACKAGE, "fast/a.py": "class Tree:\n    __slots__ = ('a',)\n\ndef make():\n    return Tree()\n"}
    files["tests/test_a.py"] = "from fast.a import make\n"
    files["docs/a.md"] = "Call make() or remake().\n"
    assert world.find(files, "fast/a.py::Tree")[0] == ["fast.a.Tree", "fast.a.make"]
    assert [world.row(name).exposure for name in ("fast.a.Tree", "fast.a.make")] == [0, 2]
    assert world.row("fast.a.Tree").fan_in == 1


def test_broken_files_say_nothing() -> None:
    for text in (b"", b"\0\xff", b'PyMethodDef x[] = {{"a", ', b"PYBIND11_MODULE(", b"struct {" * 500):
        assert summarise_native("a.c", text).bindings == []
