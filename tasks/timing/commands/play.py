"""Rounds of a command workload: every arm once per round, in random order, one server at a time.

With `server_per: round` (and without a server) every run has a sandbox and a server of its own; with `set` the servers
of all arms start once per set of rounds and wait while another arm's client runs. Looks, levels and budget are those of
the interleaved protocol. What is compared are the metrics that the command names in `equal`, and how much was done: an
arm that completes fewer requests than base, or fewer than LEAST_TOKENS of its tokens, is `incorrect`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import numpy as np

from configs.models import CommandConfig
from tasks.sandbox.commands.asking import CommandError
from tasks.sandbox.commands.metrics import better
from tasks.sandbox.commands.parsing import OutputError
from tasks.sandbox.commands.session import CommandSession, Ran, metrics_of, parse_spec, wanted_metrics
from tasks.timing.alpha_spending import Looks
from tasks.timing.models import ArmState, MetricValue, Sample, SessionState
from tasks.timing.patience import beyond, charge
from tasks.timing.processes import SessionContext
from tasks.timing.protocols.common import Needed
from tasks.timing.protocols.planning import FEWEST_ROUNDS, plan

LEAST_TOKENS = 0.9
"""Share of base's generated tokens that an arm must generate: sampling makes lengths differ a little."""


def commands(context: SessionContext, cores: tuple[int, ...], needed: Needed) -> SessionState:
    """Run until no arm is needed any more, or rounds or time are up."""
    state = SessionState(states={name: ArmState(name) for name in context.arms}, fresh=True)
    try:
        spec = parse_spec(context.script)
    except ValueError as error:
        state.base_failure = f"not a command: {error}"
        return state
    state.primary = wanted_metrics(spec)[0]
    state.claimed = spec.server is None
    # without bubblewrap a server may write into its client's output
    state.compared = bool(spec.equal) and context.sandbox.isolated
    player = _Player(context, state, spec, cores)
    whole_s = player.left_s
    player.play_set(1)  # how long a round takes
    round_s = whole_s - player.left_s
    timing = context.timing
    rounds = max(FEWEST_ROUNDS, min(timing.min_rounds, int(whole_s / max(round_s, 1e-6))))
    blocks = plan(rounds, timing.max_rounds, timing.processes)
    if player.per_round:
        blocks = [[1] * sum(block) for block in blocks]
    blocks[0] = _less_one(blocks[0])
    taken = Looks(timing.max_rounds, timing.confidence)
    for index, block in enumerate(blocks):
        for count in block:
            player.play_set(count)
        final = index == len(blocks) - 1 or bool(state.base_failure) or player.left_s < 0
        open_arms = needed(state, taken.at(player.rounds, final))
        player.keep(open_arms)
        if not open_arms or final:
            break
    return state


def _less_one(block: Sequence[int]) -> list[int]:
    """A block of which one round is played."""
    first, *rest = block
    return [first - 1, *rest] if first > 1 else rest


class _Player:
    """Plays rounds in set after set of sandboxes."""

    def __init__(
        self, context: SessionContext, state: SessionState, spec: CommandConfig, cores: tuple[int, ...]
    ) -> None:
        self._context, self._state, self._spec, self._cores = context, state, spec, cores
        self._rng = np.random.default_rng(context.timing.seed)
        self._names = list(context.arms)
        self._sets = self._rounds = 0
        self.per_round = spec.server is None or spec.server_per == "round"
        self._deadline = time.monotonic() + context.timing.budget_s
        self._taken_s: dict[str, float] = defaultdict(float)

    @property
    def rounds(self) -> int:
        """Rounds so far."""
        return self._rounds

    @property
    def left_s(self) -> float:
        """Seconds of the budget that are left (see `patience`)."""
        return self._deadline + self._state.extra_s - time.monotonic()

    def keep(self, open_arms: set[str]) -> None:
        """Go on with base, human if some patch is still compared with it, and the arms that are not settled."""
        wanted = open_arms | {"base"} | ({"human"} if open_arms - {"base", "human"} else set())
        self._names = [name for name in self._names if name in wanted]

    def play_set(self, rounds: int) -> None:
        """That many rounds in one set; less when time is up or nobody is left."""
        if self._out():
            return
        self._sets += 1
        with ExitStack() as stack:
            sessions: dict[str, CommandSession] = {}
            if not self.per_round:
                for name in self._alive():
                    with self._counted(name):
                        session = self._open(stack, name)
                    if session is not None:
                        sessions[name] = session
                self._charge()
            for _ in range(rounds):
                if not self._out():
                    self._play(sessions)

    def _play(self, sessions: dict[str, CommandSession]) -> None:
        seed, names = int(self._rng.integers(2**31)), self._alive()
        done: dict[str, dict[str, float]] = {}
        for position, index in enumerate(self._rng.permutation(len(names))):
            name = names[index]
            with self._counted(name), ExitStack() as stack:
                session = self._open(stack, name) if self.per_round else sessions.get(name)
                started_at = datetime.now(UTC)
                try:
                    ran = session.run_client(seed) if session is not None else None
                    if ran is None:
                        continue
                    done[name] = metrics_of(self._spec, ran.output)
                except CommandError as error:
                    self._drop(name, error.kind, str(error))
                except OutputError as error:
                    self._drop(name, "error", f"output: {error}")
                else:
                    self._state.samples.append(self._sample(name, position, seed, ran, started_at))
            if self._state.base_failure:
                break
        if "base" in done:
            self._keep(done)
        self._charge()
        self._rounds += 1

    @contextmanager
    def _counted(self, name: str) -> Iterator[None]:
        """Count the time of the block as spent on this arm."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._taken_s[name] += time.monotonic() - start

    def _charge(self) -> None:
        """Book what arms took beyond base since this was last asked."""
        charge(self._state, beyond(self._taken_s), self._context.timing.budget_s)
        self._taken_s.clear()

    def _keep(self, done: dict[str, dict[str, float]]) -> None:
        base = done["base"]
        for name, values in done.items():
            for metric, share in (("completed", 1.0), ("output_tokens", LEAST_TOKENS)):
                if values.get(metric, 0.0) < share * base.get(metric, 0.0):
                    reason = f"{metric}: {values.get(metric, 0.0):g}, base has {base[metric]:g}"
                    self._state.drop(name, "incorrect", reason)
            for metric in self._spec.equal:
                if values[metric] != base[metric]:
                    self._state.drop(
                        name, "incorrect", f"{metric}: {values[metric]:.17g}, base has {base[metric]:.17g}"
                    )
            for metric, value in values.items():
                way = better(metric, self._spec.better)
                self._state.metrics.append(MetricValue(name, self._sets - 1, self._rounds, metric, value, way))

    def _open(self, stack: ExitStack, name: str) -> CommandSession | None:
        """A sandbox whose server is ready and warm; None, and the arm excluded, if it does not get there."""
        context = self._context
        session = CommandSession(
            context.sandbox, context.arms[name], context.arms["base"], context.work, self._spec,
            cpus=self._cores, limits=context.limits,
        )  # fmt: skip
        stack.enter_context(session)
        try:
            session.start_server()
            for _ in range(self._spec.warmups):
                session.run_client(int(self._rng.integers(2**31)))
        except CommandError as error:
            self._drop(name, error.kind, str(error))
            return None
        return session

    def _drop(self, name: str, kind: str, reason: str) -> None:
        if name == "base":
            self._state.base_failure = reason
        else:
            self._state.drop(name, "timeout" if kind == "timeout" else "error", reason)

    def _alive(self) -> list[str]:
        return [name for name in self._names if self._state.alive(name)]

    def _out(self) -> bool:
        others = [name for name in self._alive() if name != "base"]
        return not others or (self._rounds > 1 and self.left_s < 0)

    def _sample(self, name: str, position: int, seed: int, ran: Ran, started_at: datetime) -> Sample:
        return Sample(
            arm=name, process=self._sets - 1, round=self._rounds, order=position, seed=seed, number=1,
            wall_ns=ran.wall_ns, cpu_ns=0, wait_ns=0, outside_ns=ran.outside_ns, setup_ns=0, correct=None,
            warmup=False, started_at=started_at,
        )  # fmt: skip
