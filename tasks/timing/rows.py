"""Rows of a session: its timed calls and its comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from storage.tables import Comparison, Measurement
from tasks.sandbox.probe.session import UNMETERED
from tasks.timing.charging import charge_of, charges
from tasks.timing.clocks import call_times
from tasks.timing.confirming import NOT_CONFIRMED, Confirmation
from tasks.timing.models import Question, Sample, SessionState, Verdict
from tasks.timing.verdict import Compared, Times, verdict_at

CLAIM_UNCONFIRMED = "claim_unconfirmed"
"""Flag of a command without a server whose own output says that it is fast enough, and the driver's clock does not."""
RESULTS_NOT_COMPARED = "results_not_compared"
"""Flag of an arm that is not known to do the work: the perf test's result is the same for a stub."""
WORK_UNACCOUNTED = "work_unaccounted"
"""Flag of an arm whose calls alone are fast enough: with what is charged to them they are not, or it is still open."""


class Report:
    """Makes rows with what they share."""

    def __init__(
        self, session_id: str, test_id: str, repo: str, instance_id: str | None, machine_id: str, times: Times
    ) -> None:
        """`times`: those that comparisons rest on, by the session's protocol."""
        self._times = times
        self.session_id = session_id
        self._test_id, self._repo, self._instance_id, self._machine_id = test_id, repo, instance_id, machine_id
        self._rounds = self._sets = 0

    def measurements(self, samples: Sequence[Sample], confirming: bool = False) -> list[Measurement]:
        """Rows of samples, whose rounds and processes get numbers after those of earlier ones."""
        arms = {sample.arm for sample in samples}
        times = {arm: self._times(samples, arm) for arm in arms}
        charged = {arm: charges(samples, arm) for arm in arms}
        rounds, sets = self._rounds, self._sets
        rows = [
            self._measurement(
                replace(s, round=s.round + rounds, process=s.process + sets, confirming=confirming),
                times[s.arm].get(s.round),
                charged[s.arm].get(s.round, 0.0),
            )
            for s in samples
        ]
        self._rounds = max([rounds, *(row.round + 1 for row in rows)])
        self._sets = max([sets, *(row.process + 1 for row in rows)])
        return rows

    def _measurement(self, sample: Sample, call_ns: float | None, charge_ns: float) -> Measurement:
        """The row of one sample, with the time per call that comparisons rest on, and the charge per call."""
        return Measurement(
            **{**_shared(sample), "flags": list(sample.flags)},
            session_id=self.session_id,
            test_id=self._test_id,
            repo=self._repo,
            instance_id=self._instance_id,
            machine_id=self._machine_id,
            call_ns=call_ns,
            charge_ns=charge_ns,
        )

    def comparison(
        self,
        state: SessionState,
        question: Question,
        compared: Compared | None,
        verdict: Verdict,
        flags: list[str],
        level: float,
        confirmation: Confirmation | None = None,
    ) -> Comparison:
        """The row of one question, with the flags of its arm.

        An arm whose opponent fell out has status `error` and flag `against_failed`.
        """
        found, calls = (compared.found, compared.calls) if compared else (None, None)
        charge = charge_of(state.samples, question.arm, level)
        arm_state, against = state.states[question.arm], state.states[question.against]
        status, reason = arm_state.status, arm_state.reason
        if status == "ok" and not state.compared:
            flags = [*flags, RESULTS_NOT_COMPARED]
        if state.base_failure:
            status, reason, flags = "error", f"base: {state.base_failure}", ["base_failed"]
        elif status == "ok" and against.status != "ok":
            status, reason = "error", f"{against.name} is {against.status}: {against.reason}"
            flags = [*flags, "against_failed"]
        elif status == "ok" and state.claimed and verdict != "yes" and verdict_at(found, question.threshold) == "yes":
            flags = [*flags, CLAIM_UNCONFIRMED]
        elif status == "ok" and verdict != "yes" and verdict_at(calls, question.threshold) == "yes":
            flags = [*flags, WORK_UNACCOUNTED]
        elif status == "ok" and verdict == "yes" and UNMETERED in flags:
            verdict = "inconclusive"
        elif status == "ok" and confirmation and confirmation.verdicts.get(question, "yes") != "yes":
            verdict, flags = confirmation.verdicts[question], [*flags, NOT_CONFIRMED]
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
            confirmed_ratio=confirmation.ratios.get(question) if confirmation else None,
            median_s=_median_s(state, question.arm),
            against_median_s=_median_s(state, question.against),
            n_rounds=found.n_rounds if found else 0,
            question=question.threshold,
            verdict="no" if arm_state.status != "ok" and not state.base_failure else verdict,
            flags=flags,
            metric=state.primary,
            machine_id=self._machine_id,
        )


def _median_s(state: SessionState, arm: str) -> float | None:
    times = list(call_times(state.samples, arm).values())
    return median(times) / 1e9 if times else None


def samples_of(rows: Sequence[Measurement], cores: int = 1) -> list[Sample]:
    """Samples as they were, so that a verdict can be checked from the store alone.

    `rows`: of one session, without those that confirm, in the order of rounds; `cores`: those that each process had.
    """
    return [Sample(**{**_shared(row), "flags": tuple(row.flags), "cores": cores}) for row in rows]


_SHARED = tuple(sorted(set(Sample.__dataclass_fields__) & set(Measurement.model_fields)))
"""All that a sample says, but for `cores`: every clock on which a charge or a flag rests is a column."""


def _shared(source: Sample | Measurement) -> dict[str, Any]:
    return {name: getattr(source, name) for name in _SHARED}
