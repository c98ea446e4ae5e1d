"""What one attempt of an agent is given, and how much of this machine it may use."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from configs.models import Section

PromptPreset = Literal["isobench", "iso-bench", "gso"]


class AttemptConfig(Section):
    """One attempt of an agent at an instance."""

    minutes: float = Field(default=120, gt=0)
    """Wall time, in minutes, on our clock (ISO-Bench's two hours). What is in the workspace then, counts."""
    prompt: PromptPreset = "isobench"
    """What the agent is told. `isobench`: the statement, the public names, how to measure. `iso-bench`: the statement
    and the files that the human changed, no workload. `gso`: a perf test whose run time is to be made shorter."""
    perf_tests: Literal["none", "example", "all"] = "none"
    """Which of the instance's perf tests the agent sees: none, the first, or all. They lie outside of the
    repository."""
    memory_mb: int = Field(default=6000, gt=0)
    """Memory of the agent and all that it starts, in MiB."""
    pids: int = Field(default=1024, gt=0)
    """Processes and threads at most."""
    tmp_mb: int = Field(default=1024, gt=0)
    """Size of its /tmp, in MiB, which is memory, too; locally also the size of its largest file."""
    disk_mb: int = Field(default=4096, gt=0)
    """What its repository, home and other folders may take together, in MiB, beyond what they begin with."""
    output_mb: int = Field(default=64, gt=0)
    """How much of what it prints is kept, in MiB: the beginning and the end."""

    @model_validator(mode="after")
    def _gso_shows_a_test(self) -> AttemptConfig:
        if self.prompt == "gso" and self.perf_tests == "none":
            raise ValueError("prompt gso tells of a perf test: set `perf_tests: example`, or `all`")
        return self
