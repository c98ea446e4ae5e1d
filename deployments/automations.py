"""Automations of a Prefect server: a failed run of a recipe notifies, a stuck one is cancelled.

    python -m deployments.automations --webhook https://example.org/hook
    python -m deployments.automations --block slack-webhook/ops --stuck-after-h 10

Prefect keeps automations in its server, and a notification names a block that only the server knows: hence a script and
no file. Run again, it replaces what it made before. `PREFECT_API_URL` says which server.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import cast
from uuid import UUID

import httpx
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.actions import CancelFlowRun, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from flows.commands.terminal import complain, say

RECIPES = ("refresh", "build-dataset", "evaluate", "run-agents", "sweep")
"""Flows whose runs are watched; stages are parts of them."""
FAILED, STUCK = "isobench: a run failed", "isobench: a run is stuck"
LEAST_S = 10
"""What Prefect takes for a run that should have ended."""
BLOCK = "isobench-failures"
ENDS = ("Completed", "Failed", "KnownFaults", "Crashed", "Cancelled", "Cancelling")
SUBJECT = "{{ flow_run.state.name }}: {{ flow.name }}"
BODY = """{{ flow.name }} {{ flow_run.name }}: {{ flow_run.state.name }}
{{ flow_run.state.message }}
{{ flow_run|ui_url }}"""


def automations(block: UUID, stuck_after: timedelta) -> list[AutomationCore]:
    """Notify when a recipe ends as Failed or Crashed (KnownFaults were told before); cancel one that does not end."""
    related = ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": list(RECIPES)})
    runs = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
    return [
        AutomationCore(
            name=FAILED,
            trigger=EventTrigger(
                match=runs, match_related=related, posture=Posture.Reactive, threshold=1, within=timedelta(0),
                expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"}, for_each={"prefect.resource.id"},
            ),
            actions=[
                SendNotification(block_document_id=block, subject=SUBJECT, body=BODY)
            ],
        ),
        AutomationCore(
            name=STUCK,
            trigger=EventTrigger(
                match=runs, match_related=related, posture=Posture.Proactive, threshold=1, within=stuck_after,
                after={"prefect.flow-run.Running"}, expect={f"prefect.flow-run.{end}" for end in ENDS},
                for_each={"prefect.resource.id"},
            ),
            actions=[CancelFlowRun()],
        ),
    ]  # fmt: skip


def install(client: SyncPrefectClient, block: UUID, stuck_after: timedelta) -> list[str]:
    """Make both automations, instead of those of the same names. Returns their names."""
    for automation in automations(block, stuck_after):
        response = client.request(
            "POST", "/automations/filter", json={"automations": {"name": {"any_": [automation.name]}}}
        )
        for known in response.raise_for_status().json():
            client.request("DELETE", "/automations/{id}", path_params={"id": known["id"]}).raise_for_status()
        body = automation.model_dump(mode="json", exclude_unset=False)
        client.request("POST", "/automations/", json=body).raise_for_status()
    return [FAILED, STUCK]


def main(arguments: Sequence[str] | None = None) -> int:
    """The script; exit code 1 without a server or such a block."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        prog="python -m deployments.automations",
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--webhook", metavar="URL", help="where to POST {subject, body} as JSON")
    how.add_argument("--block", metavar="TYPE/NAME", help="a notification block of the server: Slack, e-mail, ...")
    parser.add_argument("--stuck-after-h", type=float, default=24.0, help="hours after which a run is cancelled (24)")
    given = parser.parse_args(arguments)
    if given.stuck_after_h * 3600 < LEAST_S:
        parser.error(f"--stuck-after-h must be {LEAST_S} seconds at least: the server looks that often")
    if given.block and "/" not in given.block:
        parser.error(f"--block {given.block}: TYPE/NAME is wanted, such as slack-webhook/ops")
    if not get_current_settings().api.url:
        complain("PREFECT_API_URL names no server: start one, and set it")
        return 1
    try:
        block = _webhook(given.webhook) if given.webhook else _known(given.block)
        with get_client(sync_client=True) as client:
            for name in install(client, block, timedelta(hours=given.stuck_after_h)):
                say(f"installed: {name}")
    except ObjectNotFound:
        complain(f"the server has no block {given.block}: `prefect block ls` lists them")
        return 1
    except httpx.HTTPError as error:
        complain(f"the server at PREFECT_API_URL cannot be used: {error or type(error).__name__}")
        return 1
    return 0


def _webhook(url: str) -> UUID:
    block = CustomWebhookNotificationBlock(
        name="isobench", url=url, json_data={"subject": "{{subject}}", "body": "{{body}}"}
    )
    return cast(UUID, block.save(BLOCK, overwrite=True))


def _known(name: str) -> UUID:
    kind, _, own = name.partition("/")
    with get_client(sync_client=True) as client:
        return client.read_block_document_by_name(name=own, block_type_slug=kind).id


if __name__ == "__main__":
    sys.exit(main())
