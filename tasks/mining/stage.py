"""Doors of the mining stage: synchronise the clone, mine its history, let a model classify the kept changes."""

from __future__ import annotations

import os
from typing import Any

from configs.models import LLMConfig, MiningConfig, RepositoryConfig
from configs.secrets import load_secrets
from storage.store import Store
from tasks.caching import cache_key, code_version
from tasks.decorators import stage_task
from tasks.llm import decides, template_text
from tasks.mining import classify, mine, spans
from tasks.mining.faults import is_outside_fault
from tasks.mining.git import clone
from tasks.mining.models import Chain, Classified, Clone, FetchedPullRequest, Mined, SpanChanged


def _mine_key(context: Any, parameters: dict[str, Any]) -> str:
    repository: RepositoryConfig = parameters["repository"]
    mining: MiningConfig = parameters["mining"]
    settings = mining.model_dump(mode="json", exclude={"max_candidates", "pull_requests"})
    return cache_key(
        "mining", "mine_repository", repository.name, repository.languages, settings, parameters["head_sha"]
    )


def _sync_key(context: Any, parameters: dict[str, Any]) -> str | None:
    repository: RepositoryConfig = parameters["repository"]
    with clone.credentials(not parameters.get("anonymous", False)):
        state = clone.remote_state(repository, Store(parameters["store"]))
    return state and cache_key("mining", "sync_repository", repository.name, repository.branch, state)


def _classify_key(context: Any, parameters: dict[str, Any]) -> str:
    llm: LLMConfig = parameters["llm"]
    asked = decides(llm)
    template = template_text(classify.PROMPT)
    name, sha = parameters["repository"].name, parameters["sha"]
    said = classify.said_of(Store(parameters["store"]), name, sha)
    text = said and said.model_dump(mode="json", exclude={"etag", "fetched_at"})
    templates = [template, template_text("background"), template_text("repair")]
    return cache_key("mining", "classify_commit", name, sha, asked, templates, text, services=("llm",))


def _token() -> str | None:
    token = load_secrets().ghapi_token
    return token.get_secret_value() if token else None


def _pull_key(context: Any, parameters: dict[str, Any]) -> str:
    asked = (parameters["repository"].name, parameters["number"], parameters["refresh"])
    return cache_key("mining", "fetch_pull_request", *asked, _token() is not None)


@stage_task(
    _sync_key,
    name="synchronise clone",
    run_name="clone of {repository.name}",
    tags=["network"],
    retries=4,
    wait_s=3,
    outside=is_outside_fault,
    timeout_s=3 * 3600,
)
def sync_repository(repository: RepositoryConfig, store: str, anonymous: bool = False) -> Clone:
    """Clone the repository or fetch what is new; says where its branch stands.

    `anonymous`: a file that the user may not have written names the repository, so git uses no credentials of the user.
    Cached only while no branch or tag of the remote has moved.
    """
    with clone.credentials(not anonymous):
        return clone.sync_repository(repository, Store(store, run="sync"))


@stage_task(
    _mine_key,
    name="mine repository",
    run_name="mine {repository.name} at {head_sha:.10}",
    tags=["mining"],
    retries=2,
    outside=is_outside_fault,
    timeout_s=6 * 3600,
)
def mine_repository(repository: RepositoryConfig, mining: MiningConfig, head_sha: str, store: str) -> Mined:
    """Filter every change of the first-parent history; rows in `commits`. Only new changes are read."""
    return mine.mine_repository(repository, mining, head_sha, Store(store, run="mine"), code_version("mining"))


@stage_task(
    _classify_key,
    name="classify commit",
    run_name="classify {repository.name} {sha:.10}",
    tags=["llm"],
    retries=2,
    outside=is_outside_fault,
    timeout_s=1800,
)
def classify_commit(repository: RepositoryConfig, sha: str, llm: LLMConfig, store: str) -> Classified:
    """Ask a model whether a kept change is about performance; a newer row in `commits` holds its verdict."""
    return classify.classify_commit(repository, sha, llm, Store(store, run="classify"))


@stage_task(
    _pull_key,
    name="fetch pull request",
    run_name="pull request {number} of {repository.name}",
    tags=["network"],
    retries=3,
    outside=is_outside_fault,
    timeout_s=900,
)
def fetch_pull_request(repository: RepositoryConfig, number: int, store: str, refresh: str = "") -> FetchedPullRequest:
    """Fetch a pull request's text from GitHub into `pull_requests`; without GHAPI_TOKEN the status is `skipped`.

    A number is fetched once; another `refresh`, such as a date, asks for a newer version. GITHUB_API_URL
    names another server than github.com's.
    """
    from tasks.mining.pulls import fetch
    from tasks.mining.pulls.github import API

    api = os.environ.get("GITHUB_API_URL", API)
    return fetch.fetch_pull_request(repository, number, Store(store, run="pulls"), _token(), api)


def _chain_key(context: Any, parameters: dict[str, Any]) -> str:
    mining: MiningConfig = parameters["mining"]
    bounds = [mining.since, mining.until, mining.max_commits]
    return cache_key("mining", "read_chain", parameters["repository"].name, bounds, parameters["head_sha"])


def _span_key(context: Any, parameters: dict[str, Any]) -> str:
    repository: RepositoryConfig = parameters["repository"]
    of = (repository.name, repository.languages, parameters["mining"].exclude_paths)
    return cache_key("mining", "read_span", *of, parameters["base_sha"], parameters["head_sha"])


@stage_task(
    _chain_key,
    name="read chain",
    run_name="history of {repository.name} at {head_sha:.10}",
    tags=["mining"],
    retries=2,
    outside=is_outside_fault,
    timeout_s=1800,
)
def read_chain(repository: RepositoryConfig, mining: MiningConfig, head_sha: str, store: str) -> Chain:
    """The commits of the main branch within the configured dates and number, oldest first."""
    return spans.read_chain(repository, mining, head_sha, Store(store))


@stage_task(
    _span_key,
    name="read span",
    run_name="changes of {repository.name} {base_sha:.10} to {head_sha:.10}",
    tags=["mining"],
    retries=2,
    outside=is_outside_fault,
    timeout_s=1800,
)
def read_span(
    repository: RepositoryConfig, mining: MiningConfig, base_sha: str, head_sha: str, store: str
) -> SpanChanged:
    """Code files and functions that differ between two commits of the main branch."""
    return spans.read_span(repository, mining, base_sha, head_sha, Store(store))
