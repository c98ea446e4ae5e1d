"""What runs inside sandboxes, under the oldest interpreter that is promised and the newest of this machine."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from configs.models import PerfTestConfig, SandboxConfig
from tasks.perftests.gates import Bench, run_gates
from tasks.perftests.models import Proposal
from tasks.perftests.sources.asv.source import from_benchmarks
from tasks.perftests.targets import find_targets
from tasks.sandbox import Environment, limits_of, open_sandbox
from tasks.sandbox.commands.parsing import parse_output
from tasks.sandbox.commands.session import CommandSession, wanted_metrics
from tasks.sandbox.probe.inside.encoding import decode
from tasks.sandbox.probe.session import ProbeSession
from tests.inside import BROUGHT, INSIDE, ROOT
from tests.interpreters import newest, oldest
from tests.tasks.perftests.conftest import CHANGED, make_kit, write
from tests.tasks.perftests.gate_scripts import GOOD, GSO
from tests.tasks.sandbox.commands.workload import FAST, arm, files, spec

EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
"""What git calls an empty file."""
IMPORT = """
import importlib.abc, importlib.machinery, importlib.util, sys
root, *files = sys.argv[1:]
names = {file[:-3].replace("/", "."): root + "/" + file for file in files}
class Only(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in names:
            return importlib.util.spec_from_file_location(name, names[name])
        if any(known.startswith(name + ".") for known in names):
            return importlib.machinery.ModuleSpec(name, None, is_package=True)
sys.meta_path.insert(0, Only())
for name in names:
    importlib.import_module(name)
print(sys.version_info[0], sys.version_info[1], len(names))
"""
"""Run with -S: no folder of installed packages is searched, and ours are empty but for the files that go inside."""


@pytest.fixture(scope="module", params=[oldest, newest], ids=["oldest", "newest"])
def python(request: pytest.FixtureRequest) -> Path:
    return request.param()


@pytest.fixture(scope="module")
def environment(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A virtual environment, as those of instances are."""
    folder = tmp_path_factory.mktemp(python.name)
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    return Environment(env_id=python.name, kind="local", python="/env/bin/python", path=str(folder))


def test_the_list_holds_every_file_that_says_so():
    """A file for the inside says it in its first words."""
    said = []
    for path in sorted((ROOT / "tasks").rglob("*.py")):
        words = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").lower().split())
        if "standard library" in words or "its text follows" in words:
            said.append(path.relative_to(ROOT).as_posix())
    assert said == sorted(INSIDE)


def test_they_import_with_the_standard_library_alone(python: Path) -> None:
    command = [python, "-I", "-S", "-c", IMPORT, str(ROOT), *INSIDE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [*python.name.removeprefix("python").split("."), str(len(INSIDE))]


@pytest.mark.parametrize("file", INSIDE)
def test_functions_import_nothing_else_either(file: str) -> None:
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"), feature_version=(3, 8))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            ours = name.replace(".", "/") + ".py" in INSIDE or name == "tasks.perftests.sources.asv.inside"
            assert ours or name.split(".")[0] in {*sys.stdlib_module_names, *BROUGHT.get(file, ())}, name


def test_their_syntax_and_annotations_are_the_oldest_interpreters() -> None:
    """Also where that interpreter is not at hand."""
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--target-version", "py38", "--select", "F,FA102"]
    done = subprocess.run([*ruff, *INSIDE], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_the_probe_times_both_dialects(environment: Environment, tmp_path: Path) -> None:
    kit = make_kit(tmp_path)
    base = kit.base.model_copy(update={"environment": environment})
    with open_sandbox(SandboxConfig()) as sandbox:
        for script, dialect in ((GOOD, "isobench"), (GSO, "gso")):
            with ProbeSession(sandbox, base, kit.work) as probe:
                probe.ping()
                probe.load(script, dialect)
                assert (probe.setup(7).digest is None) == (dialect == "gso")
                assert probe.run().wall_ns > 0
                assert decode(probe.result()[1:])[0][0].startswith("w")
                assert "kit/words.py" in probe.trace(7)


def test_the_gates_judge_a_perf_test(environment: Environment, tmp_path: Path) -> None:
    kit = make_kit(tmp_path)
    base, human = (one.model_copy(update={"environment": environment}) for one in (kit.base, kit.human))
    targets = find_targets(CHANGED, ["kit/words.py"], tmp_path / "base", tmp_path / "human")
    with open_sandbox(SandboxConfig()) as sandbox:
        bench = Bench(sandbox, kit.work, base, human, targets, limits_of(SandboxConfig(memory_mb=1024)))
        config = PerfTestConfig(min_duration_s=1e-6, gate_timeout_s=60, screen_rounds=0)
        verdict = run_gates(Proposal("it", "kit.words.Counter.top", GOOD, "seeded"), bench, config)
        assert verdict.accepted, verdict.reason
        assert {"values", "items", "nothing"} <= set(verdict.evidence.check_rejects)
        write(tmp_path / "base", BENCHMARKS)
        write(tmp_path / "human", BENCHMARKS)
        (found,) = from_benchmarks(
            kit.commit, ["kit.words.Counter.top"], PerfTestConfig(), sandbox=sandbox, work=kit.work, base=base,
            human=human, limits=bench.limits,
        )  # fmt: skip
        verdict = run_gates(found, bench, config)
        assert verdict.accepted, verdict.reason


BENCHMARKS = {
    "asv.conf.json": '{"benchmark_dir": "benchmarks", "project": "kit"}',
    "benchmarks/words.py": (
        "from kit.words import Counter\n\n\ndef time_top():\n    Counter.top(' '.join(map(str, range(300))), 200)\n"
    ),
}


def test_a_command_is_run_against_its_server(environment: Environment, tmp_path: Path) -> None:
    command = spec()
    base = arm(tmp_path, "base", files(FAST), environment)
    with open_sandbox(SandboxConfig()) as sandbox, CommandSession(sandbox, base, base, tmp_path, command) as running:
        assert running.start_server() > 0
        found = parse_output(command.parser, running.run_client(1).output, wanted_metrics(command), {})
        assert found["completed"] == 6
        running.stop_server()


def test_a_projects_own_code_is_taken_out(python: Path, tmp_path: Path) -> None:
    subprocess.run([python, "-m", "venv", "--without-pip", tmp_path / "env"], check=True, timeout=60)
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    record = "thing/__init__.py,,\nthing/_version.py,,\nthing-1.dist-info/METADATA,,\nthing-1.dist-info/RECORD,,\n"
    write(site, {"thing/__init__.py": "", "thing/_version.py": "v = 1", "thing-1.dist-info/METADATA": "Name: thing"})
    write(site, {"thing-1.dist-info/RECORD": record})
    write(tmp_path, {"checkout/src/thing/__init__.py": ""})
    about = {
        "metadata": ["thing-1.dist-info"], "names": [], "blobs": {"src/thing/__init__.py": EMPTY}, "tops": [],
        "modules": [],
    }  # fmt: skip
    write(tmp_path, {"about.json": json.dumps(about), "kept.json": '["thing/_version.py"]'})
    strip = [tmp_path / "env/bin/python", "-I", "-S", ROOT / "tasks/environments/inside/strip_project.py"]
    taken, found = tmp_path / "taken", tmp_path / "found.json"
    take = [*strip, "take", tmp_path / "env", tmp_path / "checkout", taken, tmp_path / "about.json", found]
    subprocess.run(take, timeout=60, check=True)
    subprocess.run([*strip, "keep", taken, tmp_path / "made", tmp_path / "kept.json"], timeout=60, check=True)
    assert sorted(json.loads(found.read_text())["files"]) == ["thing/__init__.py", "thing/_version.py"]
    assert [path.name for path in site.glob("thing*")] == ["thing-1.dist-info"]
    assert (tmp_path / "made/thing/_version.py").read_text() == "v = 1"


def test_an_arms_modules_are_found(python: Path, tmp_path: Path) -> None:
    write(tmp_path, {"arm/thing/__init__.py": "", "arm/thing/core.py": "", "elsewhere/thing/core.py": ""})
    command = [python, "-S", ROOT / "tasks/environments/inside/own_modules.py", tmp_path / "arm", '["."]', '["thing"]']
    variables = {"PYTHONPATH": str(tmp_path / "elsewhere"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=variables)
    copy = str(tmp_path / "elsewhere/thing/core.py")
    assert json.loads(done.stdout) == {"outside": [], "stale": [], "doubled": [["thing.core", copy]], "count": 2}
