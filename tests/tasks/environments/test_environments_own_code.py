"""Every arm runs its own code, however the project is laid out and however it got into the environment."""

from __future__ import annotations

import json
import py_compile
import sys
from typing import Any

import pytest

from configs.models import EnvironmentConfig, SandboxConfig
from tasks.environments.arms.checking_out import check_out
from tasks.environments.builds.building import build_environment
from tasks.environments.models import Built, EnvironmentWanted
from tasks.sandbox import open_sandbox

# A build system that needs nothing but Python. layout.json has what goes where: {installed path: path or "=text"}.
BACKEND = """
import json, os, zipfile

def build_wheel(out, config_settings=None, metadata_directory=None):
    made = {}
    for installed, source in json.load(open("layout.json")).items():
        if source.startswith("="):
            made[installed] = source[1:].encode()
        else:
            made[installed] = open(source, "rb").read()
    info = "tinylib-1.5.dist-info/"
    made[info + "METADATA"] = b"Metadata-Version: 2.1\\nName: tinylib\\nVersion: 1.5\\n"
    made[info + "WHEEL"] = b"Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    made[info + "RECORD"] = "".join(name + ",,\\n" for name in [*made, info + "RECORD"]).encode()
    name = "tinylib-1.5-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(out, name), "w") as wheel:
        for path, content in made.items():
            wheel.writestr(path, content)
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["tools"]
[project]
name = "tinylib"
dynamic = ["version"]
"""
BASE, OTHER = "def work():\n    return 'base'\n", "def work():\n    return 'other'\n"
SHOWN = """
import tinylib.core as m, importlib.metadata as i, os
print(m.work(), os.path.realpath(m.__file__), i.version('tinylib'))
"""


def own_build(layout: dict[str, str]) -> dict[str, str]:
    """Files of a project that installs what `layout` says as its package."""
    paths = {f"tinylib/{name}": source for name, source in layout.items()}
    return {"pyproject.toml": PYPROJECT, "tools/backend.py": BACKEND, "layout.json": json.dumps(paths)}


def setup_py(arguments: str) -> dict[str, str]:
    return {"setup.py": f"from setuptools import setup\nsetup(name='tinylib', version='1.5', {arguments})\n"}


def _build(
    history: Any, base: str, sandbox: SandboxConfig | None = None, **config: Any
) -> tuple[EnvironmentConfig, Built]:
    settings = EnvironmentConfig(**{"pin_to_date": False, **config})
    sandbox = sandbox or SandboxConfig()
    return settings, build_environment(
        EnvironmentWanted(history.repository, settings, sandbox, base, base, None), history.work
    )


def _shown(
    history: Any, settings: EnvironmentConfig, built: Built, sha: str, patch: str | None = None, code: str = SHOWN,
    sandbox: SandboxConfig | None = None,
) -> str:  # fmt: skip
    assert built.environment is not None, built.reason
    sandbox = sandbox or SandboxConfig()
    made = check_out(history.repository, settings, built.environment, sandbox, sha, "arm", patch, history.work)
    assert made.arm is not None, made.reason
    with open_sandbox(sandbox) as opened:
        done = opened.run(made.arm.command(history.work, ["-c", code]))
    return done.stdout.decode().strip() or done.stderr.decode().strip().splitlines()[-1]


def _both(
    history: Any, files: dict[str, str], where: str, sandbox: SandboxConfig | None = None, **config: Any
) -> Built:
    """Build; base and a patch of the file `where` must each run their own text, and without it nothing runs."""
    base = history.commit({**files, where: BASE})
    settings, built = _build(history, base, sandbox, **config)
    other = history.commit({where: OTHER})
    patch = history.diff(base, other)
    gone = history.diff(base, history.commit({where: None}))
    assert _shown(history, settings, built, base, sandbox=sandbox) == f"base /arm/{where} 1.5"
    assert _shown(history, settings, built, base, patch, sandbox=sandbox) == f"other /arm/{where} 1.5"
    assert "ModuleNotFoundError" in _shown(history, settings, built, base, gone, sandbox=sandbox)
    return built


OWN = {
    "another folder, and a version file of the build": (
        {"__init__.py": "lib/__init__.py", "core.py": "lib/core.py", "_version.py": "=version = '1.5'\n"},
        "lib/core.py",
    ),
    "the top folder": ({"__init__.py": "__init__.py", "core.py": "core.py"}, "core.py"),
    "one file from elsewhere": ({"__init__.py": "tinylib/__init__.py", "core.py": "scripts/run.py"}, "scripts/run.py"),
}  # fmt: skip


@pytest.mark.rotated(1)
@pytest.mark.parametrize("name", OWN)
def test_layouts(history: Any, name: str) -> None:
    layout, where = OWN[name]
    sources = {path: "# Tiny.\n" for path in layout.values() if not path.startswith("=")}
    built = _both(history, {**own_build(layout), **sources}, where)
    assert built.environment is not None
    generated = (history.work / f"environments/{built.environment.env_id}/generated").rglob("*.py")
    assert [path.name for path in generated] == (["_version.py"] if "_version.py" in layout else [])


REAL = {
    "package_dir of a sub package": (
        setup_py("packages=['tinylib', 'tinylib.core'], package_dir={'tinylib': 'lib', 'tinylib.core': 'engine'}"),
        "engine/__init__.py",
    ),
    "hatch force-include": (
        {"pyproject.toml": "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
         "[project]\nname = 'tinylib'\nversion = '1.5'\n[tool.hatch.build.targets.wheel.force-include]\n"
         "'lib/__init__.py' = 'tinylib/__init__.py'\n'engine.py' = 'tinylib/core.py'\n"}, "engine.py",
    ),
}  # fmt: skip


@pytest.mark.rotated(1)
@pytest.mark.parametrize("name", REAL)
def test_layouts_of_real_build_systems(history: Any, registry: None, name: str) -> None:
    files, where = REAL[name]
    _both(history, {**files, "lib/__init__.py": "# Tiny.\n"}, where)


WHEEL = "python -c \"import sys; sys.path.insert(0, 'tools'); import backend; backend.build_wheel('.')\"; "
SITE = "s=$(python -c \"import sysconfig; print(sysconfig.get_path('purelib'))\"); "
INSTALL = WHEEL + "uv pip install -q ./*.whl; "
EGG = """
mkdir $s/e; mv $s/tinylib $s/e/; mkdir $s/e/EGG-INFO; mv $s/tinylib-1.5.dist-info/METADATA $s/e/EGG-INFO/PKG-INFO
rm -r $s/tinylib-1.5.dist-info; echo ./tinylib-1.5-py3.egg > $s/easy-install.pth; cd $s/e
python -c "import shutil; shutil.make_archive('../z', 'zip')"; cd ..; rm -r e; mv z.zip tinylib-1.5-py3.egg
"""
FINDER = """
rm -r $s/tinylib; echo "import __editable___tiny_finder" > $s/__editable__.tiny.pth
echo "MAPPING = {'tinylib': '$PWD/lib'}" > $s/__editable___tiny_finder.py
"""
COMMANDS = {
    "a wheel of the checkout, and its files once more": SITE + INSTALL + "cp lib/core.py $s/tinylib.py",
    "a link": SITE + INSTALL + "rm -r $s/tinylib; ln -s $PWD/lib $s/tinylib",
    "a finder": SITE + INSTALL + FINDER,
    "an egg": SITE + INSTALL + EGG,
    "pip as a module": WHEEL + "python -m pip install -q --no-index ./*.whl",
}


@pytest.mark.rotated(2)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_commands_install_is_taken_out_again(history: Any, name: str) -> None:
    """And the metadata stay, in which the version is."""
    files = own_build({"__init__.py": "lib/__init__.py", "core.py": "lib/core.py"})
    _both(history, {**files, "lib/__init__.py": "# Tiny.\n"}, "lib/core.py", install_commands=[COMMANDS[name]])


def test_a_release_of_the_project_is_taken_out_too(history: Any) -> None:
    """It came with something else, so its files are not the commit's."""
    files = own_build({"__init__.py": "=# Of a release.\n", "core.py": "=def work():\n    return 'released'\n"})
    files |= {"tinylib/__init__.py": "# Tiny.\n"}
    _both(history, files, "tinylib/core.py", install_project=False, setup_commands=[INSTALL])


def test_docker_too(history: Any, docker_image: None, forget_images: Any) -> None:
    files = own_build({"__init__.py": "lib/__init__.py", "core.py": "lib/core.py"})
    sandbox = SandboxConfig(kind="docker")
    built = _both(
        history, {**files, "lib/__init__.py": "# Tiny.\n"}, "lib/core.py", sandbox, install_commands=[INSTALL]
    )
    assert built.environment is not None
    forget_images(built.environment.image)


def test_code_that_would_be_found_elsewhere_is_a_reason(history: Any) -> None:
    """Here a path file that the commands write leads to a copy that nothing says is the project's."""
    command = SITE + "mkdir $s/deep; cp -r tinylib $s/deep/; echo deep > $s/deep.pth"
    base = history.commit({"tinylib/__init__.py": "# Tiny.\n", "tinylib/core.py": BASE})
    _, built = _build(history, base, install_commands=[command])
    assert built.environment is None
    assert "tinylib also lies in /env/" in built.reason


def test_code_that_an_import_loads_from_elsewhere_is_a_reason(history: Any) -> None:
    start = "import sys\n__path__.insert(0, sys.prefix + '/deep')\nfrom tinylib import core\n"
    base = history.commit({"tinylib/__init__.py": start, "tinylib/core.py": BASE})
    command = "mkdir $VIRTUAL_ENV/deep; cp tinylib/core.py $VIRTUAL_ENV/deep/"
    _, built = _build(history, base, install_commands=[command])
    assert built.environment is None
    assert "tinylib.core is loaded from /env/deep/core.py, not from the checkout" in built.reason


def test_byte_code_of_the_repository_is_a_reason(history: Any) -> None:
    """It may say of itself that its source is not to be looked at."""
    code = history.source / "tinylib/core.py"
    code.parent.mkdir()
    code.write_text(OTHER)
    py_compile.compile(str(code), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    base = history.commit({"tinylib/__init__.py": "# Tiny.\n", "tinylib/core.py": BASE})
    _, built = _build(history, base, install_project=False, python=f"{sys.version_info.major}.{sys.version_info.minor}")
    assert built.environment is None
    assert "tinylib.core has byte code in the repository" in built.reason


def test_a_compiled_module_that_stands_for_its_source_is_a_reason(history: Any) -> None:
    layout = {"__init__.py": "lib/__init__.py", "core.py": "lib/core.py", "core.abi3.so": "=compiled from core.py"}
    base = history.commit({**own_build(layout), "lib/__init__.py": "# Tiny.\n", "lib/core.py": BASE})
    _, built = _build(history, base)
    assert built.environment is None
    assert "tinylib/core.abi3.so is made of a Python file" in built.reason
    assert "build: always" in built.reason


def test_compiled_modules_of_base_serve_no_arm_that_changes_their_sources(history: Any) -> None:
    layout = {"__init__.py": "lib/__init__.py", "core.py": "lib/core.py", "_fast.abi3.so": "=compiled from fast.c"}
    base = history.commit(
        {**own_build(layout), "lib/__init__.py": "# Tiny.\n", "lib/core.py": BASE, "lib/fast.c": "int x = 1;\n"}
    )
    settings, built = _build(history, base)
    python = history.diff(base, history.commit({"lib/core.py": OTHER}))
    head = history.commit({"lib/core.py": BASE, "lib/fast.c": "int x = 2;\n"})
    assert _shown(history, settings, built, base, python) == "other /arm/lib/core.py 1.5"
    assert built.environment is not None
    for sha, patch in ((base, history.diff(base, head)), (head, None)):
        made = check_out(
            history.repository, settings, built.environment, SandboxConfig(), sha, "x", patch, history.work
        )
        assert (made.arm, made.status) == (None, "build_failed")
        assert "lib/fast.c differs from the base commit's" in made.reason
    other, again = _build(history, head)
    assert again.environment != built.environment
    assert _shown(history, other, again, head) == "base /arm/lib/core.py 1.5"


def test_programs_run_the_arms_text(history: Any, registry: None) -> None:
    files = {**setup_py("packages=['tinylib'], scripts=['bin/tiny']"), "tinylib/__init__.py": "# Tiny.\n"}
    files["bin/tiny"] = "#!/usr/bin/env python\nimport sys\nprint('base', sys.argv[1:])\n"
    base = history.commit(files)
    settings, built = _build(history, base)
    patch = history.diff(base, history.commit({"bin/tiny": files["bin/tiny"].replace("'base'", "'other'")}))
    code = "import os, sys; os.execv(os.path.dirname(sys.executable) + '/tiny', ['tiny', 'a b'])"
    assert _shown(history, settings, built, base, code=code) == "base ['a b']"
    assert _shown(history, settings, built, base, patch, code=code) == "other ['a b']"


def test_a_patch_cannot_make_the_links(history: Any) -> None:
    base = history.commit({**own_build({"__init__.py": "lib/__init__.py", "core.py": "lib/core.py"}),
                           "lib/__init__.py": "# Tiny.\n", "lib/core.py": BASE})  # fmt: skip
    settings, built = _build(history, base)
    assert built.environment is not None, built.reason
    (history.source / ".isobench").symlink_to("/")
    patch = history.diff(base, history.commit({}))
    made = check_out(history.repository, settings, built.environment, SandboxConfig(), base, "x", patch, history.work)
    assert (made.arm, made.status) == (None, "patch_failed")
    assert ".isobench" in made.reason
