"""Content hashes: the names of things that must not depend on paths, times or run ids."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

PATCH_ARM = "patch:"
"""Names of arms with a patch begin so."""


def content_hash(*parts: Any, length: int = 16) -> str:
    """Hex digest of `length` characters over JSON-like values, pydantic models and bytes.

    Equal content gives equal hashes on every machine and Python version. Raises TypeError for a value that has no
    canonical JSON form, so that nothing is hashed by its repr.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            data = b"b" + part
        else:
            data = b"j" + json.dumps(part, default=_jsonable, sort_keys=True, ensure_ascii=False).encode(
                "utf-8", "surrogatepass"
            )
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:length]


def _jsonable(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no canonical form to hash")


def perf_test_id(repo: str, sha: str, script: str, dialect: str) -> str:
    """Key of a perf test."""
    return content_hash("perf_test", repo, sha, script, dialect)


def patch_id(patch: str) -> str:
    """Key of a patch's text: two predictions with the same text are the same arm."""
    return content_hash("patch", patch, length=12)


def patch_arm(key: str) -> str:
    """Name of the arm of the patch with this `patch_id`, in sessions and rows."""
    return f"{PATCH_ARM}{key}"


def patch_of(arm: str) -> str:
    """The `patch_id` of the patch that an arm of this name has; empty for `base`, `human` and `main`."""
    return arm.removeprefix(PATCH_ARM) if arm.startswith(PATCH_ARM) else ""


def prediction_id(instance_id: str, model: str, agent: str, sample: int, patch: str) -> str:
    """Key of a prediction."""
    return content_hash("prediction", instance_id, model, agent, sample, patch)


def instance_id(repo: str, head_commit: str, pr_number: int | None) -> str:
    """`owner__repo-PR-<n>`, or `owner__repo-<sha7>` where no pull request is known."""
    owner_repo = repo.replace("/", "__")
    return f"{owner_repo}-PR-{pr_number}" if pr_number else f"{owner_repo}-{head_commit[:7]}"
