"""What a failed stage leaves on Prefect's page: its faults, and how that stage alone is run again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from shlex import quote
from typing import Any

from prefect import runtime
from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel

from configs.escaping import for_markdown
from configs.variables import TEMPORARY_SERVER
from flows.engine.progress import slug
from flows.summaries import StageSummary


def publish_faults(summary: StageSummary, flow: str) -> None:
    """An artifact `<stage>-faults` with every fault and the parameters of this flow run, for its deployment.

    Nothing on a temporary server, whose page nobody sees.
    """
    if os.environ.get(TEMPORARY_SERVER):
        return
    given = {name: _plain(value) for name, value in (runtime.flow_run.parameters or {}).items()}
    rows = "".join(f"| {for_markdown(item)} | {for_markdown(why)} |\n" for item, why in summary.failures.items())
    lacking = "".join(f"- {for_markdown(what)}\n" for what in summary.lacking)
    create_markdown_artifact(
        f"{lacking}\n| item | fault |\n|---|---|\n{rows}\n"
        f"Run this stage again alone: its deployment `{flow}/stage` with these parameters, or\n\n"
        f"```sh\nprefect deployment run {quote(f'{flow}/stage')}{_options(given)}\n```\n",
        key=slug(f"{summary.stage}-faults"),
        description=for_markdown(f"Faults of {summary.stage} in run {summary.run_id}, and how to run it again"),
    )


def _plain(value: Any) -> Any:
    """A parameter as a deployment takes it: a configuration is the text of one."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(value) if isinstance(value, Mapping) else value


def _options(given: Mapping[str, Any]) -> str:
    wanted = {name: value for name, value in given.items() if value not in (None, [], "")}
    texts = (value if isinstance(value, str) else json.dumps(value) for value in wanted.values())
    return "".join(f" \\\n  --param {quote(f'{name}={text}')}" for name, text in zip(wanted, texts, strict=True))
