"""The texts of a task folder: what Docker, Harbor and the shell read."""

from __future__ import annotations

import json
from typing import Any

WORKSPACE = "/workspace"
"""Where the agent finds the repository."""
_PROGRAMS = (
    "RUN {{ command -v {last} && command -v git; }} >/dev/null || {{ apt-get update -q && apt-get install -q -y "
    "--no-install-recommends {names} && rm -rf /var/lib/apt/lists/*; }}"
)
_ISOBENCH = """# the same layers in every task
COPY constraints.txt {wheel} /opt/
RUN python3 -m venv /opt/isobench \\
 && /opt/isobench/bin/pip install -q --no-cache-dir -c /opt/constraints.txt /opt/{wheel}
ENV UV_PYTHON_INSTALL_DIR=/opt/pythons PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=1"""

ENVIRONMENT = """# The repository at its base commit, without a past or a future, in the environment of its day.
# isobench builds it in the first stage and stays there, as do tests and human patch, which are in tests/ only.
FROM {image} AS builder
{tools}
{isobench}
COPY . /build
RUN git clone -q /build/repository.bundle /repository && mkdir -p /opt/pythons \\
 && /opt/isobench/bin/isobench harbor prepare /build --workspace {workspace} --environment /env

FROM {image}
{git}
COPY --from=builder /opt/pythons /opt/pythons
COPY --from=builder /env /env
COPY --from=builder {workspace} {workspace}
ENV PATH=/env/bin:$PATH
WORKDIR {workspace}
"""

TESTS = """# What judges: isobench, the perf tests, repository and environment; apart from the agent's container.
FROM {image}
{tools}
{isobench}
COPY . /tests
RUN git clone -q /tests/repository.bundle /repository && mkdir -p /opt/pythons \\
 && chmod 755 /tests/test.sh && /opt/isobench/bin/isobench harbor prepare /tests
"""

TEST_SH = """#!/bin/sh
# Times base, human and what the agent left in {workspace} in one session, and runs the repository's own tests on it.
# Writes /logs/verifier/reward.json, model.patch and scores.json; ends without a reward if nothing could be timed.
mkdir -p /logs/verifier
exec /opt/isobench/bin/isobench harbor judge /tests --workspace {workspace} --out /logs/verifier
"""

SOLVE_SH = """#!/bin/sh
# The human's change.
set -e
cd {workspace}
git apply --whitespace=nowarn "$(dirname "$0")/human.patch"
"""

INSTRUCTION = """{statement}

The repository is in `{workspace}`, at the commit before anybody made this faster; `python` is that of its
environment, and imports the package from there.{api} Make it faster for any realistic input, and change nothing that it
computes: the same results for the same inputs, inputs left as they were, and the repository's own tests pass.

Your change is what differs in `{workspace}` when you are done; nothing needs to be committed. It is timed beside the
original and beside a change by the project's own developers, call by call on the same inputs, which are new every time.
What only looks faster (caching results between calls, moving work out of the timed call, detecting that it is measured)
does not count.
"""


def environment_dockerfile(image: str, wheel: str) -> str:
    """Of the agent's container."""
    return _dockerfile(ENVIRONMENT, image, wheel)


def tests_dockerfile(image: str, wheel: str) -> str:
    """Of the container that judges."""
    return _dockerfile(TESTS, image, wheel)


def _dockerfile(text: str, image: str, wheel: str) -> str:
    isobench = _ISOBENCH.format(wheel=wheel)
    tools = _PROGRAMS.format(last="bwrap", names="git bubblewrap")
    git = _PROGRAMS.format(last="git", names="git")
    return text.format(image=image, git=git, tools=tools, isobench=isobench, workspace=WORKSPACE)


def toml(value: dict[str, Any]) -> str:
    """Tables of plain values as TOML: what `tomllib` reads back. Values of the first level come before all tables."""
    lines = [f"{name} = {_toml(item)}" for name, item in value.items() if not isinstance(item, dict)]
    for name, table in value.items():
        if isinstance(table, dict):
            lines += ["", *_table(name, table)]
    return "\n".join(lines) + "\n"


def _table(name: str, table: dict[str, Any]) -> list[str]:
    lines = [f"[{name}]"]
    lines += [f"{key} = {_toml(item)}" for key, item in table.items() if not isinstance(item, dict)]
    for key, item in table.items():
        if isinstance(item, dict):
            lines += ["", *_table(f"{name}.{key}", item)]
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    # JSON's strings, numbers and booleans are TOML's, but for halves of surrogate pairs and the character DEL
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    return _toml(value)
