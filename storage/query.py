"""Questions to a table: what `isobench show TABLE --where EXPRESSION` prints."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from configs.errors import UserError
from storage.store import Store
from storage.tables import TABLES, Row

DEFAULT_COLUMNS: dict[str, tuple[str, ...]] = {
    "commits": ("sha", "author_date", "kept", "score", "reason", "subject"),
    "apis": ("sha", "rank", "api", "source", "evidence"),
    "perf_tests": ("test_id", "sha", "source", "status", "api", "reason"),
    "measurements": ("test_id", "arm", "process", "round", "wall_ns", "number", "correct"),
    "comparisons": ("test_id", "arm", "ratio", "ci_low", "ci_high", "status", "verdict"),
    "metric_comparisons": ("test_id", "arm", "against", "metric", "ratio", "ci_low", "ci_high", "verdict"),
    "machines": ("machine_id", "cpu_model", "cores", "memory_mb", "kernel"),
    "instances": ("instance_id", "human_performance", "human_ci_low", "human_ci_high", "api"),
    "attempts": ("agent", "model", "instance_id", "sample", "status", "cost_usd", "reason"),
    "predictions": ("prediction_id", "instance_id", "agent", "model", "sample", "status", "cost_usd"),
    "scores": ("instance_id", "model", "sample", "status", "speedup_human", "opt_human"),
    "opt_at_k": ("run_id", "model", "k", "opt", "ci_low", "ci_high", "n_instances", "n_samples"),
    "funnel": ("run_id", "stage", "key", "outcome", "reason"),
    "llm_calls": ("stage", "item", "model", "tokens_in", "tokens_out", "cost_usd", "outcome"),
}
"""What fits a terminal; a table that is not named here shows its first eight columns."""

BEST_FIRST = {"commits": "score"}
"""Tables that are shown by a column, largest first; the others in the order of writing."""

_HASHES = {"sha", "test_id", "session_id", "prediction_id", "attempt_id"}
_SIMPLE = re.compile(r"\s*(not\s+)?(\w+)\s*(?:(==|=|!=|<>|<=|>=|<|>)\s*(.*?))?\s*", re.IGNORECASE | re.DOTALL)
_COMPARE = {"==": "eq", "=": "eq", "!=": "ne", "<>": "ne", "<=": "le", ">=": "ge", "<": "lt", ">": "gt"}


class QueryError(UserError):
    """The store has no such table or column, or the expression is wrong; the message says what there is."""


def open_table(
    root: str | Path, table: str, repo: str | None = None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """A table by its name as a polars frame, the newest row per key: `open_table("./store", "commits")`.

    `repo` (`owner/name`) reads its rows only; `columns` those and the key columns. Raises QueryError for a name that no
    table has, and as `Store.frame` does.
    """
    return Store(root).frame(_kind(table), repo, columns)


@dataclass(frozen=True)
class Shown:
    """Rows that match, at most `limit` of them, as plain values."""

    columns: list[str]
    rows: list[dict[str, Any]]
    total: int
    """How many rows match, shown or not."""

    def __len__(self) -> int:
        return len(self.rows)


def show(
    store: Store,
    table: str,
    where: str | None = None,
    columns: Sequence[str] | None = None,
    limit: int | None = 20,
    everything: bool = False,
    full: bool = False,
) -> Shown:
    """The rows of a table that match, ready for a terminal.

    `where` as in `select`. With the default columns, texts other than reasons are cut to their first line and hashes to
    10 digits, and a column that `where` gives one value is left out; columns that are asked for (`columns`, or
    `everything`) are shown in full, and so are all with `full`. `limit` None or 0 shows all rows. Commits come best
    score first. Raises QueryError.
    """
    kind = _kind(table)
    frame = select(store, table, where)
    if columns:
        for name in columns:
            _check_column(name, frame)
        wanted = list(columns)
    else:
        short = DEFAULT_COLUMNS.get(table, tuple(kind.model_fields)[:8])
        wanted = [name for name in frame.columns if everything or name in short]
        if not everything:
            wanted = [name for name in sorted(wanted, key=short.index) if not _is_fixed(name, where or "", frame)]
    if table in BEST_FIRST:
        frame = frame.sort(BEST_FIRST[table], descending=True, nulls_last=True, maintain_order=True)
    found = frame.select(wanted).head(limit or len(frame))
    full = full or everything or bool(columns)
    rows = [{name: _plain(name, value, full) for name, value in row.items()} for row in found.iter_rows(named=True)]
    return Shown(wanted, rows, len(frame))


def select(store: Store, table: str, where: str | None = None) -> pl.DataFrame:
    """The rows of a table that match `where`, all columns.

    `where` is `kept`, `not kept`, `status=ok`, `score>1.5`, several of these joined by `and` (values need no quotes; on
    a list column `=` means "contains", on a hash "starts with"), or else what may follow WHERE in polars' SQL:
    `reason LIKE '%docs%' OR k IN (1, 2)`. Raises QueryError.
    """
    if not store.exists():
        raise QueryError(f"no store at {store.root}: `isobench demo` makes one, or name another with --store")
    frame = store.frame(_kind(table))
    if not where or not where.strip():
        return frame
    terms = [_SIMPLE.fullmatch(term) for term in re.split(r"\s+and\s+", where.strip(), flags=re.IGNORECASE)]
    if all(term is not None and _is_simple(term, frame) for term in terms):
        expression = pl.all_horizontal([_term(term, frame) for term in terms if term is not None])
        return frame.filter(expression)
    try:
        context = pl.SQLContext(frames={"t": frame}, eager=True)
        found: pl.DataFrame = context.execute(f"SELECT * FROM t WHERE {where}")
    except pl.exceptions.PolarsError as error:
        raise QueryError(f"cannot read --where {where!r}: {_first_line(error)}; {_names(frame)}") from error
    return found


def _is_fixed(name: str, where: str, found: pl.DataFrame) -> bool:
    """`where` says what the column is (`kept`, `status=ok`), and so it is in all rows: there is nothing to see."""
    said = rf"(?<![\w.'\"]){name}(?!\w)\s*(==?|$|and\b)"
    return (
        re.search(said, where.strip(), re.IGNORECASE) is not None
        and name not in _HASHES
        and found[name].n_unique() == 1
    )


def _kind(table: str) -> type[Row]:
    try:
        return TABLES[table]
    except KeyError:
        close = difflib.get_close_matches(table, TABLES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise QueryError(f"no table '{table}': {hint}there are {', '.join(sorted(TABLES))}") from None


def _is_simple(term: re.Match[str], frame: pl.DataFrame) -> bool:
    """Ours to read, and not SQL that looks alike: quotes, brackets, `or`, another column's name, arithmetic."""
    _, name, compare, value = term.groups()
    if name.lower() in ("select", "true", "false"):
        return False
    if name not in frame.columns:
        # a lone word or `word = something` can only be a misspelt column
        if compare is None or re.fullmatch(r"[^'\"()]*", value):
            _check_column(name, frame)
        return False
    if compare is None:
        return True
    if re.search(r"\s(or|like|in|between|is)\s|[()'\"]", f" {value} ", re.IGNORECASE):
        return False
    return frame.schema[name] in (pl.String, pl.Boolean) or not (
        value in frame.columns or re.search(r"[a-z_]\w*\s*[-+*/]|[-+*/]\s*[a-z_]", value, re.IGNORECASE)
    )


def _term(term: re.Match[str], frame: pl.DataFrame) -> pl.Expr:
    negated, name, compare, value = term.groups()
    column, dtype = pl.col(name), frame.schema[name]
    if compare is None:
        if dtype == pl.Boolean:
            expression = column.fill_null(False)
        elif isinstance(dtype, pl.List):
            expression = column.list.len() > 0
        else:
            expression = (column != "") & column.is_not_null() if dtype == pl.String else column.is_not_null()
    elif value.lower() in ("null", "none") and _COMPARE[compare] in ("eq", "ne"):
        expression = column.is_null() if _COMPARE[compare] == "eq" else column.is_not_null()
    elif isinstance(dtype, pl.List):
        if _COMPARE[compare] not in ("eq", "ne"):
            raise QueryError(f"'{name}' is a list: use {name}=VALUE for those that contain VALUE")
        inner = column.list.contains(_value(value, dtype.inner, name))
        expression = inner if _COMPARE[compare] == "eq" else ~inner
    elif name in _HASHES and _COMPARE[compare] in ("eq", "ne"):
        starts = column.str.starts_with(value)  # hashes are shown cut
        expression = starts if _COMPARE[compare] == "eq" else ~starts
    else:
        expression = getattr(column, _COMPARE[compare])(_value(value, dtype, name))
    return ~expression if negated else expression


def _value(text: str, dtype: Any, name: str) -> Any:
    try:
        if dtype == pl.Boolean:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
        if dtype.is_numeric():
            return float(text)
        if isinstance(dtype, pl.Datetime):
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (KeyError, ValueError):
        wanted = {pl.Boolean: "true or false"}.get(
            dtype, "a number" if dtype.is_numeric() else "a date like 2024-01-31"
        )
        raise QueryError(f"'{name}' is compared with {text!r}, but holds {wanted}") from None
    return text


def _check_column(name: str, frame: pl.DataFrame) -> None:
    if name not in frame.columns:
        close = difflib.get_close_matches(name, frame.columns, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise QueryError(f"no column '{name}': {hint}{_names(frame)}")


def _names(frame: pl.DataFrame) -> str:
    return f"columns are {', '.join(frame.columns)}"


def _plain(name: str, value: Any, full: bool) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds") if full else f"{value:%Y-%m-%d}"
    if isinstance(value, list):
        value = " > ".join(value) if name == "evidence" else ", ".join(map(str, value))
    if not isinstance(value, str):
        return value
    if full:
        return value
    if name in _HASHES:
        return value[:10]
    if name == "reason":
        return value
    line = (value.splitlines() or [""])[0]
    return line if len(line) <= 100 else f"{line[:97]}..."


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].split("; valid columns")[0]
