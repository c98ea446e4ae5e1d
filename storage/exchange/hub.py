"""Instances to the Hugging Face Hub: one Parquet file and a dataset card."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from configs.errors import UserError
from configs.escaping import for_json_line, for_markdown
from configs.models import PublishingConfig
from storage.exchange.export import complete_instances
from storage.schema import WRITTEN_AT, arrow_schema
from storage.store import Store
from storage.tables import DatasetVersion, Instance

if TYPE_CHECKING:
    from pydantic import SecretStr

DATA_FILE = "data/test-00000-of-00001.parquet"


class PublishError(UserError):
    """Nothing was published; the message says why and what to do."""


def publish(
    store: Store,
    publishing: PublishingConfig,
    token: SecretStr | None,
    endpoint: str | None = None,
    version: DatasetVersion | None = None,
) -> str:
    """Upload all instances of the store that were not withdrawn as one commit; returns the dataset's URL.

    Of a `version` the card has the changelog, and the commit gets the tag `v<number>`. Creates the dataset if it is not
    there. Publishing the same instances again makes no new commit (the Hub compares contents). `token` must be allowed
    to write to it. Raises PublishError for what the user can mend, and lets faults of the network through (OSError and
    httpx errors).
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    name = publishing.hub_dataset
    if name is None:
        raise PublishError("publishing.hub_dataset is not set: name the dataset as owner/name")
    if token is None:
        raise PublishError("HF_TOKEN is not set: put a token with write access into .env or the environment")
    rows = complete_instances(store)
    _check(rows, store)
    api = HfApi(endpoint=endpoint, token=token.get_secret_value())
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "instances.parquet"
        write_parquet(rows, data)
        operations = [
            CommitOperationAdd(DATA_FILE, str(data)),
            CommitOperationAdd("README.md", dataset_card(rows, name, version).encode()),
        ]
        message = f"Version {version.number}: " if version else ""
        try:
            url = api.create_repo(name, repo_type="dataset", private=publishing.private, exist_ok=True)
            api.create_commit(name, operations, repo_type="dataset", commit_message=f"{message}{len(rows)} instances")
            if version:
                api.create_tag(name, tag=f"v{version.number}", repo_type="dataset", exist_ok=True)
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status >= 500 or status == 429:
                raise
            advice = "HF_TOKEN may not write there" if status in (401, 403) else "see the message"
            raise PublishError(f"the Hub refused {name} (HTTP {status}): {advice}: {error.server_message}") from error
    return str(url)


def write_parquet(rows: list[Instance], path: Path) -> None:
    """The canonical record, one row per instance: what `isobench evaluate --dataset FILE.parquet` reads."""
    schema = arrow_schema(Instance)
    schema = schema.remove(schema.get_field_index(WRITTEN_AT))
    pq.write_table(pa.Table.from_pylist([row.model_dump() for row in rows], schema=schema), path, compression="zstd")


def dataset_card(rows: list[Instance], name: str, version: DatasetVersion | None = None) -> str:
    """README.md of the dataset, with the metadata that the Hub reads, and what changed in this version."""
    counts = sorted(Counter(row.repo for row in rows).items())
    changes = f"\n{version.changelog}" if version else ""
    repos = "\n".join(f"| {for_markdown(repo)} | {count} |" for repo, count in counts)
    return f"""---
pretty_name: {for_json_line(name.rpartition("/")[2])}
task_categories:
- other
tags:
- code
- performance-optimization
configs:
- config_name: default
  data_files:
  - split: test
    path: data/test-*
---

# {for_markdown(name)}

{len(rows)} commits that made real code faster, each with perf tests that prove it. Made by isobench.

| repository | instances |
| --- | --- |
{repos}

One row is one instance: `instance_id`, `repo`, `repo_url`, `base_commit`, `head_commit` (the human commit), `patch`,
`test_patch`, `efficiency_test` (perf test scripts), `duration_changes` (seconds per call before and after),
`human_performance` (speedup of the human commit) with `human_ci_low` and `human_ci_high`.

The code in `patch` and `efficiency_test` belongs to the repositories it comes from, under their licences.
{changes}"""


def _check(rows: list[Instance], store: Store) -> None:
    if not rows:
        raise PublishError(f"no instances in {store.root}: `isobench build CONFIG` makes them")
    local = [row.instance_id for row in rows if "://" not in row.repo_url or row.repo_url.startswith("file:")]
    if local:
        raise PublishError(f"repo_url of {', '.join(local[:3])} is a path of this machine: others could not clone it")
