"""Rows about perf tests and the models that write them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from storage.rows.base import Row


class PerfTest(Row):
    """A perf test that a source proposed: accepted or rejected, with the reason."""

    table: ClassVar[str] = "perf_tests"
    key_columns: ClassVar[tuple[str, ...]] = ("test_id",)

    test_id: str
    """Content hash of script, dialect, repository and sha: see `storage.ids.perf_test_id`."""
    repo: str
    """`owner/name`."""
    sha: str
    """The human commit for which it was written."""
    api: str
    """Name of what the script measures: a public API, a test or a benchmark."""
    script: str
    """The text of the script."""
    source: Literal["llm", "seeded", "pytest", "asv", "command", "instance"]
    """Who proposed it; `instance`: it came with an instance that is evaluated."""
    dialect: Literal["isobench", "gso", "command"] = "isobench"
    """`command`: `script` is a command with its server as JSON, see `perf_tests.commands`."""
    model: str | None = None
    """The model that wrote it; None without one."""
    prompt_sha: str | None = None
    """Hash of the prompt that it answers; None without a model."""
    attempts: int = 1
    """How many answers it took: 1 means the first was good."""
    cost_usd: float = 0.0
    """Its share of what the model's answers cost."""
    covered: list[str] = Field(default_factory=list)
    """Changed functions that the gate saw executing, named as in `Commit.functions_changed`."""
    base_duration_s: float | None = None
    """Duration of one experiment on base, as the gate measured it, in seconds."""
    line_share_base: float | None = None
    """Share of the lines of functions that the change takes away which the experiment runs on base, from 0 to 1."""
    line_share_human: float | None = None
    """Share of the lines of functions that the change adds which the experiment runs on human."""
    setup_share: float | None = None
    """Of the time in changed functions, the part that lies in setup and is never timed."""
    check_rejects: list[str] = Field(default_factory=list)
    """Kinds of wrong results that check_equivalence always rejects: `values`, `one value`, `items`, `order`, ..."""
    screen_speedup: float | None = None
    """Base's time over human's in the few rounds of the screen: a hint, no measurement."""
    results_compared: bool = True
    """Whether the result depends on the work, so that a wrong one is seen. False: it is the same for a stub, say
    `passed`, or a command's output of which nothing is compared; no success counts on such a test."""
    flags: list[str] = Field(default_factory=list)
    """`faster_only_when_repeated`: human gains only from the second call with the same input on, like a cache."""
    status: Literal["accepted", "rejected"]
    """`accepted`: it passed all gates."""
    reason: str = ""
    """The gate that rejected it and what the gate saw; empty when accepted."""


class LlmCall(Row):
    """One request to a model: what it was for and what it cost."""

    table: ClassVar[str] = "llm_calls"
    key_columns: ClassVar[tuple[str, ...]] = ("call_id",)

    call_id: str
    """Random, but for requests that wait and answers that were imported: of these a content hash."""
    repo: str
    """`owner/name`."""
    stage: str
    """The stage that asked: `mining`, `apis`, `perftests` or `statements`."""
    item: str
    """What was asked about: the human commit."""
    model: str
    """The model that was asked; after a fallback, that one."""
    request_key: str = ""
    """Name of the exact request: `isobench show prompt <request_key>` prints it."""
    prompt: str = ""
    """Name and version of the template, e.g. `perf_test v2`."""
    prompt_sha: str
    """Hash of the finished prompt."""
    tokens_in: int
    """Tokens of the prompt, as the provider counts them; 0 without an answer."""
    tokens_out: int
    """Tokens of the answer; 0 without one."""
    cost_usd: float
    """What the answer cost; 0 where it came from the cache."""
    cached: bool
    """Whether the answer came from the cache."""
    repaired: bool
    """Whether this was the second request, which says what was wrong with the first answer."""
    outcome: str
    """`ok`, `invalid: ...` (the answer cannot be used), `error: ...` (no answer), of a batch `waiting for an answer` or
    `imported`; `answered` until it was looked at; `lost: ...` if the process was killed while it was under way: the
    cost is then the most that it may have been."""
    called_at: datetime
    """When the answer, or the error, was there."""
