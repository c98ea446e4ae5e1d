"""What a session's questions have come to so far, look by look."""

from __future__ import annotations

from collections.abc import Sequence

from configs.models import TimingConfig
from tasks.timing.clocks import clock_flags
from tasks.timing.commands.compare import by_the_clock
from tasks.timing.models import Question, SessionState, Verdict
from tasks.timing.verdict import Compared, compare, point_verdict, verdict_at


class InterimLooks:
    """Remembers the level at which each look is taken; a settled question keeps the interval that settled it."""

    def __init__(self, questions: Sequence[Question], timing: TimingConfig) -> None:
        self._questions = questions
        self._timing = timing
        self.level = timing.confidence
        self._state: SessionState | None = None
        self._settled: dict[Question, tuple[Compared | None, Verdict]] = {}
        self._flags: dict[str, set[str]] = {}

    def open_arms(self, state: SessionState, level: float) -> set[str]:
        """Arms that some open question is about, after a look at this confidence."""
        self.level = level
        if state is not self._state:  # the protocol has begun anew
            self._state, self._settled, self._flags = state, {}, {}
        found = set()
        for question in self._questions:
            if question in self._settled or not (state.alive(question.arm) and state.alive(question.against)):
                continue
            compared, verdict = self.answer(state, question)
            if verdict == "inconclusive":
                found.add(question.arm)
            else:
                self._settled[question] = compared, verdict
                self._flags.setdefault(question.arm, set()).update(arm_flags(state, question.arm))
        return found

    def flags(self, state: SessionState, arm: str) -> list[str]:
        """Everything suspicious about an arm, by all rounds and by those that settled its questions."""
        return sorted({*arm_flags(state, arm), *self._flags.get(arm, ())})

    def answer(self, state: SessionState, question: Question) -> tuple[Compared | None, Verdict]:
        """Comparison and verdict by all rounds so far; none for an excluded arm."""
        if not (state.alive(question.arm) and state.alive(question.against)):
            return None, "inconclusive"
        if question in self._settled:
            return self._settled[question]
        timing = self._timing
        compared = compare(state, question.arm, question.against, self.level, timing.protocol, timing.charging)
        found = compared.found if compared else None
        if self._timing.protocol == "sequential":
            return compared, point_verdict(found, question.threshold)
        verdict = verdict_at(found, question.threshold)
        if state.claimed and verdict == "yes":  # an arm's own word: the driver's clock must say so, too
            by_clock = verdict_at(by_the_clock(state, question, self.level), question.threshold)
            verdict = "yes" if by_clock == "yes" else "inconclusive"
        return compared, verdict


def arm_flags(state: SessionState, arm: str) -> list[str]:
    """Everything suspicious about an arm: what its samples say, and what its clocks say."""
    found = {flag for sample in state.samples if sample.arm == arm for flag in sample.flags}
    return sorted(found | set([] if state.primary else clock_flags(state.samples, arm)))  # a command has one clock only
