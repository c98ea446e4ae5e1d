"""Where installed files lie in a checkout, by content: layouts that real projects have, without building any."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.environments.arms.layout import Layout, Link, lay_out, shadowing, work_out
from tasks.environments.builds.taking_out import distribution_names
from tasks.environments.trees import TreeError

NOTHING = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
# installed, tracked, roots, {installed name: (where the link is, where it leads)}, what the build made
LAYOUTS = {
    "as it is": ({"q/__init__.py": "1"}, {"q/__init__.py": "1", "t/q/__init__.py": "2"}, ["."], {}, []),
    "src": ({"q/__init__.py": "1"}, {"src/q/__init__.py": "1", "q/__init__.py": "2"}, ["src"], {}, []),
    "a module": ({"q.py": "1"}, {"lib/q.py": "1", "q.py": "2"}, ["lib"], {}, []),
    "a module of another name": ({"q.py": "1"}, {"x.py": "1"}, [], {"q.py": (".isobench/q.py", "x.py")}, []),
    "another folder": (
        {"q/__init__.py": NOTHING, "q/c.py": "1"},
        {"lib/__init__.py": NOTHING, "lib/c.py": "1", "tests/q/__init__.py": NOTHING},
        [], {"q": (".isobench/q", "lib")}, [],
    ),
    "the top folder": ({"q/c.py": "1"}, {"c.py": "1"}, [], {"q": (".isobench/q", ".")}, []),
    "a sub package elsewhere": (
        {"q/__init__.py": "1", "q/s/__init__.py": "2", "q/s/m.py": "3"},
        {"lib/__init__.py": "1", "sub/__init__.py": "2", "sub/m.py": "3"},
        [], {"q": (".isobench/q", "lib"), "q/s": ("lib/s", "sub")}, [],
    ),
    "two folders of packages": (
        {"a/x.py": "1", "b/x.py": "2"}, {"one/a/x.py": "1", "two/b/x.py": "2"}, ["one", "two"], {}, [],
    ),
    "a package that another folder hides": (
        {"a/x.py": "1", "a/y.py": "4", "b/x.py": "2"},
        {"one/a/x.py": "1", "one/a/y.py": "4", "one/b/x.py": "3", "two/b/x.py": "2"},
        ["one", "two"], {"b": (".isobench/b", "two/b")}, [],
    ),
    "a namespace": ({"n/q/c.py": "1"}, {"src/n/q/c.py": "1", "n/q/c.py": "2"}, ["src"], {}, []),
    "a namespace that is no folder": (
        {"n/q/__init__.py": "1", "n/q/c.py": "2"}, {"lib/__init__.py": "1", "lib/c.py": "2"},
        [], {"n/q": (".isobench/n/q", "lib")}, [],
    ),
    "a namespace of two folders": (
        {"n/a/__init__.py": "1", "n/b/__init__.py": "2"}, {"x/n/a/__init__.py": "1", "y/n/b/__init__.py": "2"},
        ["x"], {"n/b": ("x/n/b", "y/n/b")}, [],
    ),
    "a version file": ({"q/__init__.py": "1", "q/_v.py": "9"}, {"q/__init__.py": "1"}, ["."], {}, ["q/_v.py"]),
    "a version file that git has otherwise": (
        {"q/__init__.py": "1", "q/_v.py": "9"}, {"q/__init__.py": "1", "q/_v.py": "8"}, ["."], {}, [],
    ),
    "data from elsewhere": (
        {"q/__init__.py": "1", "q/d/x.json": "2"}, {"q/__init__.py": "1", "assets/x.json": "2"},
        ["."], {"q/d/x.json": ("q/d/x.json", "assets/x.json")}, [],
    ),
    "a made package": ({"q/c.py": "1", "g/c.py": "9"}, {"q/c.py": "1"}, ["."], {}, ["g/c.py"]),
    "all rewritten": (
        {"q/__init__.py": "8", "q/c.py": "9"}, {"src/q/__init__.py": "1", "src/q/c.py": "2"}, ["src"], {}, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name: str) -> None:
    files, tracked, roots, links, generated = LAYOUTS[name]
    found = work_out(files, tracked, {})
    assert {link.name: (link.where, link.to) for link in found.links} == links
    assert (found.roots, found.generated, found.conflict) == (roots, generated, "")


def test_what_editable_installations_say() -> None:
    found = work_out({}, {"lib/__init__.py": "1", "src/z.py": "2"}, {"q": "lib", "z": "src/z.py"})
    assert (found.roots, found.imports) == (["src"], ["q", "z"])
    assert [(link.name, link.to) for link in found.links] == [("q", "lib")]
    found = work_out({}, {"src/q/__init__.py": "1"}, {}, ["src"])
    assert (found.roots, found.imports, found.import_paths) == (["src"], ["q"], ["src"])


def test_a_folder_in_the_way_is_a_conflict() -> None:
    """The arm would import `lib/s`, and `sub` is what the project installs."""
    tracked = {"lib/__init__.py": "1", "lib/s/m.py": "4", "sub/m.py": "3"}
    found = work_out({"q/__init__.py": "1", "q/s/m.py": "3"}, tracked, {})
    assert "q/s is installed from sub, and lib/s would be imported" in found.conflict


def test_compiled_modules_of_python_files() -> None:
    tracked = {"lib/c.py": "1", "lib/f.c": "2"}
    files = {"q/c.py": "1", "q/c.cpython-311-x86_64-linux-gnu.so": "8", "q/f.abi3.so": "9"}
    found = work_out(files, tracked, {})
    assert shadowing(found, tracked) == ["q/c.cpython-311-x86_64-linux-gnu.so"]
    assert found.place("q/f.abi3.so") == "lib/f.abi3.so"


def _layout(*links: tuple[str, str, str]) -> Layout:
    return Layout(links=[Link(name=name, where=where, to=to) for name, where, to in links])


def test_links_stay_in_the_arm(tmp_path: Path) -> None:
    """A patch may have put links where folders were, and a record is no reason to write elsewhere."""
    checkout, outside = tmp_path / "checkout", tmp_path / "outside"
    for folder in (checkout / "lib", checkout / "sub", outside):
        folder.mkdir(parents=True)
    (checkout / "away").symlink_to(outside)
    (checkout / "file").touch()
    lay_out(
        checkout,
        _layout(
            ("q", ".isobench/q", "lib"), ("q/s", "lib/s", "sub"), ("q/a", "away/a", "sub"), ("q/f", "file/f", "sub"),
            ("u", "../outside/u", "sub"), ("v", ".isobench/v", "../outside"), ("w", ".isobench/w", "gone"),
        ),
    )  # fmt: skip
    assert list(outside.iterdir()) == []
    made = {str(path.relative_to(checkout)): str(path.readlink()) for path in checkout.rglob("*") if path.is_symlink()}
    assert made == {".isobench/q": "../lib", "lib/s": "../sub", "away": str(outside)}


def test_the_folder_of_links_is_ours(tmp_path: Path) -> None:
    (tmp_path / ".isobench").symlink_to("/")
    with pytest.raises(TreeError, match="isobench's own folder"):
        lay_out(tmp_path, _layout(("q", ".isobench/q", "lib")))
    lay_out(tmp_path, Layout())


def test_names_of_a_distribution() -> None:
    declared = {
        "pyproject.toml": b"[project]\nname = 'one'\n[tool.poetry]\nname = 'two'\n",
        "setup.cfg": b"[metadata]\nname = three\n",
        "setup.py": b"from setuptools import setup\nsetup(name='four', author='x')\n",
    }
    assert distribution_names(declared, "me/five") == ["five", "four", "one", "three", "two"]
    broken = {"pyproject.toml": b"\xff[", "setup.cfg": b"nothing", "setup.py": b"setup(**ABOUT)"}
    assert distribution_names(broken, "me/five") == ["five"]
