"""Rows about timing: calls, comparisons, sessions, machines."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from storage.rows.base import Row


class Measurement(Row):
    """One timed call (or one timed batch of `number` calls) of one arm in one round."""

    table: ClassVar[str] = "measurements"
    key_columns: ClassVar[tuple[str, ...]] = ("session_id", "test_id", "arm", "round")

    session_id: str
    test_id: str
    arm: str
    """`base`, `human`, `patch:<id>` or `main`."""
    process: int
    """Which set of processes (one per arm) the round ran in, from 0."""
    round: int
    """Round number inside the session and test, from 0, unique across processes."""
    repo: str
    instance_id: str | None = None
    wall_ns: int
    """The probe's clock, for the whole batch."""
    cpu_ns: int
    """CPU time of the process over the batch."""
    gpu_ns: int | None = None
    wait_ns: int = 0
    """Share of `wall_ns` in which the call could run and its core ran something else, by the kernel."""
    cpu_bound: bool = False
    """Whether one thread did it all and never slept, by the kernel: then `cpu_ns` is what counts, else the wall time
    without waits."""
    company_ns: int = 0
    """CPU time, while this call ran, of those that shared the core with it, if all got the same: most of `wait_ns` is
    theirs. 0 if there were none."""
    outside_ns: int
    """The driver's own clock around the request, for the whole batch."""
    call_ns: float | None = None
    """Nanoseconds of one call as comparisons count them: without waits for the core, no less than the driver's clock
    allows. None for what no comparison counts (warm-up, an incorrect result), and in older rows."""
    load_ns: int = 0
    """CPU time of loading the perf test in this process. This and the next six are of the whole sandbox, read from
    outside by the session's `meter`."""
    setup_ns: int = 0
    """CPU time of building `setups` workloads."""
    digest_ns: int = 0
    """CPU time of hashing `hashed` results; a lazy result is computed then."""
    result_ns: int = 0
    """CPU time of handing out one result, where it was not equal to base's."""
    idle_ns: int = 0
    """CPU time between requests of this round, when nothing was asked of the arm."""
    ping_ns: int = 0
    """CPU time of an empty request, which any request uses by itself."""
    release_ns: int = 0
    """CPU time of freeing the results of the batch."""
    setups: int = 1
    """Workloads that setup built for this round."""
    hashed: int = 1
    """Results of the batch that were compared."""
    charge_ns: float = 0.0
    """Charge per call: what the sandbox used beside this round's calls less what base's used; negative values cancel
    noise and are never a credit."""
    confirming: bool = False
    """True if the round confirms a success with only base and human beside the arm."""
    number: int = 1
    """Calls in the batch."""
    order: int
    """Position of the arm inside its round, from 0."""
    seed: int
    correct: bool | None
    """Whether the result was equivalent to the base arm's; None if it was not compared in this round."""
    warmup: bool = False
    """True if the round is discarded as warm-up."""
    flags: list[str] = Field(default_factory=list)
    machine_id: str
    started_at: datetime


class Comparison(Row):
    """What a session says about one arm against another on one perf test: the verdict with its interval."""

    table: ClassVar[str] = "comparisons"
    key_columns: ClassVar[tuple[str, ...]] = ("session_id", "test_id", "arm", "against")

    session_id: str
    test_id: str
    arm: str
    against: str
    repo: str
    instance_id: str | None = None
    status: Literal["ok", "incorrect", "error", "timeout"]
    """`ok`: timed and correct in every compared round; otherwise the ratio is None."""
    reason: str = ""
    ratio: float | None
    """Speedup: time of `against` / time of `arm`, with what both are charged; above 1 means that `arm` is faster."""
    ci_low: float | None
    ci_high: float | None
    calls_ratio: float | None = None
    """Speedup of the calls alone, before charging."""
    calls_ci_low: float | None = None
    calls_ci_high: float | None = None
    charge_s: float | None = None
    """Seconds per call that `arm` is charged for what its sandbox used beside its calls beyond base's: the median over
    rounds, at least 0."""
    charge_ci_high_s: float | None = None
    """Upper end of that charge's interval. Its distance from `charge_s` is what the meter can resolve."""
    confirmed_ratio: float | None = None
    """Speedup in rounds with only base and human beside the arm; None where the session had no other arms."""
    median_s: float | None = None
    """Median seconds per call of `arm`."""
    against_median_s: float | None = None
    n_rounds: int = 0
    question: float | None = None
    """The threshold that the verdict answers: is `ratio >= question`?"""
    verdict: Literal["yes", "no", "inconclusive"]
    flags: list[str] = Field(default_factory=list)
    metric: str = ""
    """Of a workload that is a command: the metric that decides, and `ratio` is how many times better. Empty: time."""
    machine_id: str


class Metric(Row):
    """What a command printed for one metric, for one arm in one round."""

    table: ClassVar[str] = "metrics"
    key_columns: ClassVar[tuple[str, ...]] = ("session_id", "arm", "round", "metric")

    session_id: str
    test_id: str
    repo: str
    instance_id: str | None = None
    arm: str
    process: int
    round: int
    metric: str
    """For example `request_throughput`, `mean_ttft_ms`, `p99_itl_ms`. Throughputs are per second."""
    value: float
    better: Literal["higher", "lower"] | None
    """None: it says how much was done."""


class MetricComparison(Row):
    """How many times better one arm is than another by one metric of a command."""

    table: ClassVar[str] = "metric_comparisons"
    key_columns: ClassVar[tuple[str, ...]] = ("session_id", "arm", "against", "metric")

    session_id: str
    test_id: str
    repo: str
    instance_id: str | None = None
    arm: str
    against: str
    metric: str
    better: Literal["higher", "lower"]
    primary: bool
    """Whether it is the metric of the row in `comparisons`, which scoring reads."""
    value: float | None
    """Median over rounds, of `arm`."""
    against_value: float | None
    ratio: float | None
    """Above 1 means that `arm` is better."""
    ci_low: float | None
    ci_high: float | None
    n_rounds: int
    question: float
    verdict: Literal["yes", "no", "inconclusive"]


class GpuReading(BaseModel):
    """One GPU at one moment; what it does not say is None."""

    uuid: str
    at: datetime
    sm_clock_mhz: int | None
    memory_clock_mhz: int | None
    temperature_c: int | None
    power_w: float | None
    utilisation_percent: int | None
    processes: list[str]
    """Processes that compute on it, `<pid> (<memory> MiB)`."""


class TimedSession(Row):
    """One session: one perf test, all arms, on one machine. Its calls are in `measurements`."""

    table: ClassVar[str] = "sessions"
    key_columns: ClassVar[tuple[str, ...]] = ("session_id",)

    session_id: str
    test_id: str
    repo: str
    instance_id: str | None = None
    arms: list[str]
    protocol: str
    machine_id: str
    sandbox: str
    """`local` or `docker`."""
    image_digests: list[str] = Field(default_factory=list)
    """Digests of the container images that the arms ran in; none locally."""
    fingerprint: str
    """Hash of machine, sandbox, images and meter. Sessions with different ones are not compared, unless asked for."""
    meter: str = ""
    """What counted CPU time: `cpuacct`, `cpu.stat` (control groups of the arms, version 1 or 2), `engine` (docker's own
    word), `worker`, `machine` (what the worker's group or the machine used beyond what is known), `processes` (those
    that could be seen) or `none`. Empty: the session is older than meters."""
    cores: list[int]
    """Cores that the session had for itself."""
    device: str = "cpu"
    gpu_readings: list[GpuReading] = Field(default_factory=list)
    """With `device: cuda`: every GPU before and after the session."""
    started_at: datetime
    duration_s: float
    """Without the wait for cores."""


class Calibration(Row):
    """One comparison of known truth by `isobench calibrate`: what this machine tells apart, and in what time."""

    table: ClassVar[str] = "calibrations"
    key_columns: ClassVar[tuple[str, ...]] = ("calibration_id", "number")

    calibration_id: str
    number: int
    """From 0, in the order of measuring."""
    machine_id: str
    sandbox: str
    protocol: str
    call: str
    """Name of the workload, which says how long a call takes."""
    call_s: float | None
    """Median seconds of one call of base."""
    true_ratio: float
    """How much less work the faster arm does; 1 is identical code."""
    question: float
    verdict: Literal["yes", "no", "inconclusive"]
    right: bool
    """Whether the verdict is what `true_ratio` demands."""
    ratio: float | None
    ci_low: float | None
    ci_high: float | None
    n_rounds: int
    seconds: float
    """Of the whole session, without the wait for cores."""
    started_at: datetime


class Machine(Row):
    """Fingerprint of a machine that timed something."""

    table: ClassVar[str] = "machines"
    key_columns: ClassVar[tuple[str, ...]] = ("machine_id",)

    machine_id: str
    """Hash of the columns below, but for `seen_at`."""
    cpu_model: str
    cores: int
    memory_mb: int
    kernel: str
    architecture: str
    governor: str
    """Frequency governor of the first core; empty where the system does not say."""
    python: str
    """Version of the driver's interpreter."""
    gpus: list[str] = Field(default_factory=list)
    """Of sessions with `device: cuda`: name, memory, driver and power limit of every card."""
    seen_at: datetime
