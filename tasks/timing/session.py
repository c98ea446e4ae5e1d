"""One session: all arms of one instance on one perf test, on leased cores, as rows and a summary."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.ids import content_hash
from storage.store import Store
from storage.tables import Comparison, TimedSession
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.metering.models import WHOLE
from tasks.sandbox.metering.worker import WorkerGroup
from tasks.sandbox.models import Arm
from tasks.sandbox.probe.session import Dialect
from tasks.timing.clocks import call_times, counted, wall_times
from tasks.timing.commands.play import commands
from tasks.timing.commands.rows import metric_rows
from tasks.timing.confirming import Confirmation, Play, confirm
from tasks.timing.core_leases import Reserve, leased_cores
from tasks.timing.fingerprint import fingerprint, session_fingerprint
from tasks.timing.gpu import gpus_for, read_gpus
from tasks.timing.interim_looks import InterimLooks
from tasks.timing.models import Answer, ArmOutcome, Question, Session, SessionState
from tasks.timing.processes import SessionContext
from tasks.timing.protocols import PROTOCOLS
from tasks.timing.rows import WORK_UNACCOUNTED, Report
from tasks.timing.verdict import questions_for


def run_session(
    repo: str,
    instance_id: str | None,
    arms: Sequence[Arm],
    test_id: str,
    script: str,
    dialect: Dialect,
    timing: TimingConfig,
    scoring: ScoringConfig,
    sandbox: SandboxConfig,
    store: Store,
    reserve: Reserve | None = None,
    results_compared: bool = True,
) -> Session:
    """Time the arms (`base` among them); append `measurements`, `comparisons`, and the `sessions` and `machines` rows.

    Without `results_compared` (a wrong result would not be seen) successful arms carry RESULTS_NOT_COMPARED. `reserve`
    keeps workers that share nothing but a server from using the same cores. An arm that fails is an outcome.
    Raises ValueError without `base` or with two arms of one name, SandboxError if the sandbox itself fails,
    GpuError if the configuration asks for a GPU that is not there.
    """
    by_name = {arm.name: arm for arm in arms}
    if "base" not in by_name or len(by_name) != len(arms):
        raise ValueError(f"arms must be distinct and include base, not {[arm.name for arm in arms]}")
    questions = questions_for([arm.name for arm in arms], scoring.min_speedup, scoring.opt_threshold)
    looks = InterimLooks(questions, timing)
    gpus = gpus_for(timing, sandbox)
    devices = [f"isobench-gpu-{gpu.uuid}" for gpu in gpus]
    wanted = timing.cores * (2 if timing.protocol == "duet" else 1)
    with (
        leased_cores(wanted, reserve=reserve, devices=devices) as cores,
        open_sandbox(sandbox) as opened,
    ):
        start, started_at = time.monotonic(), datetime.now(UTC)
        machine = fingerprint([gpu.describe() for gpu in gpus])
        readings = read_gpus(gpus)
        images = {arm.environment.image for arm in arms if arm.environment.image}
        digests = sorted(opened.image_digest(image) for image in images)
        context = SessionContext(
            sandbox=opened,
            work=store.work,
            arms=by_name,
            script=script,
            dialect=dialect,
            timing=timing,
            limits=limits_of(sandbox, None),
            cores=cores,
        )
        play = commands if dialect == "command" else PROTOCOLS[timing.protocol]
        state = play(context, cores, looks.open_arms)
        state.compared = state.compared and results_compared
        confirmed = _confirmed(play, context, cores, state, looks, questions)
        readings += read_gpus(gpus)
    arm_ids = [(arm.name, arm.arm_id) for arm in arms]
    name = content_hash("session", test_id, arm_ids, timing, sandbox, machine.machine_id)
    times = wall_times if timing.protocol == "sequential" else call_times
    report = Report(f"{name}-{uuid.uuid4().hex[:8]}", test_id, repo, instance_id, machine.machine_id, times)
    flags = {arm.name: looks.flags(state, arm.name) for arm in arms}
    comparisons = [
        report.comparison(
            state, question, *looks.answer(state, question), flags[question.arm], looks.level,
            confirmed.get(question.arm),
        )
        for question in questions
    ]  # fmt: skip
    protocol = "commands" if dialect == "command" else timing.protocol
    duration_s = round(time.monotonic() - start, 3)
    record = TimedSession(
        session_id=report.session_id,
        test_id=test_id,
        repo=repo,
        instance_id=instance_id,
        arms=[arm.name for arm in arms],
        protocol=protocol,
        machine_id=machine.machine_id,
        sandbox=sandbox.kind,
        image_digests=digests,
        fingerprint=session_fingerprint(machine.machine_id, sandbox.kind, digests, opened.meter),
        meter=opened.meter,
        cores=list(cores),
        device=timing.device,
        gpu_readings=readings,
        started_at=started_at,
        duration_s=duration_s,
    )
    measured = report.measurements(state.samples)
    for confirmation in confirmed.values():
        measured += report.measurements(confirmation.state.samples, confirming=True)
    store.append([machine, record, *measured, *comparisons, *metric_rows(state, questions, record, looks.level)])
    return Session(
        session_id=report.session_id,
        test_id=test_id,
        outcomes=[_outcome(state, arm.name, comparisons, flags[arm.name]) for arm in arms],
        base_failure=state.base_failure,
        n_rounds=len(counted(state.samples, "base")),
        number=state.number,
        protocol=protocol,
        machine_id=machine.machine_id,
        fingerprint=record.fingerprint,
        duration_s=duration_s,
    )


def _confirmed(
    play: Play,
    context: SessionContext,
    cores: tuple[int, ...],
    state: SessionState,
    looks: InterimLooks,
    questions: Sequence[Question],
) -> dict[str, Confirmation]:
    """The successes of patches that were timed beside others, each confirmed alone; and every success where sandboxes
    have no control groups of their own."""
    whole = context.sandbox.meter in WHOLE
    crowded = len(set(context.arms) - {"base", "human"}) > 1
    if context.timing.protocol == "sequential" or state.primary or not (crowded or not whole):
        return {}
    found: dict[str, list[Question]] = {}
    for question in questions:
        if (question.arm != "human" or not whole) and looks.answer(state, question)[1] == "yes":
            found.setdefault(question.arm, []).append(question)
    worker = None if whole else WorkerGroup.find()
    return {arm: confirm(play, context, cores, state, asked, worker) for arm, asked in found.items()}


def _outcome(state: SessionState, arm: str, comparisons: Sequence[Comparison], flags: list[str]) -> ArmOutcome:
    mine = [row for row in comparisons if row.arm == arm]
    arm_state = state.states[arm]
    if state.base_failure:
        return ArmOutcome(arm=arm, status="error", reason=f"base: {state.base_failure}", flags=["base_failed"])
    return ArmOutcome(
        arm=arm,
        status=arm_state.status,
        reason=arm_state.reason,
        flags=sorted({*flags, *(WORK_UNACCOUNTED for row in mine if WORK_UNACCOUNTED in row.flags)}),
        answers=[
            Answer(
                arm=arm,
                against=row.against,
                verdict=row.verdict,
                ratio=row.ratio,
                ci_low=row.ci_low,
                ci_high=row.ci_high,
                question=row.question,
            )
            for row in mine
        ],
    )
