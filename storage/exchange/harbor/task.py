"""One instance as a task folder of Harbor (task.toml 1.4).

The agent's container holds the repository at base and its environment. What judges is a container of its own
(`environment_mode = "separate"`), which alone has the perf tests, the human's patch and isobench; it gets the agent's
workspace as Harbor's artifact, and holds it against a base of its own.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import UserError
from configs.escaping import for_file_name, for_json_line
from configs.models import TimingConfig
from storage.exchange.harbor import texts
from storage.tables import Instance

SCHEMA_VERSION = "1.4"
AGENT_S = 120 * 60.0
"""ISO-Bench's time for an attempt, in seconds."""
STARTING_S = 300.0
"""For what judging needs beside timing and tests: a server, checkouts, imports."""
TIMING = TimingConfig(max_rounds=300, budget_s=120)
"""A patch as fast as the human's needs many rounds to be told from a slower one; most tests end long before."""


@dataclass(frozen=True)
class TaskFiles:
    """What a task is made of beside its instance."""

    bundle: Path
    """The repository as `git bundle`: one commit, with base's files."""
    base_commit: str
    """That commit, which has another name than the real one."""
    wheel: Path
    constraints: str
    image: str
    """That both containers are made from; it holds a `python3` that isobench runs with (3.11 or newer)."""
    tests_s: float = 60.0
    """For the repository's own tests, in seconds."""


def task_name(instance_id: str) -> str:
    """The folder's name, and the task's below `isobench/`."""
    name = re.sub(r"\.{2,}", ".", for_file_name(instance_id))
    return name if name[0].isalnum() else f"i{name}"


def write_task(out: Path, row: Instance, files: TaskFiles) -> Path:
    """Write the folder `<out>/<name of the task>`; returns it. Raises UserError if it is there or cannot be written."""
    folder = out / task_name(row.instance_id)
    if folder.exists():
        raise UserError(f"{folder} exists: remove it, or name another folder with --out")
    row = row.model_copy(update={"repo_url": "/repository", "base_commit": files.base_commit, "head_commit": ""})
    wheel = files.wheel.name
    contents = {
        "instruction.md": instruction(row),
        "task.toml": texts.toml(task_toml(row, files)),
        "environment/Dockerfile": texts.environment_dockerfile(files.image, wheel),
        "environment/instance.jsonl": for_json_line(_for_agents(row).model_dump(mode="json")) + "\n",
        "environment/constraints.txt": files.constraints,
        "tests/Dockerfile": texts.tests_dockerfile(files.image, wheel),
        "tests/test.sh": texts.TEST_SH.format(workspace=texts.WORKSPACE),
        "tests/instance.jsonl": for_json_line(row.model_dump(mode="json")) + "\n",
        "tests/timing.json": TIMING.model_dump_json(exclude_unset=True) + "\n",
        "tests/constraints.txt": files.constraints,
        "solution/solve.sh": texts.SOLVE_SH.format(workspace=texts.WORKSPACE),
        "solution/human.patch": row.patch,
    }
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        for name, text in contents.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
            path.chmod(0o755 if name.endswith(".sh") else 0o644)
        for part in ("environment", "tests"):
            shutil.copyfile(files.bundle, temporary / part / "repository.bundle")
            shutil.copyfile(files.wheel, temporary / part / wheel)
        temporary.rename(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def instruction(row: Instance) -> str:
    """What the agent is told: the statement, where things are, and how its change is judged."""
    statement = row.problem_statement.strip() or f"# Make {row.api or 'this project'} faster"
    api = f" Timed is `{row.api}`." if row.api else ""
    return texts.INSTRUCTION.format(statement=statement, workspace=texts.WORKSPACE, api=api)


def task_toml(row: Instance, files: TaskFiles) -> dict[str, Any]:
    """The task's settings. The verifier needs no network once its image is built; the agent's is the user's to set."""
    tests = max(1, len(row.efficiency_test))
    judging = STARTING_S + tests * TIMING.budget_s * 2 + files.tests_s * 3
    machine = {"build_timeout_sec": 1800.0, "cpus": 2, "memory_mb": 8192, "storage_mb": 10240}
    return {
        "schema_version": SCHEMA_VERSION,
        "artifacts": [{"source": texts.WORKSPACE, "exclude": [".git"]}],
        "task": {
            "name": f"isobench/{task_name(row.instance_id)}",
            "description": f"Make {row.api or row.repo} faster",
            "keywords": ["performance", "optimization"],
        },
        "metadata": {
            "instance_id": row.instance_id, "repo": row.repo, "human_speedup": row.human_performance or 0.0,
            "perf_tests": len(row.efficiency_test),
        },
        "agent": {"timeout_sec": AGENT_S},
        "verifier": {
            "timeout_sec": judging, "environment_mode": "separate",
            "environment": {"network_mode": "no-network", **machine},
        },
        "environment": {"workdir": texts.WORKSPACE, **machine},
    }  # fmt: skip


def _for_agents(row: Instance) -> Instance:
    """What building the agent's environment needs of an instance, and nothing that tells the answer."""
    return Instance(
        instance_id=row.instance_id, repo=row.repo, repo_url=row.repo_url, created_at=row.created_at,
        base_commit=row.base_commit, head_commit="", patch="", efficiency_test=[],
        setup_commands=row.setup_commands, install_commands=row.install_commands, environment=row.environment,
    )  # fmt: skip
