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
    """The session, a key of `sessions`."""
    test_id: str
    """The perf test, a key of `perf_tests`."""
    arm: str
    """`base`, `human`, `patch:<id>` or `main`."""
    process: int
    """Which set of processes (one per arm) the round ran in, from 0."""
    round: int
    """Round number inside the session and test, from 0, unique across processes."""
    repo: str
    """`owner/name`."""
    instance_id: str | None = None
    """The instance that the row is about. None while a dataset is built."""
    wall_ns: int
    """The probe's clock, for the whole batch."""
    cpu_ns: int
    """CPU time of the process over the batch."""
    gpu_ns: int | None = None
    """Time between the device's own events around the batch; None without `device: cuda`."""
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
    """Seed of the first workload of the arm's batch: in a round all arms begin with the same one."""
    correct: bool | None
    """Whether the result was equivalent to the base arm's; None if it was not compared in this round."""
    warmup: bool = False
    """True if the round is discarded as warm-up."""
    flags: list[str] = Field(default_factory=list)
    """What was noticed about the call or its result, such as `threads_left`, `other_result_type`."""
    machine_id: str
    """The machine, a key of `machines`."""
    started_at: datetime
    """When the call was asked for."""


class Comparison(Row):
    """What a session says about one arm against another on one perf test: the verdict with its interval."""

    table: ClassVar[str] = "comparisons"
    key_columns: ClassVar[tuple[str, ...]] = ("session_id", "test_id", "arm", "against")

    session_id: str
    """The session, a key of `sessions`."""
    test_id: str
    """The perf test, a key of `perf_tests`."""
    arm: str
    """The arm that the row is about: `human`, `patch:<id>`."""
    against: str
    """The arm that it is compared with: `base` or `human`."""
    repo: str
    """`owner/name`."""
    instance_id: str | None = None
    """The instance that the row is about. None while a dataset is built."""
    status: Literal["ok", "incorrect", "error", "timeout"]
    """`ok`: timed and correct in every compared round; otherwise the ratio is None."""
    reason: str = ""
    """Why the status is not `ok`."""
    ratio: float | None
    """Speedup: time of `against` / time of `arm`, with what both are charged; above 1 means that `arm` is faster."""
    ci_low: float | None
    """Lower end of the interval of `ratio`."""
    ci_high: float | None
    """Upper end of the interval of `ratio`."""
    calls_ratio: float | None = None
    """Speedup of the calls alone, before charging."""
    calls_ci_low: float | None = None
    """Lower end of the interval of `calls_ratio`."""
    calls_ci_high: float | None = None
    """Upper end of the interval of `calls_ratio`."""
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
    """Median seconds per call of `against`."""
    n_rounds: int = 0
    """Rounds behind `ratio`."""
    question: float | None = None
    """The threshold that the verdict answers: is `ratio >= question`?"""
    verdict: Literal["yes", "no", "inconclusive"]
    """`yes`: the whole interval reaches `question`; `no`: none of it does; else `inconclusive`."""
    flags: list[str] = Field(default_factory=list)
    """What limits trust in the row; docs/troubleshooting.md says what each one means."""
    metric: str = ""
    """Of a workload that is a command: the metric that decides, and `ratio` is how many times better. Empty: time."""
    machine_id: str
    """The machine, a key of `machines`."""


class Metric(Row):
    """What a command printed for one metric, for one arm in one round."""

    table: ClassVar[str] = "metrics"
    key_columns: ClassVar[tuple[str, ...]] = ("session_id", "arm", "round", "metric")

    session_id: str
    """The session, a key of `sessions`."""
    test_id: str
    """The perf test, a key of `perf_tests`."""
    repo: str
    """`owner/name`."""
    instance_id: str | None = None
    """The instance that the row is about. None while a dataset is built."""
    arm: str
    """The arm whose code ran."""
    process: int
    """Which set of processes (one per arm) the round ran in, from 0."""
    round: int
    """Round number inside the session, from 0."""
    metric: str
    """For example `request_throughput`, `mean_ttft_ms`, `p99_itl_ms`. Throughputs are per second."""
    value: float
    """What the command printed, or what was counted."""
    better: Literal["higher", "lower"] | None
    """None: it says how much was done."""


class MetricComparison(Row):
    """How many times better one arm is than another by one metric of a command."""

    table: ClassVar[str] = "metric_comparisons"
    key_columns: ClassVar[tuple[str, ...]] = ("session_id", "arm", "against", "metric")

    session_id: str
    """The session, a key of `sessions`."""
    test_id: str
    """The perf test, a key of `perf_tests`."""
    repo: str
    """`owner/name`."""
    instance_id: str | None = None
    """The instance that the row is about. None while a dataset is built."""
    arm: str
    """The arm that the row is about."""
    against: str
    """The arm that it is compared with."""
    metric: str
    """Name of the metric, as in `metrics`."""
    better: Literal["higher", "lower"]
    """Which direction is better."""
    primary: bool
    """Whether it is the metric of the row in `comparisons`, which scoring reads."""
    value: float | None
    """Median over rounds, of `arm`."""
    against_value: float | None
    """Median over rounds, of `against`."""
    ratio: float | None
    """Above 1 means that `arm` is better."""
    ci_low: float | None
    """Lower end of the interval of `ratio`."""
    ci_high: float | None
    """Upper end of the interval of `ratio`."""
    n_rounds: int
    """Rounds behind `ratio`."""
    question: float
    """The threshold that the verdict answers: is `ratio >= question`?"""
    verdict: Literal["yes", "no", "inconclusive"]
    """As in `comparisons`."""


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
    """Content hash of test, arms, settings and machine, and random digits: each session has its own."""
    test_id: str
    """The perf test, a key of `perf_tests`."""
    repo: str
    """`owner/name`."""
    instance_id: str | None = None
    """The instance that the row is about. None while a dataset is built."""
    arms: list[str]
    """Names of the arms."""
    protocol: str
    """`interleaved`, `duet` or `sequential`."""
    machine_id: str
    """The machine, a key of `machines`."""
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
    """`cpu` or `cuda`."""
    gpu_readings: list[GpuReading] = Field(default_factory=list)
    """With `device: cuda`: every GPU before and after the session."""
    started_at: datetime
    """When the session had its cores."""
    duration_s: float
    """Without the wait for cores."""


class Calibration(Row):
    """One comparison of known truth by `isobench calibrate`: what this machine tells apart, and in what time."""

    table: ClassVar[str] = "calibrations"
    key_columns: ClassVar[tuple[str, ...]] = ("calibration_id", "number")

    calibration_id: str
    """The calibration: one call of `isobench calibrate`."""
    number: int
    """From 0, in the order of measuring."""
    machine_id: str
    """The machine, a key of `machines`."""
    sandbox: str
    """`local` or `docker`."""
    protocol: str
    """As in `sessions`."""
    call: str
    """Name of the workload, which says how long a call takes."""
    call_s: float | None
    """Median seconds of one call of base."""
    true_ratio: float
    """How much less work the faster arm does; 1 is identical code."""
    question: float
    """The threshold that the verdict answers: is `ratio >= question`?"""
    verdict: Literal["yes", "no", "inconclusive"]
    """As in `comparisons`."""
    right: bool
    """Whether the verdict is what `true_ratio` demands."""
    ratio: float | None
    """Speedup that was measured; None where the session has none."""
    ci_low: float | None
    """Lower end of the interval of `ratio`."""
    ci_high: float | None
    """Upper end of the interval of `ratio`."""
    n_rounds: int
    """Rounds behind `ratio`."""
    seconds: float
    """Of the whole session, without the wait for cores."""
    started_at: datetime
    """When the session began."""


class Machine(Row):
    """Fingerprint of a machine that timed something."""

    table: ClassVar[str] = "machines"
    key_columns: ClassVar[tuple[str, ...]] = ("machine_id",)

    machine_id: str
    """Hash of the columns below, but for `seen_at`."""
    cpu_model: str
    """As the kernel names it."""
    cores: int
    """Cores that the machine has."""
    memory_mb: int
    """Memory of the machine, in MiB."""
    kernel: str
    """Release of the kernel."""
    architecture: str
    """For example `x86_64`."""
    governor: str
    """Frequency governor of the first core; empty where the system does not say."""
    python: str
    """Version of the driver's interpreter."""
    gpus: list[str] = Field(default_factory=list)
    """Of sessions with `device: cuda`: name, memory, driver and power limit of every card."""
    seen_at: datetime
    """When a session found the machine like this."""
