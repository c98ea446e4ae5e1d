"""Door of the statements stage: what agents are told about an instance."""

from __future__ import annotations

from typing import Any

from configs.models import LLMConfig, RepositoryConfig
from storage.store import Store
from tasks.caching import cache_key, code_version
from tasks.decorators import stage_task
from tasks.llm import LlmError, decides, template_text
from tasks.statements import writing
from tasks.statements.writing import Stated


def _key(context: Any, parameters: dict[str, Any]) -> str:
    llm: LLMConfig | None = parameters["llm"]
    asked = [decides(llm), parameters["discussion"]] if llm is not None else []
    name, sha = parameters["repository"].name, parameters["sha"]
    templates = [template_text(template) for template in writing.TEMPLATES]
    return cache_key(
        "statements",
        "write_statement",
        name,
        sha,
        code_version("mining"),  # the patch follows from the commit and from mining's code
        code_version("apis"),
        sorted(parameters["test_ids"]),
        templates,
        *asked,
        services=("llm",),
    )


def _outside(error: object) -> bool:
    return error.transient if isinstance(error, LlmError) else isinstance(error, OSError)


@stage_task(
    _key,
    name="write statement",
    run_name="statement of {repository.name} {sha:.10}",
    tags=["llm"],
    retries=2,
    outside=_outside,
    timeout_s=1800,
)
def write_statement(
    repository: RepositoryConfig,
    sha: str,
    llm: LLMConfig | None,
    test_ids: list[str],
    store: str,
    discussion: str = "",
) -> Stated:
    """Write what is slow, for agents, and hold it against the human's diff; a row in `statements`.

    `test_ids` are the instance's perf tests; `discussion` is the hash of the pull request's text, so that a newer text
    is asked about again. Without a model a template is filled in.
    """
    return writing.write_statement(repository.name, sha, llm, test_ids, Store(store, run="statements"))
