"""Names, public surface and callers of small packages given as text."""

from __future__ import annotations

from textwrap import dedent

from tasks.apis.graph import Graph
from tasks.apis.nodes import Module
from tasks.apis.reach import reach
from tasks.apis.source import module_name
from tasks.apis.starts import find_starts
from tasks.apis.summary import summarise
from tasks.apis.surface import public_names


def graph(**files: str) -> Graph:
    """Modules by dotted name with `__` for a dot; a trailing `__` marks a package."""
    modules = []
    for key, text in files.items():
        name = key.rstrip("_").replace("__", ".")
        modules.append(Module(name, key.endswith("__"), f"{key}.py", summarise(dedent(text).encode())))
    return Graph(modules)


def apis(made: Graph, *changed: str) -> list[str]:
    return [item.api for item in reach(made, list(changed))[0]]


def path(made: Graph, api: str, changed: str) -> list[str]:
    return next(item.path for item in reach(made, [changed])[0] if item.api == api)


def test_public_function_is_its_own_api() -> None:
    made = graph(pkg__="", pkg__a="def f():\n    return 1\n")
    assert apis(made, "pkg.a.f") == ["pkg.a.f"]
    assert path(made, "pkg.a.f", "pkg.a.f") == ["pkg.a.f"]


def test_re_exports_give_the_shorter_name() -> None:
    made = graph(
        pkg__="from .a import *\nfrom pkg._b import g as h\n",
        pkg__a="__all__ = ['f']\ndef f():\n    return 1\ndef hidden():\n    return 2\n",
        pkg___b="def g():\n    return 1\n",
    )
    assert apis(made, "pkg.a.f") == ["pkg.f"]
    assert public_names(made)["pkg.a.f"] == ["pkg.f", "pkg.a.f"]
    assert apis(made, "pkg._b.g") == ["pkg.h"]
    assert apis(made, "pkg.a.hidden") == []


def test_a_function_goes_by_the_name_of_its_package_and_a_method_by_its_own_class() -> None:
    made = graph(
        pkg__="",
        pkg__near__="from pkg.near.cover import *\n",
        pkg__near__cover="""
            __all__ = ["cover", "Base", "Sub"]
            def cover():
                return 1
            class Base:
                def run(self):
                    return 1
            class Sub(Base):
                pass
            """,
    )
    assert public_names(made)["pkg.near.cover.cover"] == ["pkg.near.cover", "pkg.near.cover.cover"]
    assert public_names(made)["pkg.near.cover.Base.run"][0] == "pkg.near.Base.run"


def test_a_package_that_only_uses_a_function_does_not_name_it() -> None:
    made = graph(
        pkg__="",
        pkg__other__="from pkg.optimizer import run\n",
        pkg__optimizer__="from pkg.optimizer.engine import run\n",
        pkg__optimizer__engine="def run():\n    return 1\n",
    )
    assert public_names(made)["pkg.optimizer.engine.run"][0] == "pkg.optimizer.run"


def test_private_helper_through_aliases_and_modules() -> None:
    made = graph(
        pkg__="",
        pkg___impl="def work(x):\n    return x\n",
        pkg__one="from pkg._impl import work as _w\ndef one(x):\n    return _w(x)\n",
        pkg__two="import pkg._impl\ndef two(x):\n    return pkg._impl.work(x)\n",
        pkg__three="from . import _impl as i\ndef three(x):\n    return list(map(i.work, x))\n",
        pkg__four="def four(x):\n    from ._impl import work\n    return work(x)\n",
        pkg__five="def five(work):\n    return work(1)\n",
    )
    assert sorted(apis(made, "pkg._impl.work")) == ["pkg.four.four", "pkg.one.one", "pkg.three.three", "pkg.two.two"]
    assert path(made, "pkg.one.one", "pkg._impl.work") == ["pkg.one.one", "pkg._impl.work"]


def test_nearest_first_with_the_path() -> None:
    made = graph(
        m="""
        def _low(): return 1
        def _middle(): return _low()
        def far(): return _middle()
        def near(): return _low()
        """
    )
    found, _ = reach(made, ["m._low"])
    assert [(item.api, len(item.path) - 1) for item in found] == [("m.near", 1), ("m.far", 2)]
    assert found[1].path == ["m.far", "m._middle", "m._low"]


def test_methods_by_class_hierarchy() -> None:
    made = graph(
        m="""
        class _Base:
            def run(self):
                return self._step()
            def _step(self):
                return 0

        class Child(_Base):
            def _step(self):
                return super()._step() + 1

        class Other:
            def _step(self):
                return 5
        """
    )
    assert "m.Child.run" in apis(made, "m.Child._step")
    assert path(made, "m.Child.run", "m.Child._step") == ["m._Base.run", "m.Child._step"]
    assert path(made, "m.Child.run", "m._Base._step") == ["m._Base.run", "m._Base._step"]
    found, _ = reach(made, ["m.Other._step"])  # nobody calls it: whoever has the class may lead there
    assert [(item.api, item.path, item.guesses) for item in found] == [("m.Other", ["m.Other", "m.Other._step"], 1)]


def test_a_method_looked_up_by_a_computed_name() -> None:
    made = graph(
        m="""
        class Filter:
            def process(self, tokens):
                name = "_process_{}".format(type(tokens).__name__)
                return getattr(self, name.lower(), self._default)(tokens)
            def visit(self, node):
                return getattr(self, f"_visit_{node}")()
            def any(self, name):
                return getattr(self, name)()
            def _process_list(self):
                return self._offset()
            def _visit_tree(self):
                return 1
            def _default(self, tokens):
                return tokens
            def _offset(self):
                return 0

        class Special(Filter):
            def _process_special(self):
                return 2

        class Other:
            def _process_other(self):
                return 3
        """
    )
    assert path(made, "m.Filter.process", "m.Filter._offset") == [
        "m.Filter.process", "m.Filter._process_list", "m.Filter._offset",
    ]  # fmt: skip
    assert apis(made, "m.Filter._visit_tree")[0] == "m.Filter.visit"
    assert "m.Filter.process" in apis(made, "m.Special._process_special")
    assert apis(made, "m.Other._process_other") == ["m.Other"]  # of another family


def test_functions_that_a_decorator_puts_into_a_table() -> None:
    made = graph(
        m="""
        _HANDLERS = {}

        def handles(kind):
            def keep(function):
                _HANDLERS[kind] = function
                return function
            return keep

        @handles("row")
        def _row(item):
            return 1

        def render(items):
            return [_HANDLERS[item.kind](item) for item in items]

        def show(item):
            return str(item)

        @show.register(int)
        def _number(item):
            return 2
        """
    )
    found, _ = reach(made, ["m._row"])
    assert ("m.render", 1) in [(item.api, item.guesses) for item in found]
    found, _ = reach(made, ["m._number"])
    assert [(item.api, item.guesses) for item in found] == [("m.show", 1)]


def test_an_all_of_submodules_hides_no_function() -> None:
    made = graph(
        pkg__="from pkg import a\n__all__ = ['a']\ndef parse(text):\n    return a.run(text)\n",
        pkg__a="def run(text):\n    return text\n",
        pkg__b="__all__ = ['g']\ndef g():\n    return 1\ndef hidden():\n    return 2\n",
    )
    assert apis(made, "pkg.parse") == ["pkg.parse"]
    assert apis(made, "pkg.b.hidden") == []


def test_a_variable_that_is_set_twice_is_found_at_both_places() -> None:
    made = graph(m="TABLE = {\n    1: 2,\n}\nOTHER = 1\nTABLE = list(TABLE)\ndef f():\n    return TABLE\n")
    for line in (2, 5):
        patch = f"diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -{line},1 +{line},1 @@\n-x\n+y\n"
        starts, strange = find_starts(made, None, ["m.py::<module>"], patch)
        assert "m.TABLE" in [start.node for start in starts]
        assert strange == []


def test_special_methods_go_by_their_class() -> None:
    made = graph(
        m="class Tree:\n    def __getitem__(self, k):\n        return k\n    def __init__(self):\n        self.x = 1\n"
    )
    assert apis(made, "m.Tree.__getitem__") == ["m.Tree"]
    made = graph(m="class _T:\n    def __init__(self):\n        pass\n\ndef make():\n    return _T()\n")
    assert path(made, "m.make", "m._T.__init__") == ["m.make", "m._T", "m._T.__init__"]


def test_tables_of_functions() -> None:
    made = graph(
        m="""
        def _a(x): return x
        _TABLE = {"a": _a}

        def dispatch(k, x): return _TABLE[k](x)

        class Parser:
            RULES = {"b": lambda self: self._rule()}

            def parse(self): return self.RULES["b"](self)

            def _rule(self): return 1
        """
    )
    assert path(made, "m.dispatch", "m._a") == ["m.dispatch", "m._TABLE", "m._a"]
    assert path(made, "m.Parser.parse", "m.Parser._rule") == ["m.Parser.parse", "m.Parser.RULES", "m.Parser._rule"]


def test_locals_and_annotations_say_the_class() -> None:
    many = "\n".join(f"class C{n}:\n    def step(self):\n        return {n}\n" for n in range(12))
    made = graph(
        m=f"""{many}
def build():
    thing = C3()
    return thing.step()

def take(thing: C4):
    return thing.step()

def direct():
    return C5().step()
"""
    )
    for function, number in (("build", 3), ("take", 4), ("direct", 5)):
        assert f"m.{function}" in apis(made, f"m.C{number}.step")
        assert f"m.{function}" not in apis(made, "m.C7.step")


def test_a_guess_by_name_costs_more() -> None:
    made = graph(m="class A:\n    def odd_name(self):\n        return 1\n\ndef guess(x):\n    return x.odd_name()\n")
    found, _ = reach(made, ["m.A.odd_name"])
    assert [(item.api, item.guesses) for item in found] == [("m.A.odd_name", 0), ("m.guess", 1)]


def test_cycles_end() -> None:
    made = graph(
        pkg__="from .a import f\nfrom .b import *\n",
        pkg__a="from . import f as g\nfrom pkg import *\ndef f():\n    return h()\ndef h():\n    return f()\n",
        pkg__b="from .a import *\nfrom . import *\nclass X(Y): pass\nclass Y(X): pass\n",
    )
    assert apis(made, "pkg.a.h")[0] in ("pkg.h", "pkg.a.h")


def test_unreadable_files_define_nothing() -> None:
    assert not summarise(b"print 1\n").parsed
    assert summarise(b"\0").definitions == {}
    assert summarise(b"x = (\n").definitions == {}


def test_module_names() -> None:
    packages = {"pkg", "pkg/sub", "src/deep", "python/big"}
    expected = {
        "pkg/__init__.py": "pkg",
        "pkg/sub/a.py": "pkg.sub.a",
        "src/deep/b.py": "deep.b",
        "src/space/c.py": "space.c",
        "python/big/d.py": "big.d",
        "single.py": "single",
        "src/single.py": "single",
        "setup.py": None,
        "tests/a.py": None,
        "pkg/tests/a.py": None,
        "pkg/test_a.py": None,
        "scripts/run.py": None,
        "loose/e.py": None,
        "pkg/not-a-name.py": None,
    }
    assert {path: module_name(path, packages) for path in expected} == expected


def test_a_variable_called_new_is_a_name_like_others() -> None:
    made = graph(m="import new\n\ndef _low(): return 1\ndef f():\n    return new.thing(_low())\n")
    assert apis(made, "m._low") == ["m.f"]


def test_a_computed_list_of_exports_names_more_than_it_says() -> None:
    made = graph(
        pkg__="from ._core import any, all\nfrom . import _core\n__all__ = ['x', *_core.names()]\nx = 1\n",
        pkg___core="def any(): return 1\ndef all(): return 2\n",
    )
    assert apis(made, "pkg._core.any") == ["pkg.any"]


def test_constants_made_by_a_call_are_no_apis() -> None:
    made = graph(m="def _low(): return 1\nTABLE = frozenset(_low())\nmake = partial(_low)\ndef f(): return TABLE\n")
    assert sorted(apis(made, "m._low")) == ["m.f", "m.make"]


def test_tables_of_lambdas_outside_of_the_class() -> None:
    made = graph(
        m="""
        _TABLE = {"b": lambda self, e: self._odd_rule(e)}

        class Walker:
            def walk(self, e): return _TABLE["b"](self, e)

            def _odd_rule(self, e): return e
        """
    )
    found, _ = reach(made, ["m.Walker._odd_rule"])
    assert [(item.api, item.guesses) for item in found] == [("m.Walker.walk", 1)]
