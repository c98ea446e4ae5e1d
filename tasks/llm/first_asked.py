"""Measured values in requests: they stay as they were when the question was first put.

No clock says the same twice. A request that quotes one would be another request in every run: answers from a batch file
would fit nothing that is asked, and a run that was killed would pay again. So a request is known by what it is about,
and its text is kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from storage.ids import content_hash
from tasks.llm.folder import cache_folder
from tasks.llm.models import Prompt
from tasks.sandbox import foreign

if TYPE_CHECKING:
    from storage.store import Store


def as_first_asked(store: Store, now: Prompt, about: Prompt, before: Sequence[str] = ()) -> Prompt:
    """The prompt as it was when the same was first asked, or `now`, which is kept.

    `about` is `now` without its measured values; together with `before`, what was said earlier in the conversation, it
    says what is asked. Another version of the template is another question. Raises StoreError.
    """
    folder = cache_folder(store)
    key = content_hash("first asked", about.sha, list(before), length=40)
    name = f"first/{key[:2]}/{key}.json"
    try:
        kept = json.loads(foreign.read(folder, name))
    except (OSError, ValueError, RecursionError):
        kept = None
    if isinstance(kept, str):
        return replace(now, user=kept, sha=content_hash("prompt", now.name, now.version, now.system, kept))
    folder.mkdir(parents=True, exist_ok=True)
    foreign.replace(folder, name, json.dumps(now.user, ensure_ascii=False).encode())
    return now
