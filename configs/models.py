"""Everything that a user decides, as pydantic models. YAML files in this folder are instances of `Config`."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MIN_SPEEDUP = 1.2
"""A commit becomes an instance if it is at least this much faster than its base (GSO, ISO-Bench)."""
OPT_THRESHOLD = 0.95
"""A prediction reaches the human if it has at least this share of the human's speed (GSO)."""
URL_SCHEMES = ("https", "http", "ssh", "git", "file")
"""How a repository may be reached."""
MAX_TESTS = 20
"""Perf tests kept per instance (GSO)."""


class Section(BaseModel):
    """Base of all sections: immutable, and a misspelt field is an error."""

    # an error must not show what was refused: a password in a URL, say
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class RepositoryConfig(Section):
    """The repository to mine."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
    """`owner/name`. Example: `more-itertools/more-itertools`."""
    url: str | None = None
    """Where to clone from: a URL or a local path. Default: `https://github.com/<name>.git`. It is stored with each
    instance, so no password or token may be in it: GHAPI_TOKEN serves private repositories of GitHub, git's own
    credential helpers and `~/.netrc` serve others."""
    branch: str | None = None
    """The main branch. Default: what the remote's HEAD points to."""
    languages: list[Literal["python", "c", "cpp", "cython", "cuda", "rust"]] = ["python"]
    """Languages whose files count as code. Anything but pure Python is rebuilt for each arm."""

    @field_validator("url")
    @classmethod
    def _holds_no_secret(cls, url: str | None) -> str | None:
        if url and re.match(r"https?://[^/@]*@|\w+://[^/@]*:[^/@]*@", url):
            raise ValueError(
                "holds a password or token; these belong in .env (GHAPI_TOKEN, for GitHub), a git credential helper or "
                "~/.netrc, since the URL is stored with each instance"
            )
        return url

    @field_validator("url")
    @classmethod
    def _names_a_place(cls, url: str | None) -> str | None:
        """Git takes `ext::command` for a program to run, and a leading dash for an option."""
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)(://|::)", url or "")
        if url is not None and (
            (scheme and (scheme[2] == "::" or scheme[1].lower() not in URL_SCHEMES))
            or url.startswith("-")
            or not url.strip()
            or re.search(r"[\x00-\x1f\x7f]", url)
        ):
            raise ValueError(f"is no place to clone from: give a path, host:path, or a URL of {', '.join(URL_SCHEMES)}")
        return url

    @property
    def clone_url(self) -> str:
        """Where to clone from, with the default filled in."""
        return self.url or f"https://github.com/{self.name}.git"

    @property
    def is_on_github(self) -> bool:
        """Whether it is cloned from github.com."""
        return re.match(r"(?:(?:https?|ssh|git)://)?(?:[^/@]+@)?github\.com[:/]", self.clone_url) is not None


class MiningConfig(Section):
    """Which changes are candidates. Every filter has a name, and that name becomes the reason of a dropped change."""

    since: date | None = None
    """Consider changes of this author date and later. Example: `2020-01-01`."""
    until: date | None = None
    """Consider changes before this author date."""
    commits: list[Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")]] = []
    """Build exactly these commits, of any branch: 7 to 40 digits of each sha. Neither message, score, author, size nor
    date drops one; a commit without changed code of functions is still dropped. Example: `["a51df6d9e2"]`."""
    max_commits: int | None = Field(default=None, gt=0)
    """Consider only this many newest changes. Default: the whole history."""
    use_keywords: bool = False
    """Require a performance keyword in the message. False: judge by message and diff together, by the score."""
    keywords: list[str] = [
        "perf", "performance", "speed up", "speedup", "speed-up", "speeds up", "sped up", "faster", "fast path",
        "optimize", "optimise", "optimized", "optimised", "optimizing", "optimising", "optimization", "optimisation",
        "optimizations",
        "slow", "slower", "latency", "throughput", "efficient", "efficiently", "efficiency", "cache", "caching",
        "memoize", "vectorize", "vectorise", "vectorized", "quadratic", "linear time", "overhead", "bottleneck",
    ]  # fmt: skip
    """Whole words or phrases looked for in the message, without regard to case."""
    ignore_phrases: list[str] = [
        "optimize imports", "optimise imports", "optimized imports", "import optimization", "no performance",
        "performance test", "performance tests", "slow test", "slow tests",
    ]  # fmt: skip
    """Phrases that are removed from the message before keywords are looked for."""
    exclude_paths: list[str] = [
        "docs/**", "doc/**", "examples/**", ".github/**", "benchmarks/**", "**/vendor/**", "**/_vendor/**",
        "**/third_party/**", "**/version.py", "**/_version.py",
    ]  # fmt: skip
    """Globs of files that do not count as code of the project."""
    max_files: int = Field(default=25, gt=0)
    """Drop changes that touch more code files than this."""
    max_changed_lines: int = Field(default=2000, gt=0)
    """Drop changes with more added and deleted code lines than this."""
    ignore_authors: list[str] = [
        "*[[]bot]*", "dependabot*", "renovate*", "pre-commit-ci*", "*github-actions*", "*noreply@weblate*",
    ]  # fmt: skip
    """Globs, without regard to case, of author names or e-mail addresses whose changes are dropped."""
    min_score: float = Field(default=3.0, ge=0)
    """With `use_keywords: false`: keep changes whose score is at least this."""
    keep_new_code: bool = False
    """Keep changes that only add functions and leave all others as they were: base has nothing to time against."""
    pull_requests: bool | None = None
    """Fetch from GitHub what was said about the candidates' pull requests. Default: if the repository is on github.com.
    Needs GHAPI_TOKEN; without it nothing is asked, and the funnel says so."""
    max_candidates: int | None = Field(default=None, gt=0)
    """Send at most this many kept changes to the next stage, best score first. Mining itself always considers all."""


class LLMConfig(Section):
    """The model that classifies, ranks and writes. Left out: stages that need one are skipped, and say so."""

    model: str
    """Any litellm model name. Examples: `anthropic/claude-sonnet-4-5`, `isobench-demo/answers`."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Sampling temperature; left out, the model's own default is used."""
    max_tokens: int = Field(default=8000, gt=0)
    """Longest answer, in tokens."""
    budget_usd: float | None = Field(default=None, ge=0)
    """Stop before a run costs more than this, in US dollars. Left out: no limit. A request that timed out, or whose
    connection broke, may be billed all the same: it counts with the most that it may have cost."""
    retries: int = Field(default=4, ge=0)
    """Retries on rate limits, server faults and timeouts, with backoff and jitter."""
    timeout_s: float = Field(default=120, gt=0)
    """Time for one request, in seconds."""
    fallbacks: list[str] = []
    """Models to ask, in order, when the first keeps failing."""
    max_concurrency: int = Field(default=4, gt=0)
    """Requests under way at once."""
    tokens_per_minute: int | None = Field(default=None, gt=0)
    """Tokens asked for and answered per minute at most, over all requests of the process. Left out: no limit."""
    prompt_tokens: int = Field(default=24_000, ge=2000)
    """Longest prompt, in tokens of the model: longer messages, discussions and diffs are cut to fit."""
    batch: bool = False
    """Send nothing: collect open requests for `isobench batch export`. Items that need one wait for its answer."""
    api_base: str | None = None
    """Base URL of a self-hosted or proxied API."""


class ReadyConfig(Section):
    """When a server is ready: every check that is given must pass."""

    url: str | None = None
    """A URL that must answer without an error. Example: `http://127.0.0.1:8000/health`."""
    port: int | Literal["{port}"] | None = None
    """A TCP port of 127.0.0.1 that must accept connections."""
    line: str | None = None
    """Text that the server must print. Example: `Application startup complete`."""
    timeout_s: float = Field(default=600, gt=0)
    """Time that the server may take until it is ready, in seconds."""


HOW_MUCH = ("completed", "failed", "input_tokens", "output_tokens")
"""Metrics of serving benchmarks that a server which answers nonsense can reach."""


class CommandConfig(Section):
    """A workload that is a command, e.g. a serving benchmark. Metrics are read from what it prints.

    Commands run in a shell, in the checkout, with `python` being the environment's; `{port}` is a free port, `{seed}`
    (also in `SEED`) a number that is the same for all arms of a round. The sandbox has no network but its own.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    """What the perf test is called."""
    command: str = Field(min_length=1)
    """The client. With a server it runs base's code for every arm; without one it is the workload: the arm's code."""
    parser: Literal["vllm-serve", "vllm-latency", "vllm-throughput", "sglang-serve", "json"]
    """What the command prints. `json`: its last line is an object of numbers."""
    server: str | None = None
    """A server of the arm's code, started before the client and stopped after it."""
    ready: ReadyConfig | None = None
    """When the server is ready; required with `server`."""
    server_per: Literal["round", "set"] = "round"
    """Start the server anew for every round, or once per set of rounds (`timing.processes` sets before the first look),
    where all arms' servers run side by side."""
    warmups: int = Field(default=0, ge=0)
    """Client runs after each start of a server that do not count."""
    metrics: list[str] = []
    """Metrics that must be there; the first one decides. Left out: throughput or average latency, by parser."""
    better: dict[str, Literal["higher", "lower"]] = {}
    """Which way is better, for metrics of a `json` client."""
    equal: list[str] = []
    """Metrics that must be the same as base's in every round: what depends on the answers, such as a checksum of all
    that the client was given; from what the parser finds, or the last line that is an object of numbers. A command
    without any says how fast it was and not what it computed: its scores carry `results_not_compared`, and none is a
    success."""
    variables: dict[str, str] = {}
    """Environment variables of server and client."""
    timeout_s: float = Field(default=1800, gt=0)
    """Time for one client run, in seconds."""
    commits: list[str] = []
    """Shas (or prefixes) of the commits that it is for. Default: all."""

    @model_validator(mode="after")
    def _server_is_awaited(self) -> CommandConfig:
        if self.server and (self.ready is None or not (self.ready.url or self.ready.port or self.ready.line)):
            raise ValueError("a server needs `ready` with a url, port or line")
        if self.parser == "json" and not (self.metrics and self.metrics[0] in self.better):
            raise ValueError("parser json needs `metrics`, and in `better` which way the first one is better")
        if wrong := sorted({*self.equal} & {*self.better, *self.metrics, *HOW_MUCH}):
            raise ValueError(f"{', '.join(wrong)} in `equal` says how fast or how much, not what: name a checksum, say")
        return self


class PerfTestConfig(Section):
    """Where perf tests come from, and what they must pass."""

    sources: list[Literal["llm", "seeded", "pytest", "asv", "command"]] = ["pytest"]
    """Sources to ask, in order."""
    seeded: dict[str, list[str]] = {}
    """Your own scripts, per commit sha (at least 7 digits): paths relative to the YAML file."""
    commands: list[CommandConfig] = []
    """Workloads of source `command`."""
    tests_per_commit: int = Field(default=3, gt=0)
    """Perf tests asked of each source for a commit."""
    further_requests: int = Field(default=1, ge=0)
    """How often a model is asked for cases that its accepted tests do not cover, while there are too few of them."""
    repair_turns: int = Field(default=2, ge=0)
    """How often a model gets a gate's error back to repair its script."""
    min_duration_s: float = Field(default=0.005, gt=0)
    """Shortest experiment on base, in seconds."""
    max_duration_s: float = Field(default=60, gt=0)
    """Longest experiment on base, in seconds."""
    gate_timeout_s: float = Field(default=180, gt=0)
    """Time for all gates of one script, in seconds."""
    screen_rounds: int = Field(default=5, ge=0)
    """Rounds of the timing screen that drops hopeless perf tests before full sessions; 0 switches it off."""
    screen_speedup: float = Field(default=1.05, gt=0)
    """Drop a perf test if human is less than this times as fast as base in every round of the screen."""


class EnvironmentConfig(Section):
    """How the dependencies of a commit are installed. One environment serves all arms of a comparison."""

    python: str = "auto"
    """Python version, as uv understands it. `auto`: the one of the commit's day, chosen by requires-python,
    classifiers, CI files, tox and the date, 3.8 at the oldest; where it does not serve, its neighbours are tried."""
    image: str = "python:{python}-slim"
    """Base image of docker environments, which holds `python3`. `{python}` stands for the version; without it, the
    image alone decides which Python there is."""
    project: str = "auto"
    """Folder of the repository that holds the project. `auto`: its top, or the sub-folder that can be installed."""
    install_project: bool = True
    """Install the project with its dependencies. False: the checkout is only put on the import path."""
    pin_to_date: bool = True
    """Install what was newest on the day on which the human commit landed (uv's `--exclude-newer`): its committer date,
    and no older than its base's. Broken dates (the epoch, the future) do not count. False: today's releases."""
    as_of: date | None = None
    """Install what was newest on this day instead of the commit's. Example: `2020-06-30`."""
    setup_commands: list[str] = []
    """Shell commands run in the checkout before anything is installed (network allowed). All share one bash."""
    install_commands: list[str] = []
    """Shell commands that install the project, instead of the default; `python`, `pip` and `uv` are the environment's.
    An environment that they make and activate (`.venv`) takes its place."""
    packages: list[str] = []
    """Further requirements. Example: `["pytest<8", "hypothesis"]`."""
    build_packages: list[str] = []
    """What building the project needs and it does not say itself. Example: `["cython<3", "numpy"]`."""
    test_packages: Literal["auto"] | list[str] = "auto"
    """What the repository's tests need, installed last; pytest and its plugins in releases that start on the chosen
    Python, whatever the day. `auto`: with `python: auto`, what the commit declares for its tests."""
    import_paths: list[str] = []
    """Folders of the checkout to import from. Default: those that the project is installed from, or else `src` if it
    exists and the checkout's root."""
    build: Literal["auto", "never", "always"] = "auto"
    """Build the project separately for each arm: `auto` does so if `languages` names a compiled one."""
    build_timeout_s: float = Field(default=900, gt=0)
    """Time for building one environment, in seconds."""


class TimingConfig(Section):
    """How arms are timed."""

    protocol: Literal["interleaved", "duet", "sequential"] = "interleaved"
    """`interleaved`: every arm once per round, random order. `duet`: base and each other arm at the same moment on two
    cores, then on swapped ones. `sequential` is GSO's, for comparison only."""
    min_rounds: int = Field(default=8, gt=1)
    """Rounds before the first look at the interval, over all processes."""
    max_rounds: int = Field(default=60, gt=1)
    """Rounds at most, per perf test."""
    processes: int = Field(default=3, gt=0)
    """Sets of fresh processes (one per arm) that rounds are spread over."""
    budget_s: float = Field(default=60, gt=0)
    """Wall time at most, per perf test, in seconds; then the verdict may be `inconclusive`. What an arm takes beyond
    base for the same (a slow import, a call that hangs) does not count: it is out once that is as much again."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Of the intervals."""
    call_timeout_s: float = Field(default=120, gt=0)
    """Time for one call of one arm, in seconds: longer is status `timeout`."""
    device: Literal["cpu", "cuda"] = "cpu"
    """`cuda` adds device events as a clock, for perf tests that load torch."""
    cores: int = Field(default=1, gt=0)
    """Cores that each process is pinned to. Raise it for changes that use several cores."""
    share_core: bool = True
    """With `interleaved`: call the arms of a round at the same moment on one core, where the kernel lets them take
    turns of a few milliseconds, and charge each for its own time only. This needs one thread per arm, `cores: 1` and
    `device: cpu`. Else, and with `false`, arms are called one after the other."""
    charging: bool = True
    """Charge an arm for what its sandbox uses beside its calls, beyond what base uses for the same: moved work is as
    slow as it was. `false` is for comparison only."""
    seed: int | None = None
    """Where the order of arms and the perf tests' seeds come from. Left out, no patch can know them beforehand."""


class SuiteConfig(Section):
    """The repository's own tests, which a patch must pass if base and human do."""

    record_s: float = Field(default=600, ge=0)
    """Time for finding out which tests of a commit can judge patches, in seconds; 0: none are looked for."""
    check_s: float = Field(default=60, ge=0)
    """Time for running them on one patch, in seconds, before it is timed; those that execute the changed functions
    come first. 0: they are not run."""


class SweepConfig(Section):
    """The search for faster changes by measurement: `isobench sweep`."""

    window: int = Field(default=32, gt=0)
    """Changes between two commits that are timed first. A gain and a loss of one test in one window hide each other."""
    tests_per_window: int = Field(default=4, gt=0)
    """The repository's own tests that are timed in each window: those that spend most time in what changed there."""
    min_step: float = Field(default=1.1, gt=1)
    """Smallest step that is looked for: a test runs at least this many times as fast after the change as before."""
    max_windows: int = Field(default=20, gt=0)
    """Windows at most, newest first."""
    max_sessions: int = Field(default=300, gt=0)
    """Timing sessions at most, over all windows and searches. Timing the steps found once more comes on top."""


class ScoringConfig(Section):
    """Thresholds that the field uses."""

    min_speedup: float = Field(default=MIN_SPEEDUP, gt=1)
    """A commit is kept as an instance if it is at least this many times as fast as base."""
    opt_threshold: float = Field(default=OPT_THRESHOLD, gt=0)
    """A prediction counts if it reaches this share of the human's speed."""
    max_tests: int = Field(default=MAX_TESTS, gt=0)
    """Perf tests kept per instance."""
    allow_mixed_machines: bool = False
    """Combine sessions of one instance that ran on different machines, kernels, governors or images; such scores carry
    the flag `mixed_machines`. False: they have no speedup, and the reason says what differed."""


class SandboxConfig(Section):
    """Where perf tests and patched code run."""

    kind: Literal["local", "docker"] = "local"
    """`local`: bubblewrap where present, else a plain process with a warning. `docker`: a container per process."""
    memory_mb: int = Field(default=4096, gt=0)
    """Memory per process, in MiB."""
    pids: int = Field(default=256, gt=0)
    """Processes and threads at most."""
    tmp_mb: int = Field(default=512, gt=0)
    """Size of the private /tmp, in MiB."""
    output_mb: int = Field(default=16, gt=0)
    """Output kept per process, in MiB; the rest is dropped."""
    mounts: dict[str, str] = {}
    """Files or folders of this machine that every process sees, read-only: path -> path inside. For model weights and
    data sets, since there is no network. Example: `{/data/hf: /data/hf}`."""
    gpus: bool = False
    """Let every process use the machine's NVIDIA GPUs. `docker` needs the NVIDIA container toolkit."""

    trust: bool = Field(default=False, exclude=True)
    """Let builds of projects, and the commands of a dataset, run with your rights where there is no bubblewrap, and as
    root in a builder container. `isobench evaluate --trust` sets it."""

    @property
    def uses_images(self) -> bool:
        """Whether processes find their Python and their system in an image; else they are this machine's."""
        return self.kind == "docker"

    @field_validator("mounts")
    @classmethod
    def _are_absolute(cls, value: dict[str, str]) -> dict[str, str]:
        for source, target in value.items():
            if not source.startswith(("/", "~")) or not target.startswith("/"):
                raise ValueError(f"{source}: {target}: both must be absolute paths")
        return {str(Path(source).expanduser()): target for source, target in value.items()}


class PublishingConfig(Section):
    """Where instances go besides the store."""

    hub_dataset: str | None = None
    """Hugging Face dataset to upload the instances to, `owner/name`. Left out: nothing is uploaded."""
    private: bool = True
    """Create the dataset as private."""


class Config(Section):
    """One YAML file: a repository and how its benchmark is built."""

    repository: RepositoryConfig
    """The repository to mine."""
    mining: MiningConfig = MiningConfig()
    """Which changes are candidates."""
    llm: LLMConfig | None = None
    """The model to ask, if any."""
    perf_tests: PerfTestConfig = PerfTestConfig()
    """Where perf tests come from, and what they must pass."""
    environment: EnvironmentConfig = EnvironmentConfig()
    """How dependencies are installed."""
    suite: SuiteConfig = SuiteConfig()
    """The repository's own tests."""
    timing: TimingConfig = TimingConfig()
    """How arms are timed."""
    sweep: SweepConfig = SweepConfig()
    """The search for faster changes by measurement."""
    scoring: ScoringConfig = ScoringConfig()
    """Thresholds."""
    sandbox: SandboxConfig = SandboxConfig()
    """Where code runs."""
    publishing: PublishingConfig = PublishingConfig()
    """Where instances go besides the store."""
    store: str = "./store"
    """Folder or fsspec URL of the store, relative to the working directory."""

    @field_validator("store")
    @classmethod
    def _expand(cls, value: str) -> str:
        return value if "://" in value else str(Path(value).expanduser())
