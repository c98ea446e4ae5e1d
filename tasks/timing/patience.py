"""Whose time it is, where arms take turns: a session's budget is for base and for what takes about as long.

What an arm takes beyond that, to load, to set up, to run or to have its result compared, is its own: the session ends
later by it, so that nobody else is left without a verdict, and an arm that took a whole budget for itself is out. Its
single steps have limits besides: `call_timeout_s` for a call, and where base has done the same, what base took.
"""

from __future__ import annotations

from collections.abc import Mapping

from tasks.timing.models import SessionState

ALLOWED = 2.0
"""An arm that takes up to this many times as long as base, and SLACK_S, takes nobody's time."""
SLACK_S = 0.25
LIMIT = 10.0
"""A step that base has done may take this many times as long, and LIMIT_S in any case."""
LIMIT_S = 10.0


def limit(base_s: float | None, timeout_s: float) -> float:
    """Seconds that a step may take; `base_s` is what it took base, None if that is not known."""
    return timeout_s if base_s is None else min(timeout_s, max(LIMIT_S, LIMIT * base_s))


def beyond(taken_s: Mapping[str, float], base_s: float | None = None) -> dict[str, float]:
    """Seconds of each arm beyond base's for the same; nothing where base's are not known."""
    base_s = taken_s.get("base") if base_s is None else base_s
    if base_s is None:
        return {}
    own = {name: seconds - (ALLOWED * base_s + SLACK_S) for name, seconds in taken_s.items() if name != "base"}
    return {name: seconds for name, seconds in own.items() if seconds > 0}


def charge(state: SessionState, own_s: Mapping[str, float], budget_s: float, at_once: bool = False) -> None:
    """Book what `beyond` found, and take out who has used up a budget of its own. `at_once`: they ran side by side."""
    if not own_s:
        return
    state.extra_s += max(own_s.values()) if at_once else sum(own_s.values())
    for name, seconds in own_s.items():
        state.own_s[name] = state.own_s.get(name, 0.0) + seconds
        if state.own_s[name] > budget_s:
            reason = f"took {state.own_s[name]:.0f} s more than base for the same; a session has {budget_s:g} s for all"
            state.drop(name, "timeout", reason)
