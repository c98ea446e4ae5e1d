"""Whether the arms of a round may be called at the same moment on one core.

The speed of a core changes within a second where neighbours share the machine, so of two calls of a second, one after
the other, each meets another core. Called at the same moment on the same core, the kernel lets them take turns of a few
milliseconds: whatever changes more slowly than that, changes for all alike. That is a duet (Bulej et al., ICPE 2020)
on one core instead of two. Each call is charged for what it used of the core, which the kernel counts. So this is for
calls that need nothing else: one thread that never sleeps.
"""

from __future__ import annotations

from collections.abc import Iterable

from configs.models import TimingConfig
from tasks.timing.models import Sample

TIMEOUT_SHARE = 0.25
"""Of the time that a single call may take: all calls of a round together, if they share, take less."""


def may_share(samples: Iterable[Sample], timing: TimingConfig) -> bool:
    """Whether each arm can be charged for its own time where all share a core, by one round of separate calls."""
    samples = list(samples)
    if not timing.share_core or timing.cores != 1 or timing.device != "cpu" or len(samples) < 2:
        return False
    together_s = sum(sample.wall_ns - sample.wait_ns for sample in samples) / 1e9
    return together_s <= TIMEOUT_SHARE * timing.call_timeout_s and all(sample.cpu_bound for sample in samples)
