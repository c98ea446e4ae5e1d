"""Decides whether a result depends on the work: a stub's result must differ."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from tasks.code.python import parse
from tasks.perftests.gates.behaviour import First
from tasks.perftests.gates.context import INSIDE, SEED, STUB_SEED, WATCH, Bench, Clock, GateFailed, once, varies
from tasks.perftests.models import Proposal
from tasks.perftests.sources.workloads import spans
from tasks.sandbox.probe.inside.encoding import Record, decode
from tasks.sandbox.probe.session import CheckFailed, ProbeError, ProbeSession

STUB_TIMES, STUB_S = 20, 2.0
"""An experiment without the changed functions may take so many times as long as with them, and STUB_S in any case."""


def tells(
    base: ProbeSession, checker: ProbeSession, proposal: Proposal, first: First, stubbed: bytes | None, bench: Bench
) -> bool:
    """Whether the result of an experiment depends on the work.

    The result does not depend on it if the script's own text holds the whole result, or if base gives an equivalent
    result while the changed functions do nothing (`stubbed`). In the latter case, raises GateFailed where the script
    could be repaired.
    """
    if not varies(proposal) and written(proposal.script, first.result):
        return False
    if stubbed is None:
        return True
    try:
        if varies(proposal):
            base.setup(STUB_SEED, digest=False)
            base.run()
            checker.check(base.result(), stubbed)
        else:
            checker.check(first.result, stubbed)
    except (CheckFailed, ProbeError):
        return True
    if varies(proposal):
        names = ", ".join(sorted(bench.targets.functions)[:8])
        raise GateFailed(
            "trivial", f"the result is the same when {names} do nothing in experiment: return what they compute"
        )
    return False


def written(script: str, result: bytes) -> bool:
    """Whether a result holds nothing but None, truth values, and texts and numbers that stand in the script."""
    if result[:1] != b"v":
        return False
    known = {repr(node.value) for node in ast.walk(parse(script)) if isinstance(node, ast.Constant)}
    return all(leaf is None or isinstance(leaf, bool) or repr(leaf) in known for leaf in _leaves(decode(result[1:])))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = value.values()
    elif isinstance(value, Record):
        value = [item for name, item in vars(value).items() if name != "_record_type"]
    elif not isinstance(value, list | tuple | set | frozenset):
        yield value
        return
    for item in value:
        yield from _leaves(item)


def without_the_change(
    bench: Bench, proposal: Proposal, used: ProbeSession, first: First, clock: Clock
) -> bytes | None:
    """The result of base while the changed functions do nothing; None if base fails, or if they are not on base in
    Python.

    A workload that varies runs in the process `used`, on a seed that this process has not seen. A fixed workload runs
    in a process of its own, which cannot remember an earlier result.
    """
    if bench.targets.arm != "base" or not bench.targets.functions:
        return None
    clock.check("trivial")
    limit_s = max(STUB_S, STUB_TIMES * first.seconds)
    begin = f"begin({spans(bench.targets.functions)!r}, {bench.root!r}, {limit_s!r})\n"
    with ExitStack() as stack:
        probe = used if varies(proposal) else stack.enter_context(bench.session(bench.base, clock))
        try:
            probe.load("\n".join([WATCH.read_text(), (INSIDE / "stubs.py").read_text(), begin]))
            probe.load(once(proposal), proposal.dialect)
            probe.setup(STUB_SEED if varies(proposal) else SEED, digest=False)
            probe.run()
            return probe.result()
        except ProbeError:
            return None
