"""What a session's questions have come to so far, look by look."""

from __future__ import annotations

from collections.abc import Sequence

from configs.models import TimingConfig
from tasks.timing.clocks import clock_flags
from tasks.timing.commands.compare import by_the_clock
from tasks.timing.models import Question, Race, Verdict
from tasks.timing.verdict import Compared, compare, point_verdict, verdict_at


class InterimLooks:
    """Remembers the level at which each look is taken; a settled question keeps the interval that settled it."""

    def __init__(self, questions: Sequence[Question], timing: TimingConfig) -> None:
        self._questions = questions
        self._timing = timing
        self.level = timing.confidence
        self._race: Race | None = None
        self._settled: dict[Question, tuple[Compared | None, Verdict]] = {}
        self._flags: dict[str, set[str]] = {}

    def open_arms(self, race: Race, level: float) -> set[str]:
        """Arms that some open question is about, after a look at this confidence."""
        self.level = level
        if race is not self._race:  # the protocol has begun anew
            self._race, self._settled, self._flags = race, {}, {}
        found = set()
        for question in self._questions:
            if question in self._settled or not (race.alive(question.arm) and race.alive(question.against)):
                continue
            compared, verdict = self.answer(race, question)
            if verdict == "inconclusive":
                found.add(question.arm)
            else:
                self._settled[question] = compared, verdict
                self._flags.setdefault(question.arm, set()).update(arm_flags(race, question.arm))
        return found

    def flags(self, race: Race, arm: str) -> list[str]:
        """Everything suspicious about an arm, by all rounds and by those that settled its questions."""
        return sorted({*arm_flags(race, arm), *self._flags.get(arm, ())})

    def answer(self, race: Race, question: Question) -> tuple[Compared | None, Verdict]:
        """Comparison and verdict by all rounds so far; none for an arm that is out of the race."""
        if not (race.alive(question.arm) and race.alive(question.against)):
            return None, "inconclusive"
        if question in self._settled:
            return self._settled[question]
        timing = self._timing
        compared = compare(race, question.arm, question.against, self.level, timing.protocol, timing.charging)
        found = compared.found if compared else None
        if self._timing.protocol == "sequential":
            return compared, point_verdict(found, question.threshold)
        verdict = verdict_at(found, question.threshold)
        if race.claimed and verdict == "yes":  # an arm's own word: the driver's clock must say so, too
            by_clock = verdict_at(by_the_clock(race, question, self.level), question.threshold)
            verdict = "yes" if by_clock == "yes" else "inconclusive"
        return compared, verdict


def arm_flags(race: Race, arm: str) -> list[str]:
    """Everything suspicious about an arm: what its samples say, and what its clocks say."""
    found = {flag for sample in race.samples if sample.arm == arm for flag in sample.flags}
    return sorted(found | set([] if race.primary else clock_flags(race.samples, arm)))  # a command has one clock only
