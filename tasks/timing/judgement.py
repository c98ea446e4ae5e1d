"""What a session's questions have come to so far, look by look."""

from __future__ import annotations

from collections.abc import Sequence

from configs.models import TimingConfig
from tasks.timing.clocks import clock_flags, doubtful
from tasks.timing.models import Question, Race, Verdict
from tasks.timing.stats import Interval
from tasks.timing.verdict import compare, judge, point_verdict


class Judgement:
    """Remembers the level at which each look is taken; a settled question keeps the interval that settled it."""

    def __init__(self, questions: Sequence[Question], timing: TimingConfig) -> None:
        self._questions = questions
        self._timing = timing
        self.level = timing.confidence
        self._race: Race | None = None
        self._settled: dict[Question, tuple[Interval | None, Verdict]] = {}
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
            interval, verdict = self.answer(race, question)
            if verdict == "inconclusive":
                found.add(question.arm)
            else:
                self._settled[question] = interval, verdict
                self._flags.setdefault(question.arm, set()).update(clock_flags(race.samples, question.arm))
        return found

    def flags(self, race: Race, arm: str) -> list[str]:
        """Everything suspicious about an arm, by all rounds and by those that settled its questions.

        What is flagged is not in doubt: were a flag forgotten in later rounds, its `yes` would be one never cleared.
        """
        return sorted({*arm_flags(race, arm), *self._flags.get(arm, ())})

    def answer(self, race: Race, question: Question) -> tuple[Interval | None, Verdict]:
        """Interval and verdict by all rounds so far; none for an arm that is out of the race."""
        if not (race.alive(question.arm) and race.alive(question.against)):
            return None, "inconclusive"
        if question in self._settled:
            return self._settled[question]
        found = compare(race, question.arm, question.against, self.level, self._timing.protocol)
        if self._timing.protocol == "sequential":
            return found, point_verdict(found, question.threshold)
        verdict = judge(found, question.threshold)
        return found, "inconclusive" if verdict == "yes" and self._in_doubt(race, question.arm) else verdict

    @staticmethod
    def _in_doubt(race: Race, arm: str) -> bool:
        """Whether its work may be done elsewhere. The human's change was read by its project."""
        return not race.primary and arm != "human" and doubtful(race.samples, arm)


def arm_flags(race: Race, arm: str) -> list[str]:
    """Everything suspicious about an arm: what its samples say, and what its clocks say."""
    found = {flag for sample in race.samples if sample.arm == arm for flag in sample.flags}
    return sorted(found | set(clock_flags(race.samples, arm)))
