"""Environments built for real: what is in them, what is shared, what is said when they fail. Mostly without network."""

from __future__ import annotations

import shlex
import socket
import sys
import threading
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from configs.models import EnvironmentConfig, RepositoryConfig, SandboxConfig
from tasks.environments.arms.checking_out import check_out
from tasks.environments.arms.importing import main_package
from tasks.environments.arms.records import read_record
from tasks.environments.builds.building import build_environment
from tasks.environments.builds.identity import cut_off, environment_id
from tasks.environments.models import Built, EnvironmentWanted, missing
from tasks.interpreters import local_python
from tasks.sandbox import open_sandbox
from tasks.sandbox.models import SandboxError

# A build system that needs nothing but Python: what it installs beside the package is what a version tool would make.
BACKEND = """
import os, subprocess, sysconfig, zipfile

FILES = {files!r}

def build_wheel(out, config_settings=None, metadata_directory=None):
    made = {{}}
    for name in FILES:
        with open(name) as file:
            made[name.removeprefix("src/")] = file.read()
    made["tinylib/_version.py"] = "version = '1.5'\\n"
    name = "tinylib-1.5-py3-none-any.whl"
    info = "tinylib-1.5.dist-info/"
    made[info + "METADATA"] = "Metadata-Version: 2.1\\nName: tinylib\\nVersion: 1.5\\n" + {requires!r}
    made[info + "WHEEL"] = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    record = "".join(n + ",,\\n" for n in made) + info + "RECORD,,\\n"
    made[info + "RECORD"] = record
    with zipfile.ZipFile(os.path.join(out, name), "w") as wheel:
        for path, text in made.items():
            wheel.writestr(path, text)
        {compile}
    return name
"""
COMPILE = """
        library = "_fast" + sysconfig.get_config_var("EXT_SUFFIX")
        include = "-I" + sysconfig.get_paths()["include"]
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", include, "src/tinylib/_fast.c", "-o", library], check=True)
        wheel.write(library, "tinylib/" + library)
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tinylib"
dynamic = ["version", "dependencies"]
"""


def backend(files: list[str], requires: str = "", compile_c: bool = False) -> str:
    return BACKEND.format(files=files, requires=requires, compile=COMPILE.strip() if compile_c else "pass")


DATE = datetime(2024, 3, 1, 12, tzinfo=UTC)
LIB = {
    "src/tinylib/__init__.py": "from tinylib._version import version\nfrom tinylib.core import work\n",
    "src/tinylib/core.py": "def work(): return 'base'\n",
    "pyproject.toml": PYPROJECT,
    "backend.py": backend(["src/tinylib/__init__.py", "src/tinylib/core.py"]),
    ".gitignore": "_version.py\n",
}
HUMAN = "def work(): return 'human'\n"
_FAST_C = """
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *args) {{ return PyLong_FromLong({0}); }}
static PyMethodDef methods[] = {{{{"answer", answer, METH_NOARGS, ""}}, {{NULL}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "_fast", "", -1, methods}};
PyMODINIT_FUNC PyInit__fast(void) {{ return PyModule_Create(&module); }}
"""


def _build(history: Any, config: EnvironmentConfig, sandbox: SandboxConfig, base: str, head: str) -> Built:
    return build_environment(EnvironmentWanted(history.repository, config, sandbox, base, head, DATE), history.work)


def _run(history: Any, built: Built, config: EnvironmentConfig, sandbox: SandboxConfig, sha: str, code: str) -> str:
    assert built.environment is not None, built.reason
    made = check_out(history.repository, config, built.environment, sandbox, sha, "base", None, history.work)
    assert made.arm is not None, made.reason
    with open_sandbox(sandbox) as opened:
        done = opened.run(made.arm.command(history.work, ["-c", code]))
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def _dependency(folder: Path, name: str = "tinydep") -> Path:
    """A wheel of its own, so that no registry is needed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "VALUE = 42\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.mark.timeout(120)
def test_code_comes_from_the_arm_and_the_rest_from_the_environment(
    history: Any, sandbox: SandboxConfig, python_here: Any, forget_images: Any
) -> None:
    base = history.commit(LIB)
    head = history.commit({"src/tinylib/core.py": HUMAN})
    config = python_here()
    built = _build(history, config, sandbox, base, head)
    assert built.environment is not None, built.reason
    if built.environment.image:
        forget_images(built.environment.image)
        assert built.environment.image == f"isobench-env:{built.environment.env_id}"
    assert built.reason == ""
    assert built.log is not None
    assert "uv" in (history.work / built.log).read_text()
    code = """
import tinylib, importlib.metadata as m
print(tinylib.work(), tinylib.version, m.version("tinylib"), tinylib.__file__, tinylib._version.__file__)
"""
    files = "/arm/src/tinylib/__init__.py /arm/src/tinylib/_version.py"
    assert _run(history, built, config, sandbox, base, code) == f"base 1.5 1.5 {files}"
    assert _run(history, built, config, sandbox, head, code) == f"human 1.5 1.5 {files}"
    record = read_record(history.work, built.environment.env_id)
    assert record is not None
    assert (record.layout.roots, record.layout.imports, record.version) == (["src"], ["tinylib"], "1.5")
    assert record.layout.generated == ["tinylib/_version.py"]
    # An environment that exists is used without work, by every commit that declares the same.
    log = history.work / built.log
    before = log.stat().st_mtime_ns
    third = history.commit({"src/tinylib/core.py": "def work(): return 'third'\n"})
    again = _build(history, config, sandbox, head, third)
    assert again.environment == built.environment
    assert log.stat().st_mtime_ns == before


@pytest.mark.timeout(120)
def test_a_compiled_project_is_built_for_each_arm(
    history: Any, sandbox: SandboxConfig, python_here: Any, forget_images: Any
) -> None:
    history.repository = RepositoryConfig(name="someone/tinylib", languages=["python", "c"])
    base = history.commit(
        {
            **LIB,
            "src/tinylib/__init__.py": "from tinylib._fast import answer\n",
            "src/tinylib/_fast.c": _FAST_C.format(1),
            "backend.py": backend(["src/tinylib/__init__.py"], compile_c=True),
        }
    )
    head = history.commit({"src/tinylib/_fast.c": _FAST_C.format(2)})
    broken = history.commit({"src/tinylib/_fast.c": "this is no C"})
    config = python_here()
    built = _build(history, config, sandbox, base, head)
    assert built.environment is not None, built.reason
    if built.environment.image:
        forget_images(built.environment.image)
    code = "import tinylib; print(tinylib.answer(), tinylib._fast.__file__.rpartition('/')[0])"
    assert _run(history, built, config, sandbox, base, code) == "1 /arm/src/tinylib"
    assert _run(history, built, config, sandbox, head, code) == "2 /arm/src/tinylib"
    failed = check_out(history.repository, config, built.environment, sandbox, broken, "x", None, history.work)
    assert (failed.arm, failed.status) == (None, "build_failed")
    assert "error" in failed.reason


def test_what_a_patch_adds_to_the_build_runs_without_network(history: Any, python_here: Any) -> None:
    history.repository = RepositoryConfig(name="someone/tinylib", languages=["python", "c"])
    base = history.commit(LIB)
    config, sandbox = python_here(), SandboxConfig()
    built = _build(history, config, sandbox, base, base)
    assert built.environment is not None, built.reason
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        evil = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 3)\n" + LIB["backend.py"]
        head = history.commit({"backend.py": evil})
        patch = history.diff(base, head)
        made = check_out(history.repository, config, built.environment, sandbox, base, "patch:x", patch, history.work)
    assert made.status == "build_failed"
    assert "ConnectionRefusedError" in made.reason or "Network" in made.reason


@pytest.mark.timeout(120)
def test_packages_and_commands(history: Any, sandbox: SandboxConfig, python_here: Any, forget_images: Any) -> None:
    """Commands run in the checkout, as a shell, with the environment active."""
    wheel = _dependency(history.source / "vendored")
    base = history.commit({**LIB, f"vendored/{wheel.name}": wheel.read_bytes()})
    config = python_here(
        install_project=False,
        setup_commands=["echo 'made = 1' > made_by_setup.py"],
        install_commands=[
            f"uv pip install --offline vendored/{wheel.name}",
            'python -c "import sys, sysconfig, made_by_setup; assert sys.prefix != sys.base_prefix; '
            "open(sysconfig.get_path('purelib') + '/noted.py', 'w').write('COMMAND = 7')\"",
        ],
    )
    built = _build(history, config, sandbox, base, base)
    assert built.environment is None  # the version file is nobody's: said, not guessed
    assert "No module named 'tinylib._version'" in built.reason
    record = next(path for path in (history.work / "environments").iterdir() if (path / "record.json").exists())
    found = read_record(history.work, record.name)
    assert found is not None
    if found.environment.image:
        forget_images(found.environment.image)
    fixed = history.commit({"src/tinylib/__init__.py": ""})
    rebuilt = _build(history, config, sandbox, fixed, fixed)
    assert rebuilt.environment is not None, rebuilt.reason
    assert rebuilt.environment != found.environment  # commands may read anything in the checkout
    if rebuilt.environment.image:
        forget_images(rebuilt.environment.image)
    code = "import tinydep, noted, tinylib; print(tinydep.VALUE, noted.COMMAND)"
    assert _run(history, rebuilt, config, sandbox, fixed, code) == "42 7"


def test_nothing_to_install_is_a_bare_interpreter(history: Any, sandbox: SandboxConfig, python_here: Any) -> None:
    base = history.commit({"tinylib/__init__.py": "X = 1\n"})
    config = python_here(install_project=False)
    built = _build(history, config, sandbox, base, base)
    assert built.environment is not None, built.reason
    if sandbox.kind == "docker":
        from tasks.sandbox.docker.engine import default_image

        assert built.environment.image == default_image()
        assert built.environment.path is None
    else:
        assert built.environment.path == f"environments/{built.environment.env_id}/venv"
    assert _run(history, built, config, sandbox, base, "import tinylib; print(tinylib.X)") == "1"
    other = history.commit({"tinylib/__init__.py": "X = 2\n", "setup.py": "raise SystemExit(1)"})
    assert _build(history, config, sandbox, other, other).environment == built.environment


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"tinylib/__init__.py": "import not_installed_anywhere\n"}, "No module named 'not_installed_anywhere'"),
        ({"tinylib/__init__.py": "def broken(:\n"}, "SyntaxError"),
        ({"tinylib/__init__.py": "import os; os._exit(9)\n"}, "exit code 9"),
    ],
)
def test_a_project_that_does_not_import_is_a_reason(history: Any, python_here: Any, files: Any, said: str) -> None:
    base = history.commit(files)
    built = _build(history, python_here(install_project=False), SandboxConfig(), base, base)
    assert built.environment is None
    assert built.reason.startswith("base commit does not import: ")
    assert said in built.reason
    assert "\n" not in built.reason


def test_the_human_side_must_import_too(history: Any, python_here: Any) -> None:
    base = history.commit({"tinylib/__init__.py": ""})
    head = history.commit({"tinylib/__init__.py": "import newly_needed\n"})
    built = _build(history, python_here(install_project=False), SandboxConfig(), base, head)
    assert built.reason.startswith("human commit does not import: ModuleNotFoundError")


def test_the_reason_is_what_another_program_told_pip(history: Any, python_here: Any) -> None:
    base = history.commit({"tinylib/__init__.py": ""})
    said = ["error: subprocess-exited-with-error", "", "  × pip subprocess did not run successfully.",
            "  │ exit code: 1", "  ╰─> [3 lines of output]", "      Looking in indexes",
            "      ERROR: No matching distribution found for setuptools>=999", "      [end of output]"]  # fmt: skip
    config = python_here(install_commands=[f"printf '%s\\n' {' '.join(map(shlex.quote, said))}; false"])
    built = _build(history, config, SandboxConfig(), base, base)
    assert built.reason.endswith(
        "pip subprocess did not run successfully. ERROR: No matching distribution found for setuptools>=999"
    )


def test_a_failing_command_is_a_reason_with_a_log(history: Any, python_here: Any) -> None:
    base = history.commit({"tinylib/__init__.py": ""})
    config = python_here(install_commands=["echo before; echo 'fatal: it broke' >&2; exit 3"])
    built = _build(history, config, SandboxConfig(), base, base)
    assert built.environment is None
    assert "install command fails" in built.reason
    assert "it broke" in built.reason
    assert built.log is not None
    assert "[exit code 3" in (history.work / built.log).read_text()
    left = [path.name for path in (history.work / "environments").iterdir()]
    assert [name for name in left if not name.endswith((".lock", ".failed.log"))] == []


def test_a_project_that_cannot_be_built_still_runs_from_its_checkout(history: Any, python_here: Any) -> None:
    wheel = _dependency(history.source / "vendored")
    pyproject = """
[build-system]
requires = []
build-backend = "no_such_backend"
[project]
name = "tinylib"
version = "1"
"""
    base = history.commit({"tinylib/__init__.py": "import tinydep\n", "pyproject.toml": pyproject})
    built = _build(history, python_here(packages=[f"tinydep @ file://{wheel}"]), SandboxConfig(), base, base)
    assert built.environment is not None, built.reason
    assert "cannot be built" in built.reason


def test_builds_see_no_keys(history: Any, python_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hidden")
    monkeypatch.setenv("HF_TOKEN", "hidden")
    base = history.commit({"tinylib/__init__.py": ""})
    config = python_here(install_commands=["! env | grep hidden"])
    assert _build(history, config, SandboxConfig(), base, base).environment is not None


def test_out_of_time_is_a_reason(history: Any, python_here: Any) -> None:
    base = history.commit({"tinylib/__init__.py": ""})
    config = python_here(install_commands=["sleep 300"], build_timeout_s=1.5)
    built = _build(history, config, SandboxConfig(), base, base)
    assert built.environment is None
    assert "out of time" in built.reason


def test_a_python_that_is_not_to_be_had_is_a_reason(history: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    base = history.commit({"tinylib/__init__.py": ""})
    built = _build(history, EnvironmentConfig(python="3.5"), SandboxConfig(), base, base)
    assert built.environment is None
    assert "no Python 3.5" in built.reason


def test_an_unreachable_registry_is_worth_a_retry(
    history: Any, python_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    base = history.commit({"tinylib/__init__.py": ""})
    with pytest.raises(SandboxError, match="cannot be built now"):
        _build(history, python_here(install_project=False, packages=["tinydep"]), SandboxConfig(), base, base)


def test_a_commit_that_is_not_there_is_a_reason(history: Any, python_here: Any) -> None:
    history.commit({"a.py": ""})
    built = _build(history, python_here(), SandboxConfig(), "0" * 40, "0" * 40)
    assert "does not hold the base commit" in built.reason


def test_many_at_once_build_once(history: Any, python_here: Any) -> None:
    base = history.commit(LIB)
    results: list[Built] = []
    threads = [
        threading.Thread(target=lambda: results.append(_build(history, python_here(), SandboxConfig(), base, base)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result.environment.env_id for result in results if result.environment}) == 1
    assert len(results) == 4
    environment = results[0].environment
    assert environment is not None
    assert not missing(environment, history.work)


def test_identity() -> None:
    config = EnvironmentConfig()
    declared = {"setup.py": b"1"}
    same = environment_id(config, "local 3.11.7", declared, "a", DATE, False)
    assert environment_id(config, "local 3.11.7", declared, "b", DATE.replace(hour=23), False) == same
    different = [
        environment_id(config, "local 3.11.8", declared, "a", DATE, False),
        environment_id(config, "local 3.11.7", {"setup.py": b"2"}, "a", DATE, False),
        environment_id(config, "local 3.11.7", declared, "a", DATE.replace(day=2), False),
        environment_id(config, "local 3.11.7", declared, "a", DATE, True),
        environment_id(EnvironmentConfig(packages=["pytest"]), "local 3.11.7", declared, "a", DATE, False),
    ]
    assert len({same, *different}) == 6
    assert cut_off(config, DATE) == "2024-03-01T23:59:59Z"
    assert cut_off(EnvironmentConfig(pin_to_date=False), DATE) is None


def test_running_python_is_used_where_it_fits() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert local_python(version) == f"{sys.base_prefix}/bin/python{version}"
    assert local_python("3.1") != local_python(version)


def test_main_package(tmp_path: Path) -> None:
    assert main_package(tmp_path, (".",), ["tests", "more_itertools"], "x/more-itertools") == "more_itertools"
    assert main_package(tmp_path, (".",), ["_private", "lib"], "x/python-thing") == "lib"
    assert main_package(tmp_path, (".",), ["one", "two"], "x/other") is None
    assert main_package(tmp_path, (".",), ["yaml", "_yaml"], "yaml/pyyaml") == "yaml"
    for name in ("docs", "networkx", "tools"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    assert main_package(tmp_path, ("src", "."), [], "networkx/networkx") == "networkx"
