"""Door of the apis stage: which public functions reach what a commit changed."""

from __future__ import annotations

from typing import Any

from configs.models import LLMConfig, RepositoryConfig
from storage.store import Store
from tasks.apis import find, rank
from tasks.apis.models import FoundApis
from tasks.caching import cache_key, code_version
from tasks.decorators import stage_task
from tasks.llm import LlmError, decides


def _apis_key(context: Any, parameters: dict[str, Any]) -> str:
    llm: LLMConfig | None = parameters["llm"]
    asked: list[Any] = []
    if llm is not None:
        asked = [decides(llm), parameters.get("discussion", ""), *rank.prompt_texts()]
    # the functions changed follow from the commit and from mining's code
    name, mined_by = parameters["repository"].name, code_version("mining")
    services = ("llm",) if llm is not None else ()
    return cache_key("apis", "find_apis", name, parameters["sha"], mined_by, *asked, services=services)


def _outside(error: object) -> bool:
    return error.transient if isinstance(error, LlmError) else isinstance(error, OSError)


@stage_task(
    _apis_key,
    name="find apis",
    run_name="apis of {repository.name} {sha:.10}",
    tags=["apis"],
    retries=2,
    outside=_outside,
    timeout_s=1800,
)
def find_apis(
    repository: RepositoryConfig, sha: str, llm: LLMConfig | None, store: str, discussion: str = ""
) -> FoundApis:
    """Find the public names that reach a kept commit's changed functions, and rank them; rows in `apis`.

    `discussion` is the hash of what was said about the change, so that a model is asked again about a newer one.
    """
    return find.find_apis(repository, sha, llm, Store(store, run="apis"))
