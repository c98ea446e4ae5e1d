"""Functions touched in C, C++, CUDA, Rust and Cython, mined from generated repositories."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import pytest

from configs.models import MiningConfig, RepositoryConfig
from tasks.mining.functions.changed import touched
from tasks.mining.git.clone import sync_repository
from tasks.mining.mine import mine_repository

PYTHON = """
class Tree:
    limit = 3

    def walk(self, depth):
        if depth > self.limit:
            return self.size - 1
        return self.walk(depth + 1)

    def grow(self):
        self.size += 1
"""
C = """
#include <Python.h>
#define SQUARE(x) ((x) * (x))

static const int table[] = {1, 2};

#ifdef FAST
static int pick(int x) { return x; }
#else
static int pick(int x) { return x + 1; }
#endif

NPY_NO_EXPORT PyObject *
total(PyObject *self, PyObject *args)
{
    /* a comment */
    int result = 0;
    for (int i = 0; i < 3; i++) {
        result += pick(i);
    }
    return PyLong_FromLong(result);
}

struct node { int value; };
"""
CPP = """
namespace at { namespace native {
namespace { int hidden(int x) { return x; } }

template <typename T>
T twice(T x) { return x + x; }

class Tree : public Base {
 public:
  Tree() : size_(0) {}
  int size() const { return size_; }
  bool operator==(const Tree& other) const { return size_ == other.size_; }
 private:
  int size_ = 1;
};

int Tree::walk(int depth) { return depth; }
std::vector<int> Tree::items() { return {}; }
}}
"""
CUDA = """
template <typename scalar_t>
__global__ void add_kernel(scalar_t* out, const scalar_t* a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] += a[i];
}

void launch(float* out, const float* a, int n) {
  add_kernel<float><<<(n + 255) / 256, 256>>>(out, a, n);
}
"""
RUST = """
use std::collections::HashMap;

#[pyfunction]
fn total(xs: Vec<i64>) -> i64 { xs.iter().sum() }

impl<T> Tree<T> {
    /// How many.
    pub fn size(&self) -> usize { self.items.len() }
}

impl Display for Tree<i64> {
    fn fmt(&self) -> usize { 1 }
}

mod inner { pub fn deep() -> i32 { 2 } }
"""
CYTHON = '''
cimport cython
from libc.math cimport sqrt

cdef double SCALE = 2.0

cdef extern from "x.h":
    int outside(int x)

cdef inline double norm(double x,
                        double y) except? -1 nogil:
    return sqrt(x * x + y * y)

@cython.boundscheck(False)
def total(double[:] xs):
    """Sum.

no indentation here
    """
    cdef double result = 0.0  # so far
    for x in xs:
        result += x
    return result

cdef class Tree:
    cdef int size

    def __init__(self):
        self.size = 0

    cpdef int walk(self, int depth):
        return depth
'''
SOURCES = {"k.c": C, "k.cpp": CPP, "k.h": CPP, "k.cu": CUDA, "k.rs": RUST, "k.pyx": CYTHON}
CASES = [
    ("k.c", "result = 0;", "result = 1;", ["total"]),
    ("k.c", "return x + 1", "return x + 2", ["pick"]),
    ("k.c", "((x) * (x))", "(x * x)", ["SQUARE"]),
    ("k.c", "{1, 2}", "{1, 2, 3}", ["<module>"]),
    ("k.c", "int value;", "long value;", ["node"]),
    ("k.cpp", "return x;", "return -x;", ["at.native.hidden"]),
    ("k.cpp", "x + x", "2 * x", ["at.native.twice"]),
    ("k.cpp", "size_(0)", "size_(7)", ["at.native.Tree.Tree"]),
    ("k.cpp", "size() const { return size_; }", "size() const { return 5; }", ["at.native.Tree.size"]),
    ("k.cpp", "== other.size_", "!= other.size_", ["at.native.Tree.operator=="]),
    ("k.cpp", "size_ = 1", "size_ = 2", ["at.native.Tree"]),
    ("k.cpp", "return depth", "return 0", ["at.native.Tree.walk"]),
    ("k.h", "return {}", "return {1}", ["at.native.Tree.items"]),
    ("k.cu", "+= a[i]", "+= 2 * a[i]", ["add_kernel"]),
    ("k.cu", "256>>>", "128>>>", ["launch"]),
    ("k.rs", "xs.iter().sum()", "xs.into_iter().sum()", ["total"]),
    ("k.rs", "#[pyfunction]", "#[pyfunction]\n#[inline]", ["total"]),
    ("k.rs", "self.items.len()", "self.size", ["Tree.size"]),
    ("k.rs", "-> usize { 1 }", "-> usize { 2 }", ["Tree.fmt"]),
    ("k.rs", "{ 2 }", "{ 3 }", ["inner.deep"]),
    ("k.pyx", "x * x +", "x ** 2 +", ["norm"]),
    ("k.pyx", "result += x", "result -= x", ["total"]),
    ("k.pyx", "boundscheck(False)", "wraparound(False)", ["total"]),
    ("k.pyx", "return depth", "return depth + 1", ["Tree.walk"]),
    ("k.pyx", "self.size = 0", "self.size = 1", ["Tree.__init__"]),
    ("k.pyx", "cdef int size", "cdef long size", ["Tree"]),
    ("k.pyx", "SCALE = 2.0", "SCALE = 3.0", ["<module>"]),
]
COSMETIC = [
    ("k.c", "/* a comment */", "// another"),
    ("k.c", "#include <Python.h>", "#include <Python.h>\n#include <math.h>"),
    ("k.cpp", "return x; }", "return x;\n}"),
    ("k.rs", "/// How many.", "/// How many there are."),
    ("k.pyx", "# so far", "# up to here"),
    ("k.pyx", "no indentation here", "def nothing(): no indentation"),
    ("k.pyx", "from libc.math cimport sqrt", "from libc.math cimport sqrt, exp"),
]


LANGUAGES = ["python", "c", "cpp", "cython", "cuda", "rust"]


def functions_mined(mining, shas: list[str]) -> list[list[str]]:
    config = RepositoryConfig.model_validate({**mining.config.model_dump(), "languages": LANGUAGES})
    clone = sync_repository(config, mining.store)
    mine_repository(config, MiningConfig(), clone.head_sha, mining.store)
    return [mining.row(sha).functions_changed for sha in shas]


def patch(before: bytes, after: bytes) -> bytes:
    lines = difflib.diff_bytes(difflib.unified_diff, before.splitlines(True), after.splitlines(True), b"a", b"b")
    return b"".join(lines)


def test_each_language_from_history(mining, repository) -> None:
    repository.commit("Add kernels", {f"{number}/{name}": SOURCES[name] for number, (name, *_) in enumerate(CASES)})
    shas = []
    for number, (name, old, new, _) in enumerate(CASES):
        assert SOURCES[name].count(old) == 1, (name, old)
        shas.append(repository.commit(f"Faster case {number}", {f"{number}/{name}": SOURCES[name].replace(old, new)}))
    expected = [[f"{number}/{name}::{item}" for item in names] for number, (name, _, _, names) in enumerate(CASES)]
    assert functions_mined(mining, shas) == expected


def test_renames_are_followed(mining, repository) -> None:
    repository.commit("Start kernels", {"old.c": C, "slow.py": PYTHON, "tree.h": CPP})
    shas = [
        repository.commit("Faster in C", {"old.c": None, "src/new.c": C.replace("result = 0;", "result = 1;")}),
        repository.commit("Faster as Cython", {"slow.py": None, "fast.pyx": PYTHON.replace("size - 1", "size - 2")}),
        repository.commit("Faster header", {"tree.h": None, "tree.hpp": CPP.replace("x + x", "2 * x")}),
    ]
    assert functions_mined(mining, shas) == [
        ["src/new.c::total"],
        ["fast.pyx::Tree.walk"],
        ["tree.hpp::at.native.twice"],
    ]


TEMPLATE = """
/**begin repeat
 * #TYPE = INT, LONG#
 */
NPY_NO_EXPORT void DISPATCH(@TYPE@_total)(int n)
{
    sum_@TYPE@(n);
}
/**end repeat**/

int kept(int x)
{
    return x + 1;
}

static int table[] = {1, 2};
"""


def test_another_suffix_is_the_same_file_though_git_sees_none_of_the_old_one(mining, repository) -> None:
    new = "#include <vector>\n" + "".join(f"int part_{n}(int x) {{ return x - {n}; }}\n" for n in range(40))
    new += "void DISPATCH(INT_total)(int n)\n{\n    part_1(n);\n}\nint kept(int x) { return x + 1; }\n"
    header = "int kept(int x);\n"
    repository.commit("Start kernels", {"src/loops.c.src": TEMPLATE, "other/loops.cpp": "int x;\n"})
    sha = repository.commit(
        "Faster loops", {"src/loops.c.src": None, "src/loops.cpp": new, "src/loops.h": header, "other/loops.cpp": None}
    )
    status = repository.git("show", "--raw", "--format=", "-M", sha)
    assert " R" not in status
    expected = [*(f"src/loops.cpp::part_{n}" for n in range(40)), "src/loops.cpp::INT_total", "src/loops.cpp::<module>"]
    assert functions_mined(mining, [sha]) == [[*expected, "src/loops.h::<module>"]]


def test_a_template_that_became_code_is_read_as_a_template() -> None:
    before, after = TEMPLATE.encode(), TEMPLATE.replace("@TYPE@", "_TYPE_").replace("x + 1", "x + 2").encode()
    assert touched(before, after, patch(before, after), "k.cpp", "k.c.src").functions == ["kept"]
    assert touched(before, after, patch(before, after), "k.cpp", "k.c").functions != ["kept"]


@pytest.mark.parametrize(("name", "old", "new"), COSMETIC)
def test_cosmetic(name: str, old: str, new: str) -> None:
    before = SOURCES[name].encode()
    after = before.replace(old.encode(), new.encode())
    assert before != after
    found = touched(before, after, patch(before, after), name)
    assert found.functions == []
    assert found.cosmetic


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace("a comment", "d\u00e9j\u00e0 vu").encode("latin-1"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("a comment", "null \0 byte").encode(),
        lambda text: text.rstrip("\n").encode(),
    ],
)
@pytest.mark.parametrize(("name", "old", "new", "names"), [CASES[0], CASES[21]])
def test_encodings(encode: Callable[[str], bytes], name: str, old: str, new: str, names: list[str]) -> None:
    before, after = encode(SOURCES[name]), encode(SOURCES[name].replace(old, new))
    assert before != after
    assert touched(before, after, patch(before, after), name).functions == names


def test_templates_have_names_with_underscores_for_their_signs() -> None:
    before = C.replace("total(", "@TYPE@_total(").encode()
    after = before.replace(b"pick(i)", b"@kind@_pick(i)")
    assert touched(before, after, patch(before, after), "loops.c.src").functions == ["_TYPE__total"]


def test_braces_that_do_not_match_hide_nothing() -> None:
    before = b"int f(int x) {\n#ifdef A\n  if (x) {\n#else\n  while (x) {\n#endif\n    x--;\n  }\n  return x;\n}\n" * 1
    before += C.encode()
    after = before.replace(b"result = 0;", b"result = 1;")
    assert touched(before, after, patch(before, after), "k.c").functions == ["total"]


def test_only_new_functions_in_c() -> None:
    before, after = C.encode(), C.encode() + b"\nint more(int x) { return x; }\n"
    found = touched(before, after, patch(before, after), "k.c")
    assert found.only_new
    assert found.functions == ["more"]


def test_any_bytes_are_read() -> None:
    for name in SOURCES:
        for junk in (b"", b"\xff\xfe\0\0", b"{" * 2000, b'"""', b"def f(\n" * 500, b"\n" * 5000):
            touched(junk, junk + b"x", patch(junk, junk + b"x"), name)
