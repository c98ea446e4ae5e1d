"""One planned attempt, made: agent installed, gateway opened, agent let loose, rows and files kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from configs.agent_files import AgentFile
from configs.agent_runs import AgentModelConfig, AgentsConfig, PricesConfig
from configs.errors import UserError
from configs.models import SandboxConfig
from configs.secrets import secret
from storage.files import LOGS, PATCHES, TRAJECTORIES, put
from storage.store import Store
from storage.tables import NO_ANSWER, Attempt, Instance
from tasks.agents.attempt import AgentUsed, run_attempt
from tasks.agents.base_tree import BaseTree
from tasks.agents.costs import cost_before, cost_without_answer
from tasks.agents.gateway.models import AllowedModel, Budget, Fault, Prices, Provider
from tasks.agents.gateway.prices import with_prices
from tasks.agents.gateway.recording import Recorder, folder_of
from tasks.agents.gateway.server import Gateway, GatewayError
from tasks.agents.gateway.watching import LeakWatch
from tasks.agents.installed.installing import Installed, NotInstalled, install
from tasks.agents.models import Attempt as Ended
from tasks.agents.models import AttemptTask
from tasks.agents.planning import Planned, answered
from tasks.agents.purse import Purse
from tasks.agents.recording import Attempted, attempted, record
from tasks.code.clones import clone_path
from tasks.sandbox import foreign
from tasks.sandbox.foreign_folders import remove
from tasks.sandbox.models import Arm

KEPT_BYTES = 256 * foreign.MEBIBYTE
"""Of one file of an attempt that goes into the store."""
_MILLION = 1e6


class Ready(BaseModel):
    """An agent that is installed, or the reason why it is not."""

    model_config = ConfigDict(frozen=True)

    file: AgentFile
    installed: Installed | None = None
    reason: str = ""


def get_ready(agent: AgentFile, sandbox: SandboxConfig, store: Store) -> Ready:
    """Install an agent, unless it is there. What fails is a reason."""
    try:
        return Ready(file=agent, installed=install(agent, store.work, sandbox.kind))
    except NotInstalled as error:
        return Ready(file=agent, reason=str(error))


def make_attempt(
    planned: Planned, agent: Ready, model: AgentModelConfig, config: AgentsConfig, instance: Instance, arm: Arm,
    run_id: str, store: Store, purse: Purse | None = None,
) -> Attempted:  # fmt: skip
    """Make an attempt and append its rows. What fails is a status with its reason.

    Of several runs on one store that want the same attempt, one makes it; the others wait, and take what it came to.
    Raises TotalSpent if it could cost more than `purse` holds; SandboxError if this process is ending: then nothing is
    kept, and the attempt is made again.
    """
    keep = store.work / "agents" / "attempts" / planned.attempt_id
    keep.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{keep}.lock"):  # the kernel frees that of a process which was killed
        if (known := answered(store, [planned.attempt_id]).get(planned.attempt_id)) is not None:
            return attempted(known)
        with (purse or Purse()).attempt(config.budget.usd) as bill:
            made = _make(planned, agent, model, config, instance, arm, run_id, store, keep)
            bill.usd = made.cost_usd or 0.0
        return made


def _make(
    planned: Planned, agent: Ready, model: AgentModelConfig, config: AgentsConfig, instance: Instance, arm: Arm,
    run_id: str, store: Store, keep: Path,
) -> Attempted:  # fmt: skip
    common = {
        "attempt_id": planned.attempt_id, "run_id": run_id, "instance_id": instance.instance_id, "repo": instance.repo,
        "agent": agent.file.name, "model": model.name, "sample": planned.sample,
    }  # fmt: skip

    def failed(reason: str) -> Attempted:
        lost = cost_without_answer(folder_of(store), planned.attempt_id)
        values = {**common, "status": "setup_failed", "reason": reason, "cost_before_usd": lost}
        return record(Attempt.model_validate(values), "", store)

    if agent.installed is None:
        return failed(agent.reason)
    record_to, watch = Recorder(folder_of(store), planned.attempt_id), LeakWatch(instance.patch)
    try:
        gateway = gateway_for(model, config, record_to, watch)
    except GatewayError as error:
        return failed(str(error))
    remove(keep)  # of a run that was killed
    try:
        ended = run_attempt(
            AttemptTask(instance, arm, BaseTree(store.work / clone_path(instance.repo), instance.base_commit)),
            AgentUsed(agent.file, agent.installed, model.name, model.small or ""),
            gateway, config.attempt, config.sandbox, store.work, keep,
        )  # fmt: skip
        values = {
            **common, **_measured(ended), **_told(ended, agent.installed.version), **_kept(ended, keep, store),
            "cost_usd": ended.usage.cost_usd if _priced(gateway) else None,
            "cost_before_usd": cost_before(folder_of(store), planned.attempt_id),
            "exchanges": f"{folder_of(store).relative_to(store.work)}/attempts/{planned.attempt_id}.jsonl",
        }  # fmt: skip
        return record(Attempt.model_validate(values), ended.patch, store)
    finally:
        remove(keep)


def gateway_for(
    model: AgentModelConfig, config: AgentsConfig, record_to: Recorder | None = None, watch: LeakWatch | None = None
) -> Gateway:
    """The gateway of an attempt, not yet started. Raises GatewayError for what cannot be done, such as a budget in
    dollars without a price."""
    return Gateway(allowed(model), Budget(**config.budget.model_dump()), record_to, watch, config.extra_hosts)


def allowed(model: AgentModelConfig) -> list[AllowedModel]:
    """The models that an agent may ask: the one that it is run with, and a small one if there is one."""
    provider = provider_of(model)
    main = AllowedModel(
        asked=model.name, upstream=model.asked_upstream, provider=provider, prices=_prices(model.prices)
    )
    if model.small is None or model.small == model.name:
        return [main]
    small = AllowedModel(asked=model.small, upstream=model.small, provider=provider, prices=_prices(model.small_prices))
    known = with_prices(small).prices is not None
    return [main, small if known else small.model_copy(update={"prices": with_prices(main).prices})]


def provider_of(model: AgentModelConfig) -> Provider:
    """The provider of a model, with the key from the environment or `.env`; the key is None where it is not set."""
    said = model.provider
    key = None if said.key is None else secret(said.key)
    return Provider(protocol=said.protocol, base_url=said.base_url, translate=said.translate, api_key=key)


def must_have_keys(config: AgentsConfig) -> None:
    """Raises UserError if a model's key is not set: rather now than in every attempt."""
    for model in config.models:
        name = model.provider.key
        if name is not None and provider_of(model).api_key is None:
            raise UserError(f"{name} is not set, which model {model.name} needs: put it into .env or the environment")


def must_have_prices(config: AgentsConfig) -> None:
    """Raises UserError for a budget in dollars that cannot be kept, and for hosts that are none."""
    for model in config.models:
        gateway_for(model, config)


def _prices(said: PricesConfig | None) -> Prices | None:
    if said is None:
        return None
    return Prices(**{name: None if value is None else value / _MILLION for name, value in said.model_dump().items()})


def _priced(gateway: Gateway) -> bool:
    return all(model.prices is not None for model in gateway.models.values())


def _measured(ended: Ended) -> dict[str, object]:
    usage, leak = ended.usage, ended.leak
    return {
        "status": ended.status, "reason": ended.reason, "notes": ended.notes, "faults": _faults(ended.faults),
        "started_at": ended.started_at, "duration_s": ended.seconds, "exit_code": ended.exit_code,
        "requests": usage.requests, "tokens_in": usage.tokens_in, "tokens_cache_read": usage.cache_read,
        "tokens_cache_write": usage.cache_write, "tokens_out": usage.tokens_out, "tokens_reasoning": usage.reasoning,
        "estimated_requests": usage.estimated_requests, "prompt_sha": ended.prompt_sha,
        "prompt_leak_rate": leak and leak.prompt_rate, "tool_leak_rate": leak and leak.tool_rate,
    }  # fmt: skip


def _told(ended: Ended, version: str) -> dict[str, object]:
    told = ended.told
    return {
        "agent_version": told.version or version, "steps": told.steps, "denied": len(told.denied),
        "told_reason": "; ".join(filter(None, [told.stopped, told.failed])), "told_cost_usd": told.cost_usd,
        "told_tokens_in": told.tokens_in, "told_tokens_out": told.tokens_out,
    }  # fmt: skip


def _kept(ended: Ended, keep: Path, store: Store) -> dict[str, str]:
    """Column -> path in the store of what the attempt left; what is too large, or gone, is not there."""
    wanted = {
        "trajectory": (ended.trajectory, TRAJECTORIES, ".json"),
        "original": (ended.original, TRAJECTORIES, ".original"),
        "log": (ended.log, LOGS, ".log"),
    }
    found = {}
    if ended.patch and ended.status in NO_ANSWER:
        found["unanswered_patch"] = put(store, PATCHES, ended.patch.encode("utf-8", "surrogateescape"), ".patch")[0]
    for column, (name, folder, suffix) in wanted.items():
        if name is None or not foreign.is_file(keep, name):
            continue
        try:
            path, sha = put(store, folder, foreign.read(keep, name, KEPT_BYTES), suffix)
        except foreign.Refused:
            continue
        found[column] = path
        if column == "trajectory":
            found["trajectory_sha"] = sha
    return found


def _faults(faults: list[Fault]) -> list[str]:
    counts: Counter[str] = Counter()
    for fault in faults:
        status = f" {fault.status}" if fault.status else ""
        detail = f": {fault.detail}" if fault.detail else ""
        counts[f"{fault.kind}{status}{detail}"[:500]] += fault.count
    return [f"{count} x {what}" for what, count in counts.items()]
