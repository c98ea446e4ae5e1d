"""Door of the perftests stage: from a commit and its APIs to scripts that passed the gates."""

from __future__ import annotations

from typing import Any

from configs.models import LLMConfig, PerfTestConfig, RepositoryConfig, SandboxConfig
from storage.store import Store
from storage.tables import Api
from tasks.caching import cache_key, code_version
from tasks.decorators import stage_task
from tasks.llm import LlmError, decides
from tasks.perftests import finding, writing
from tasks.perftests.models import FoundTests, Written
from tasks.perftests.sources.llm import prompt_texts
from tasks.sandbox.models import Arm, SandboxError


def _key(context: Any, parameters: dict[str, Any]) -> str:
    config: PerfTestConfig = parameters["perf_tests"]
    llm: LLMConfig | None = parameters["llm"] if "llm" in config.sources else None
    asked: list[Any] = []
    if llm is not None:
        asked = [decides(llm), parameters.get("discussion", ""), *prompt_texts()]
    name, sha = parameters["repository"].name, parameters["sha"]
    apis = Store(parameters["store"]).rows(Api, name, sha=sha)
    return cache_key(
        "perftests",
        "write_perf_tests",
        name,
        sha,
        code_version("mining"),  # the functions changed follow from the commit and from mining's code
        sorted([api.rank, api.api] for api in apis),
        config.model_dump(mode="json", exclude={"seeded"}),  # those are paths; their texts count
        parameters["seeded"] if "seeded" in config.sources else [],
        parameters["sandbox"],
        [parameters["base"].arm_id, parameters["human"].arm_id],
        *asked,
        services=("sandbox", "llm") if llm is not None else ("sandbox",),
    )


def _outside(error: object) -> bool:
    return error.transient if isinstance(error, LlmError) else isinstance(error, OSError | SandboxError)


@stage_task(
    _key,
    name="write perf tests",
    run_name="perf tests of {repository.name} {sha:.10}",
    tags=["perftests"],
    retries=2,
    outside=_outside,
    timeout_s=7200,
)
def write_perf_tests(
    repository: RepositoryConfig,
    perf_tests: PerfTestConfig,
    llm: LLMConfig | None,
    sandbox: SandboxConfig,
    sha: str,
    base: Arm,
    human: Arm,
    seeded: list[str],
    store: str,
    discussion: str = "",
) -> Written:
    """Ask the configured sources for perf tests of a kept commit and put each through the gates; rows in `perf_tests`.

    `seeded` are texts of the user's own scripts for this commit; `discussion` is the hash of the pull request's
    discussion, so that a newer discussion leads to a new request. The APIs are read from table `apis`. A script that
    fails a gate is a row with its reason; only outside faults (model, sandbox) fail the task.
    """
    return writing.write_perf_tests(
        repository.name, perf_tests, llm, sandbox, sha, base, human, seeded, Store(store, run="perftests")
    )


def _find_key(context: Any, parameters: dict[str, Any]) -> str:
    config: PerfTestConfig = parameters["perf_tests"]
    return cache_key(
        "perftests", "find_tests", parameters["repo"], parameters["files"], parameters["functions"],
        config.model_dump(mode="json", include={"tests_per_commit", "gate_timeout_s", "max_duration_s"}),
        parameters["sandbox"], [parameters["base"].arm_id, parameters["human"].arm_id], services=("sandbox",),
    )  # fmt: skip


@stage_task(
    _find_key,
    name="find tests",
    run_name="tests of {repo} in {base.checkout}",
    tags=["perftests"],
    retries=2,
    outside=_outside,
    timeout_s=7200,
)
def find_tests(
    repo: str,
    perf_tests: PerfTestConfig,
    sandbox: SandboxConfig,
    files: list[str],
    functions: list[str],
    base: Arm,
    human: Arm,
    store: str,
) -> FoundTests:
    """The repository's own tests that execute changed functions on `base`, as scripts; results are not compared."""
    return finding.find_tests(repo, perf_tests, sandbox, files, functions, base, human, Store(store))
