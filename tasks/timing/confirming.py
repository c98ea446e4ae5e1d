"""Each success is confirmed with nobody but base and human beside the arm.

Several patches in one session share a machine: through locks on files that all of them see, or through the state of a
cache, one of them can learn what another has computed. Alone with base and human it has nobody to ask.

Where sandboxes have no control groups of their own, the rounds that confirm have one arm at a time, too: then what the
group of all used and nobody accounts for is that arm's (`tasks.sandbox.metering.worker`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tasks.sandbox.metering.worker import WorkerGroup
from tasks.timing.interim_looks import InterimLooks
from tasks.timing.models import Question, SessionState, Verdict
from tasks.timing.processes import SessionContext
from tasks.timing.protocols.common import Needed

NOT_CONFIRMED = "not_confirmed"
"""Flag of an arm that is fast enough only while other patches are timed beside it."""
ROUNDS = 3
"""Rounds after which a confirmation is looked at first: they suffice where the estimate reaches the threshold again."""
BUDGET_SHARE = 0.5
"""Of a session's budget, for one confirmation."""
Play = Callable[[SessionContext, tuple[int, ...], Needed], SessionState]


@dataclass(frozen=True)
class Confirmation:
    """What the rounds alone with base and human say about questions that were answered `yes`."""

    state: SessionState
    verdicts: dict[Question, Verdict]
    ratios: dict[Question, float | None]


def confirm(
    play: Play,
    context: SessionContext,
    cores: tuple[int, ...],
    won: SessionState,
    questions: Sequence[Question],
    worker: WorkerGroup | None,
) -> Confirmation:
    """Time one arm anew with base and human alone. All questions are about that arm, and `won` answered them `yes`.

    A question is confirmed if the estimate reaches its threshold. Where it does not, rounds go on until the interval
    says `yes` or `no`, or rounds and time are up.
    """
    (arm,) = {question.arm for question in questions}
    timing = context.timing
    alone = replace(
        context,
        worker=worker,
        like=won,
        arms={name: context.arms[name] for name in ("base", "human", arm) if name in context.arms},
        timing=timing.model_copy(
            update={
                "min_rounds": min(ROUNDS, timing.min_rounds),
                "processes": 1,
                "budget_s": timing.budget_s * BUDGET_SHARE,
            }
        ),
    )
    looks = InterimLooks(questions, alone.timing)

    def needed(state: SessionState, level: float) -> set[str]:
        still_open = looks.open_arms(state, level)
        return set() if all(_verdict(looks, state, question)[0] == "yes" for question in questions) else still_open

    state = play(alone, cores, needed)
    found = {question: _verdict(looks, state, question) for question in questions}
    return Confirmation(state, {q: verdict for q, (verdict, _) in found.items()}, {q: r for q, (_, r) in found.items()})


def _verdict(looks: InterimLooks, state: SessionState, question: Question) -> tuple[Verdict, float | None]:
    compared, verdict = looks.answer(state, question)
    if not state.alive(question.arm):
        return ("inconclusive" if state.base_failure else "no"), None
    if compared is None:
        return "inconclusive", None
    return ("yes" if compared.found.ratio >= question.threshold else verdict), compared.found.ratio
