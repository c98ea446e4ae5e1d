"""Finds the repository's own tests that execute the difference between two commits, as workloads for a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from configs.models import PerfTestConfig, SandboxConfig
from storage.ids import perf_test_id
from storage.store import Store
from storage.tables import Commit
from tasks.perftests.models import FoundTest, FoundTests
from tasks.perftests.sources.pytest.source import from_tests
from tasks.perftests.sources.workloads import NothingFound
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.models import Arm


def find_tests(
    repo: str,
    config: PerfTestConfig,
    sandbox_config: SandboxConfig,
    files: Sequence[str],
    functions: Sequence[str],
    base: Arm,
    human: Arm,
    store: Store,
) -> FoundTests:
    """At most `tests_per_commit` tests. No gate judges them, and only their own asserts compare results.

    Raises SandboxError.
    """
    span = Commit(
        repo=repo, sha=human.arm_id, parent_sha=None, author_date=datetime.now(UTC), subject="", message="",
        files=list(files), functions_changed=list(functions), kept=True, reason="",
    )  # fmt: skip
    sandbox = open_sandbox(sandbox_config)
    try:
        offered = from_tests(
            span, [], config, sandbox=sandbox, work=store.work, base=base, human=human,
            limits=limits_of(sandbox_config), compare=False,
        )  # fmt: skip
    except NothingFound as error:
        return FoundTests(reason=str(error))
    finally:
        sandbox.close()
    return FoundTests(
        tests=[
            FoundTest(test_id=perf_test_id(repo, span.sha, one.script, one.dialect), name=one.name, script=one.script)
            for one in offered[: config.tests_per_commit]
        ]
    )
