"""What each kind of meter means to a user, and what to do where it is not enough."""

from __future__ import annotations

from typing import Literal

from tasks.sandbox.metering.models import ENOUGH, MeterName

NOTHING_FASTER = "no arm can be found faster here"
MEANINGS: dict[MeterName, str] = {
    "cpuacct": "each arm's control group (v1), to 1 ns",
    "cpu.stat": "each arm's control group (v2), to 1 us",
    "engine": "the engine's count of each container",
    "worker": "the worker's own control group, to 1 us or less, in rounds in which one arm works: these take longer",
    "machine": "the machine's busy time, to 10 ms, in rounds in which one arm works: other programs disturb it",
    "processes": f"{NOTHING_FASTER}: only living processes can be counted, and children may hide",
    "none": f"{NOTHING_FASTER}: nothing counts the CPU time of its containers",
}
"""Found, by meter."""
DELEGATE = "run under `systemd-run --user --scope -p Delegate=yes`, or use the docker sandbox"
_ADVICE: dict[Literal["local", "docker"], str] = {
    "local": f"mount control groups (`-v /sys/fs/cgroup:/sys/fs/cgroup:ro` in a container); {DELEGATE}",
    "docker": "run isobench where the engine runs (DOCKER_HOST unset, the machine's /proc and /sys/fs/cgroup visible), "
    "update the engine, or use the local sandbox",
}


def advice(kind: Literal["local", "docker"], meter: MeterName) -> str:
    """How to get a better meter for a sandbox; empty where it is good enough."""
    if meter in ENOUGH:
        return "" if meter not in ("worker", "machine") else f"better: {DELEGATE}"
    return _ADVICE[kind]
