"""Versions of the dataset: what holds now, against what held in the version before."""

from __future__ import annotations

from datetime import UTC, datetime

from configs.escaping import for_markdown
from storage.exchange.export import complete_instances
from storage.ids import content_hash
from storage.store import Store
from storage.tables import DatasetVersion, Instance, Withdrawal


def latest_version(store: Store) -> DatasetVersion | None:
    """The last one that was made."""
    return max(store.rows(DatasetVersion), key=lambda row: row.number, default=None)


def next_version(store: Store) -> DatasetVersion | None:
    """The version that the store's instances make now; None if they are those of the last one. Appends nothing."""
    rows = complete_instances(store)
    before = latest_version(store)
    now = {row.instance_id: content_hash(row.model_dump(mode="json")) for row in rows}
    old = dict(zip(before.instances, before.contents, strict=True)) if before else {}
    if before is not None and now == old:
        return None
    if before is None and not now:
        return None
    added = sorted(now.keys() - old.keys())
    changed = sorted(key for key in now.keys() & old.keys() if now[key] != old[key])
    gone = sorted(old.keys() - now.keys())
    number = before.number + 1 if before else 1
    at = datetime.now(UTC)
    return DatasetVersion(
        number=number, at=at, instances=list(now), contents=list(now.values()), added=added, changed=changed,
        withdrawn=gone, changelog=_changelog(number, at, rows, added, changed, _reasons(store, gone)),
    )  # fmt: skip


def _reasons(store: Store, gone: list[str]) -> dict[str, str]:
    said = {row.instance_id: row for row in store.rows(Withdrawal, instance_id=gone)}
    return {key: said[key].why if key in said else "no longer in the store" for key in gone}


def _changelog(
    number: int, at: datetime, rows: list[Instance], added: list[str], changed: list[str], gone: dict[str, str]
) -> str:
    by_id = {row.instance_id: row for row in rows}
    lines = [
        f"## Version {number} ({at:%Y-%m-%d})",
        "",
        f"{len(rows)} instances: {len(added)} added, {len(changed)} changed, {len(gone)} withdrawn.",
        "",
    ]
    lines += [f"- added {_code(key)}: {_speed(by_id[key])}" for key in added]
    lines += [f"- changed {_code(key)}: {_speed(by_id[key])}" for key in changed]
    lines += [f"- withdrawn {_code(key)}: {for_markdown(why)}" for key, why in gone.items()]
    return "\n".join(lines).rstrip() + "\n"


def _code(name: str) -> str:
    return f"`{name.replace('`', '')}`"


def _speed(row: Instance) -> str:
    if row.human_performance is None:
        return "speedup unknown"
    if row.human_ci_low is None or row.human_ci_high is None:
        return f"{row.human_performance:.3g}x"
    return f"{row.human_performance:.3g}x [{row.human_ci_low:.3g}, {row.human_ci_high:.3g}]"
