"""What a process says about results and inputs of its calls, and how that compares with what base says."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from tasks.sandbox.probe.protocol import ProbeError, field

MAX_NAMES = 2000
"""Functions and constants of a perf test that an answer may name."""
Shared = Literal["", "part", "whole"]
_HASH = re.compile(r"[0-9a-f]{32}")


class Digests(BaseModel):
    """Hashes of some calls of a batch; all lists have one item per call, in the order that was asked for."""

    model_config = ConfigDict(frozen=True)

    results: list[str]
    """Of what each call returned, as `result` would give it. Equal hashes need no comparison."""
    inputs: list[str | None]
    """Of the workload that the call was given, taken after all calls and after `results`. None where the script hides
    it, or where it was not asked for. Objects of unknown classes count by the names of their classes."""
    before: list[str | None]
    """The same, taken when setup had made it; None where it was not asked for."""
    shared: list[Shared]
    """What of a result is the caller's own input, so that changing one changes the other: all of it (`whole`: the
    result is the input, or one object in it), some of it, nothing."""
    script: dict[str, str]
    """Hashes of the perf test's own functions and of its constants, by name, as they are now."""

    @classmethod
    def of(cls, answer: dict[str, Any], count: int) -> Digests:
        """Of a probe's answer. Raises ProbeError."""
        columns = {name: field(answer, name, list) for name in ("results", "inputs", "before", "shared")}
        good = all(len(column) == count for column in columns.values())
        good &= all(isinstance(item, str) and bool(_HASH.fullmatch(item)) for item in columns["results"])
        for name in ("inputs", "before"):
            good &= all(item is None or (isinstance(item, str) and _HASH.fullmatch(item)) for item in columns[name])
        good &= all(isinstance(item, str) and item in get_args(Shared) for item in columns["shared"])
        script = field(answer, "script", dict)
        good &= len(script) <= MAX_NAMES
        good &= all(isinstance(item, str) and bool(_HASH.fullmatch(item)) for item in script.values())
        if not good:
            raise ProbeError("protocol", "the answer's hashes are no hashes")
        return cls(**columns, script=script)

    def differing(self, base: Digests) -> list[int]:
        """Places at which the results have other hashes than base's."""
        pairs = zip(self.results, base.results, strict=True)
        return [place for place, (ours, theirs) in enumerate(pairs) if ours != theirs]

    def begins_like(self, base: Digests) -> bool:
        """Whether setup made the same workloads as base's, as far as that is known."""
        return all(ours == theirs for ours, theirs in zip(self.before, base.before, strict=True))

    def fault(self, base: Digests, alike: bool = False) -> str:
        """What the arm does that base does not, beside its results: in words, or "" if there is nothing.

        `base` has the same calls: those of the same seeds, in the same order. `alike`: setup is known to make equal
        workloads in all arms, so that those after the calls can be compared without those before.
        """
        touched = sorted(
            name for name in {*self.script, *base.script} if self.script.get(name) != base.script.get(name)
        )
        if touched:
            return f"changes the perf test's own {', '.join(touched[:5])}"
        return next(filter(None, (self._input_fault(base, place, alike) for place in range(len(base.inputs)))), "")

    def _input_fault(self, base: Digests, place: int, alike: bool) -> str:
        if base.inputs[place] is None:
            return ""
        found = self._change(base, place) if base.before[place] is not None else self._difference(base, place, alike)
        return found or _SHARES.get((self.shared[place], base.shared[place]), "")

    def _difference(self, base: Digests, place: int, alike: bool) -> str:
        """Between workloads after the calls, where nobody looked at them before."""
        same = self.inputs[place] == base.inputs[place]
        return "does not leave the caller's input as base leaves it" if alike and not same else ""

    def _change(self, base: Digests, place: int) -> str:
        """What the calls made of workloads that were looked at before, if not what base's made of them."""
        ours, theirs = self.inputs[place], base.inputs[place]
        if ours is None:
            return "makes of the caller's input what cannot be read"
        kept, base_kept = ours == self.before[place], theirs == base.before[place]
        if base_kept and not kept:
            return "changes the caller's input, which base leaves as it is"
        if kept and not base_kept:
            return "leaves the caller's input as it is, which base changes"
        # Workloads that differ from the start (paths of temporary files, say) can only tell whether they were changed.
        comparable = self.before[place] == base.before[place]
        return "changes the caller's input in another way than base" if comparable and ours != theirs else ""


_SHARES: dict[tuple[str, str], str] = {
    ("whole", ""): "returns the caller's own input, where base returns something new",
    ("whole", "part"): "returns the caller's own input, where base returns something new",
    ("part", ""): "returns parts of the caller's own input, where base returns something new",
}
