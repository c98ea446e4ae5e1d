"""Refresh a dataset: build every configuration of a folder, withdraw what no longer holds, make a version of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock, Timeout
from prefect import runtime
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from pydantic import BeforeValidator

from configs.errors import UserError
from configs.escaping import for_markdown
from configs.loading import load_config
from configs.models import Config
from configs.secrets import load_secrets
from flows.dataset import build_dataset
from flows.engine.ending import state_of
from flows.engine.flows import recipe
from flows.parameters import Overrides, StorePlace
from flows.stages.of_dataset import default_run_id
from flows.summaries import RefreshSummary
from storage.exchange.hub import publish
from storage.marks import own_cache_folder
from storage.store import Store
from storage.tables import Withdrawal
from storage.upkeep.compacting import compact
from tasks.environments.builds.building import not_isolated
from tasks.versioning import latest_version, next_version
from tasks.withdrawing import decide, decide_unconfigured, withdraw

Folder = Annotated[str, BeforeValidator(str)]
Loaded = dict[str, Config]
"""Name of the file -> what it says."""


@recipe("refresh", lambda: f"refresh {(runtime.flow_run.parameters or {}).get('configs', '')}")
def refresh(configs: Folder, store: StorePlace = None, settings: Overrides = []) -> Any:  # noqa: B006  Prefect copies it
    """Bring the dataset of all YAML files in a folder up to date; only what is new is worked on.

    `store` overrides the one that each file names, `settings` single values of all. A configuration that cannot be read
    or built is reported and does not stop the others. Then, for each store: instances that were reverted upstream, that
    a later timing finds too slow, or that no configuration wants any more are withdrawn; if anything changed the
    dataset gets a new version, which is published where a configuration says so; and the tables are compacted.

    Raises UserError if the folder has no YAML files, or another refresh of a store is under way.
    """
    loaded, failures = read_all(configs, store, settings)
    summary = RefreshSummary(run_id="refresh", store=store or "", executed=0, cached=0, failures=failures, builds={})
    by_store: dict[str, Loaded] = defaultdict(dict)
    for name, config in loaded.items():
        by_store[config.store][name] = config
    for root, group in by_store.items():
        with _alone(Store(root)):
            for name, config in group.items():
                _build(name, config, summary)
            _conclude(Store(root), group, summary, all_read=not failures)
    summary.store = summary.store or ", ".join(by_store)
    return state_of(summary)


def read_all(folder: str, store: str | None, settings: Sequence[str]) -> tuple[Loaded, dict[str, str]]:
    """(file name -> its configuration, file name -> why it cannot be used). Raises UserError if there is no file."""
    files = sorted(path for path in Path(folder).glob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    if not files:
        raise UserError(f"no .yaml files in {folder}: put one configuration per repository there")
    loaded, failures = {}, {}
    for file in files:
        try:
            loaded[file.name] = load_config(file, [*settings, *([f"store={store}"] if store else [])])
        except UserError as error:
            failures[file.name] = str(error)
    return loaded, failures


def planned(folder: str, store: str | None, settings: Sequence[str]) -> tuple[list[Withdrawal], dict[str, str]]:
    """What a refresh would withdraw or take back by what the store says now, without building; unusable files."""
    loaded, failures = read_all(folder, store, settings)
    found: list[Withdrawal] = []
    for root in dict.fromkeys(config.store for config in loaded.values()):
        opened, runs = Store(root), _runs({name: one for name, one in loaded.items() if one.store == root})
        for repo, run_ids in runs.items():
            found += decide(opened, repo, run_ids, leaving=True)
        if not failures:
            found += decide_unconfigured(opened, list(runs), "refresh")
    return found, failures


def _runs(group: Loaded) -> dict[str, list[str]]:
    """Repository -> the run ids of its configurations."""
    runs: dict[str, list[str]] = defaultdict(list)
    for config in group.values():
        runs[config.repository.name].append(default_run_id(config))
    return runs


def _build(name: str, config: Config, summary: RefreshSummary) -> None:
    if unheld := not_isolated(config.sandbox):
        summary.failures[name] = unheld
        return
    try:
        built = build_dataset(config)
    except Exception as error:
        get_run_logger().error("%s: %s", name, error, exc_info=not isinstance(error, UserError))
        summary.failures[name] = str(error) or type(error).__name__
        return
    summary.builds[name] = built
    summary.executed += built.executed
    summary.cached += built.cached
    summary.failures |= {f"{name}: {item}": why for item, why in built.failures.items()}
    summary.known |= {f"{name}: {item}": times for item, times in built.known.items()}
    summary.missing += [f"{name}: {text}" for text in built.lacking]


def _conclude(store: Store, group: Loaded, summary: RefreshSummary, all_read: bool) -> None:
    """Withdraw, make a version, publish and compact. Of a repository whose build failed nothing is said."""
    runs = _runs(group)
    whole = {repo for repo in runs if all(n in summary.builds for n, c in group.items() if c.repository.name == repo)}
    for repo in sorted(whole):
        summary.withdrawn += withdraw(store, repo, runs[repo], leaving=True)
    if all_read:
        gone = decide_unconfigured(store, list(runs), "refresh")
        store.append(gone)
        summary.withdrawn += gone
    version = next_version(store)
    if version is not None:
        store.append([version])
        summary.versions.append(version)
        create_markdown_artifact(
            version.changelog, key="dataset-version", description=for_markdown(f"Version {version.number}")
        )
        get_run_logger().info("%s", version.changelog)
    _publish(store, group, summary)
    try:
        summary.missing += [f"{store.root}: left as it is by compaction: {text}" for text in compact(store).problems]
    except (OSError, UserError) as error:
        summary.failures[f"compacting {store.root}"] = str(error)


def _publish(store: Store, group: Loaded, summary: RefreshSummary) -> None:
    """The last version, where it is wanted and was not published yet; also one whose publishing failed before."""
    version = latest_version(store)
    wanted = {config.publishing.hub_dataset: config.publishing for config in group.values()}
    wanted.pop(None, None)
    if version is None or version.published or not wanted:
        return
    try:
        urls = [publish(store, section, load_secrets().hf_token, version=version) for section in wanted.values()]
    except (OSError, UserError) as error:  # what the Hub's client raises is an OSError, too
        summary.failures[f"publishing version {version.number}"] = str(error)
        return
    summary.published += urls
    store.append([version.model_copy(update={"published": ", ".join(urls)})])


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """One refresh of a local store at a time: two would give two versions one number. Raises UserError if one is on."""
    if not store.is_local:
        yield
        return
    place = own_cache_folder(store.root, "refresh")
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{place}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another refresh of {store.root} is under way: wait for it, or end it") from None
    try:
        yield
    finally:
        lock.release()
