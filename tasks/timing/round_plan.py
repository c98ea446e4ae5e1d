"""What one round is called with, and what of it each arm is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RoundPlan:
    """What one round is called with."""

    process: int
    round: int
    seed: int
    order: Sequence[str]
    number: int = 1
    """Calls of base, and of every arm that is not in `numbers`."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Larger batches of fast arms; base's calls are some of theirs, from `offset` on."""
    offset: int = 0
    compared: Sequence[int] = (0,)
    """Which of base's results are compared; no arm knows them, nor `offset`, while it runs."""
    keeps: bool = False
    """Whether base's result is fetched, for whoever asks for it after the round."""
    before: bool = False
    """Whether the workloads are looked at before the calls, to learn whether setup makes the same for all arms."""
    inputs: int = 1
    """How many of them are looked at after the calls, the first of `compared`; no arm knows it while it runs."""
    warmup: bool = False
    apart: bool = False
    """Whether each arm does all of its round while the others wait, so that nobody else's work is taken for its own."""
    together: bool = False
    """Whether the arms are timed at the same moment instead of one after the other."""
    one_core: bool = False
    """Whether those that are timed at the same moment have one core between them."""

    cores: int = 0
    """Cores that each process is pinned to; 0 if it is not."""

    @property
    def setups(self) -> int:
        """Workloads that every arm builds: as many as the largest batch needs, so that setups can be told apart."""
        return max([self.number, *(self.numbers[name] for name in self.order if name in self.numbers)])

    def batch(self, name: str) -> Batch:
        """What an arm is asked for."""
        if name in self.numbers:
            return Batch(0, self.numbers[name], [self.offset + index for index in self.compared])
        return Batch(self.offset, self.number, list(self.compared))


@dataclass(frozen=True)
class Batch:
    """The calls of one arm in one round."""

    start: int
    """The first of its workloads that is used."""
    number: int
    compared: list[int]
    """Which of its results are compared, counted from `start`."""
