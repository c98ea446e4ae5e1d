"""What models cost, by stage and by commit, from table `llm_calls`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from storage.store import Store
from storage.tables import LlmCall
from tasks.llm.buying import WAITING


def costs(store: Store, by: Sequence[str], item: str | None = None) -> list[dict[str, Any]]:
    """One row per value of the columns `by`, dearest first: `requests, repairs, from_cache, tokens_in, tokens_out,
    cost_usd`.

    Tokens and dollars are those of answers that were bought, sent for or imported; one from the cache cost nothing.
    `item` is a sha or the start of one: only what was asked about it.
    """
    calls = store.frame(LlmCall).filter(~pl.col("outcome").str.starts_with(WAITING))
    if item:
        calls = calls.filter(pl.col("item").str.starts_with(item))
    bought = ~pl.col("cached")
    found = calls.group_by(list(by)).agg(
        bought.sum().alias("requests"),
        (bought & pl.col("repaired")).sum().alias("repairs"),
        pl.col("cached").sum().alias("from_cache"),
        pl.col("tokens_in").filter(bought).sum(),
        pl.col("tokens_out").filter(bought).sum(),
        pl.col("cost_usd").filter(bought).sum(),
    )
    return found.sort("cost_usd", *by, descending=[True, *[False] * len(by)]).to_dicts()
