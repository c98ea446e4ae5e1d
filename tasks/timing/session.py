"""One session: all arms of one instance on one perf test, on leased cores, as rows and a summary."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.ids import content_hash
from storage.store import Store
from storage.tables import Comparison, Measurement, TimedSession
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.models import Arm
from tasks.sandbox.probe.session import Dialect
from tasks.timing.charging import charge_of, charges
from tasks.timing.clocks import call_times, counted
from tasks.timing.commands.play import commands
from tasks.timing.commands.rows import metric_rows
from tasks.timing.core_leases import Reserve, leased_cores
from tasks.timing.fingerprint import fingerprint, session_fingerprint
from tasks.timing.gpu import gpus_for, read_gpus
from tasks.timing.judgement import Judgement
from tasks.timing.models import Answer, ArmOutcome, Question, Race, Sample, Session, Verdict
from tasks.timing.processes import Track
from tasks.timing.protocols import PROTOCOLS
from tasks.timing.verdict import Compared, judge, questions_for

WORK_UNACCOUNTED = "work_unaccounted"
"""Flag of an arm whose calls alone are fast enough: with what is charged to them they are not, or it is still open."""


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
) -> Session:
    """Time the arms (`base` among them); append `measurements`, `comparisons`, and the `sessions` and `machines` rows.

    `reserve` keeps workers that share nothing but a server from using the same cores. An arm that fails is an outcome.
    Raises ValueError without `base` or with two arms of one name, SandboxError if the sandbox itself fails,
    GpuError if the configuration asks for a GPU that is not there.
    """
    by_name = {arm.name: arm for arm in arms}
    if "base" not in by_name or len(by_name) != len(arms):
        raise ValueError(f"arms must be distinct and include base, not {[arm.name for arm in arms]}")
    questions = questions_for([arm.name for arm in arms], scoring.min_speedup, scoring.opt_threshold)
    judgement = Judgement(questions, timing)
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
        track = Track(
            sandbox=opened,
            work=store.work,
            arms=by_name,
            script=script,
            dialect=dialect,
            timing=timing,
            limits=limits_of(sandbox, None),
        )
        play = commands if dialect == "command" else PROTOCOLS[timing.protocol]
        race = play(track, cores, judgement.open_arms)
        readings += read_gpus(gpus)
    arm_ids = [(arm.name, arm.arm_id) for arm in arms]
    name = content_hash("session", test_id, arm_ids, timing, sandbox, machine.machine_id)
    report = _Report(f"{name}-{uuid.uuid4().hex[:8]}", test_id, repo, instance_id, machine.machine_id)
    flags = {arm.name: judgement.flags(race, arm.name) for arm in arms}
    comparisons = [
        report.comparison(race, question, *judgement.answer(race, question), flags[question.arm], judgement.level)
        for question in questions
    ]
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
    charged = {arm.name: charges(race.samples, arm.name) for arm in arms}
    measured = [report.measurement(sample, charged[sample.arm].get(sample.round, 0.0)) for sample in race.samples]
    store.append([machine, record, *measured, *comparisons, *metric_rows(race, questions, record, judgement.level)])
    return Session(
        session_id=report.session_id,
        test_id=test_id,
        outcomes=[_outcome(race, arm.name, comparisons, flags[arm.name]) for arm in arms],
        base_failure=race.base_failure,
        n_rounds=len(counted(race.samples, "base")),
        number=race.number,
        protocol=protocol,
        machine_id=machine.machine_id,
        fingerprint=record.fingerprint,
        duration_s=duration_s,
    )


class _Report:
    """Makes rows with what they share."""

    def __init__(self, session_id: str, test_id: str, repo: str, instance_id: str | None, machine_id: str) -> None:
        self.session_id = session_id
        self._test_id, self._repo, self._instance_id, self._machine_id = test_id, repo, instance_id, machine_id

    def measurement(self, sample: Sample, charge_ns: float) -> Measurement:
        """The row of one sample, and what its arm is charged per call in this round."""
        return Measurement(
            session_id=self.session_id,
            test_id=self._test_id,
            arm=sample.arm,
            process=sample.process,
            round=sample.round,
            repo=self._repo,
            instance_id=self._instance_id,
            wall_ns=sample.wall_ns,
            cpu_ns=sample.cpu_ns,
            gpu_ns=sample.gpu_ns,
            wait_ns=sample.wait_ns,
            cpu_bound=sample.cpu_bound,
            company_ns=sample.company_ns,
            outside_ns=sample.outside_ns,
            number=sample.number,
            order=sample.order,
            seed=sample.seed,
            load_ns=sample.load_ns,
            setup_ns=sample.setup_ns,
            digest_ns=sample.digest_ns,
            result_ns=sample.result_ns,
            idle_ns=sample.idle_ns,
            setups=sample.setups,
            hashed=sample.hashed,
            charge_ns=charge_ns,
            confirming=sample.confirming,
            correct=sample.correct,
            warmup=sample.warmup,
            flags=list(sample.flags),
            machine_id=self._machine_id,
            started_at=sample.started_at,
        )

    def comparison(
        self,
        race: Race,
        question: Question,
        compared: Compared | None,
        verdict: Verdict,
        flags: list[str],
        level: float,
    ) -> Comparison:
        """The row of one question, with the flags of its arm.

        An arm whose opponent fell out has status `error` and flag `against_failed`.
        """
        found, calls = (compared.found, compared.calls) if compared else (None, None)
        charge = charge_of(race.samples, question.arm, level)
        state, against = race.states[question.arm], race.states[question.against]
        status, reason = state.status, state.reason
        if race.primary and status == "ok":
            flags = [*flags, "results_not_compared"]  # a command says how fast it was, not what it computed
        if race.base_failure:
            status, reason, flags = "error", f"base: {race.base_failure}", ["base_failed"]
        elif status == "ok" and against.status != "ok":
            status, reason = "error", f"{against.name} is {against.status}: {against.reason}"
            flags = [*flags, "against_failed"]
        elif status == "ok" and verdict != "yes" and judge(calls, question.threshold) == "yes":
            flags = [*flags, WORK_UNACCOUNTED]
        return Comparison(
            session_id=self.session_id,
            test_id=self._test_id,
            arm=question.arm,
            against=question.against,
            repo=self._repo,
            instance_id=self._instance_id,
            status=status,
            reason=reason,
            ratio=found.ratio if found else None,
            ci_low=found.low if found else None,
            ci_high=found.high if found else None,
            calls_ratio=calls.ratio if calls else None,
            calls_ci_low=calls.low if calls else None,
            calls_ci_high=calls.high if calls else None,
            charge_s=charge.ns / 1e9 if charge else None,
            charge_ci_high_s=charge.high / 1e9 if charge else None,
            median_s=_median_s(race, question.arm),
            against_median_s=_median_s(race, question.against),
            n_rounds=found.n_rounds if found else 0,
            question=question.threshold,
            verdict="no" if state.status != "ok" and not race.base_failure else verdict,
            flags=flags,
            metric=race.primary,
            machine_id=self._machine_id,
        )


def _median_s(race: Race, arm: str) -> float | None:
    times = list(call_times(race.samples, arm).values())
    return median(times) / 1e9 if times else None


def _outcome(race: Race, arm: str, comparisons: Sequence[Comparison], flags: list[str]) -> ArmOutcome:
    mine = [row for row in comparisons if row.arm == arm]
    state = race.states[arm]
    if race.base_failure:
        return ArmOutcome(arm=arm, status="error", reason=f"base: {race.base_failure}", flags=["base_failed"])
    return ArmOutcome(
        arm=arm,
        status=state.status,
        reason=state.reason,
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
