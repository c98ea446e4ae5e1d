"""What was asked about an item, word for word."""

from __future__ import annotations

from dataclasses import dataclass

from configs.errors import UserError
from storage.store import Store
from storage.tables import LlmCall
from tasks.llm.cache import ReplyCache
from tasks.llm.folder import cache_folder
from tasks.llm.requests import Requests


@dataclass(frozen=True)
class Asked:
    """One request with the messages that were sent, and the reply if there is one."""

    call: LlmCall
    messages: tuple[dict[str, str], ...]
    reply: str | None


def find_asked(store: Store, item: str, stage: str | None = None) -> list[Asked]:
    """The newest request of each stage about `item` (its conversation holds the earlier ones), or one request.

    `item` is a sha, a `call_id` or a `request_key`, or the start of one, or a `custom_id` of a batch file. Raises
    UserError if nothing fits, or if what fits is no longer kept.
    """
    item = item.rpartition("-")[2] if "-turn" in item else item
    calls = [
        call
        for call in store.rows(LlmCall)
        if stage in (None, call.stage)
        and any(name.startswith(item) for name in (call.item, call.call_id, call.request_key))
    ]
    if not calls:
        of_stage = f" of stage {stage}" if stage else ""
        raise UserError(f"no request{of_stage} about {item!r} in {store.root}; `isobench show llm_calls` lists them")
    newest = {(call.stage, call.item): call for call in sorted(calls, key=lambda call: call.called_at)}
    folder = cache_folder(store)
    requests, replies = Requests(folder), ReplyCache(folder)
    found = []
    for call in newest.values():
        request = requests.get(call.request_key)
        if request is not None:
            reply = replies.get(call.request_key)
            found.append(Asked(call, request.messages, reply.text if reply else None))
    if not found:
        raise UserError(
            f"the text of request {calls[-1].request_key[:12] or item} is gone: {folder} was deleted or moved"
        )
    return found
