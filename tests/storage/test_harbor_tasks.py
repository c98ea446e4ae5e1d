"""Harbor's task folders: all that Harbor wants, and nothing of the answer where the agent is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from configs.errors import UserError
from storage.exchange.harbor import TaskFiles, constraints, task_name, write_task, write_wheel
from storage.exchange.harbor.texts import toml
from storage.tables import Instance
from tasks.code.leaks import find_leaks
from tests.storage.test_exports import instance

PATCH = """--- a/logkit/frames.py
+++ b/logkit/frames.py
@@ -1,2 +1,3 @@
 def split_frames(buffer):
-    return slow(buffer)
+    already_seen = memoryview(buffer)
+    return [already_seen[place : place + 4] for place in offsets_of(already_seen)]
"""


@pytest.fixture
def row() -> Instance:
    return instance(
        1, patch=PATCH, problem_statement="split_frames is slow\n\nFor large buffers.", pass_to_pass=["tests/a.py::b"],
        test_patch="--- a/tests/t.py\n+++ b/tests/t.py\n@@ -0,0 +1 @@\n+assert split_frames(secret_case_of_theirs)\n",
    )  # fmt: skip


@pytest.fixture
def files(tmp_path) -> TaskFiles:
    for name in ("repository.bundle", "isobench-1-py3-none-any.whl"):
        (tmp_path / name).write_bytes(name.encode())
    wheel = tmp_path / "isobench-1-py3-none-any.whl"
    return TaskFiles(tmp_path / "repository.bundle", "c" * 40, wheel, "numpy==2.0\n", "python:3.11-slim")


def test_a_folder_has_all_that_harbor_wants(row, files, tmp_path):
    folder = write_task(tmp_path / "tasks", row, files)
    settings = tomllib.loads((folder / "task.toml").read_text())
    assert settings["schema_version"] == "1.4"
    assert settings["task"]["name"] == "isobench/acme__logkit-PR-1"
    assert settings["verifier"]["environment_mode"] == "separate"
    assert settings["verifier"]["environment"]["network_mode"] == "no-network"
    assert settings["artifacts"] == [{"source": "/workspace", "exclude": [".git"]}]
    for name in ("environment/Dockerfile", "tests/Dockerfile", "tests/test.sh", "solution/solve.sh"):
        assert (folder / name).is_file()
    for name in ("tests/test.sh", "solution/solve.sh"):
        assert (folder / name).stat().st_mode & 0o111
        subprocess.run(["sh", "-n", str(folder / name)], check=True)
    judged = Instance.model_validate_json((folder / "tests" / "instance.jsonl").read_text())
    assert (judged.patch, judged.efficiency_test, judged.base_commit) == (PATCH, row.efficiency_test, "c" * 40)
    assert (folder / "solution" / "human.patch").read_text() == PATCH


def test_what_the_agent_sees_holds_nothing_of_the_answer(row, files, tmp_path):
    folder = write_task(tmp_path / "tasks", row, files)
    told = [folder / "instruction.md", folder / "task.toml"]
    for path in [*told, *(folder / "environment").iterdir()]:
        text = path.read_text(errors="replace")
        assert find_leaks(text, PATCH).rate == 0, path
        assert "secret_case_of_theirs" not in text
        assert "experiment" not in text, path
    assert "split_frames is slow" in told[0].read_text()


def test_a_folder_that_is_there_stays(row, files, tmp_path):
    write_task(tmp_path / "tasks", row, files)
    with pytest.raises(UserError, match=r"acme__logkit-PR-1 exists: remove it"):
        write_task(tmp_path / "tasks", row, files)


@pytest.mark.parametrize("name", ["../../x", "-rf", "a..b", "ü b", ".hidden", "x" * 300])
def test_any_id_becomes_a_name_that_harbor_takes(name):
    made = task_name(name)
    assert made[0].isalnum()
    assert ".." not in made
    assert made.replace("_", "").replace("-", "").replace(".", "").isalnum()
    assert made != task_name(name + "x")


def test_toml_reads_back():
    value = {
        "top": [{"a": 'x"\\\n\x7f\u2028ü\U0001f600', "b": [1, 2.5, True]}],
        "table": {"text": "", "deeper": {"number": -3}},
    }
    assert tomllib.loads(toml(value)) == value


def test_the_wheel_is_this_isobench(tmp_path):
    wheel, target = write_wheel(tmp_path), tmp_path / "installed"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-compile",
        "--no-index",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    said = subprocess.run(
        [sys.executable, "-c", "import flows.cli; flows.cli.main()", "agents", "list"],
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin"}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "mini-swe-agent" in said.stdout
    ours = {path.relative_to("configs") for path in Path("configs").rglob("*.*") if "__pycache__" not in path.parts}
    assert ours == {
        path.relative_to(target / "configs")
        for path in (target / "configs").rglob("*.*")
        if "__pycache__" not in path.parts
    }
    assert write_wheel(tmp_path).read_bytes() == wheel.read_bytes()
    assert "pydantic==" in constraints()
    assert "isobench==" not in constraints()
