"""What callers of a sandbox say and get: commands, limits, arms. Paths inside a sandbox are the same for every arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from storage.ids import patch_of
from tasks.sandbox.metering.models import Meter, MeterName

ARM_DIR = "/arm"
"""Where an arm's checkout is mounted, read-only, whichever arm it is: a patch cannot tell by path which arm it is."""
ENV_DIR = "/env"
"""Where a local environment (a virtual environment) is mounted, read-only."""
WORK_DIR = "/work"
"""A private, empty, writable folder (tmpfs); the working directory of perf tests."""
FIRST_TO_END = 800
"""Added to the kernel's score (1000 at most) of whom it ends where the whole machine is out of memory: commands in
sandboxes go before their driver and anything else, the largest first."""


class Frozen(BaseModel):
    """Immutable value."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Mount(Frozen):
    """A host path made visible inside."""

    source: Path
    target: str
    read_only: bool = True


class Limits(Frozen):
    """What a process may use. Breaking one ends the process; `Completed` says which."""

    memory_mb: int = 4096
    pids: int = 256
    tmp_mb: int = 512
    output_mb: int = 16
    """Bytes of stdout and of stderr that are kept, in MiB; the rest is read and dropped."""
    timeout_s: float | None = 600


class Command(Frozen):
    """A command to run in a sandbox."""

    argv: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()
    variables: dict[str, str] = {}
    """The whole environment of the process; nothing is inherited but PATH defaults."""
    cwd: str = WORK_DIR
    cpus: tuple[int, ...] | None = None
    """Cores to pin to; None leaves the choice to the system."""
    network: bool = False
    meets: bool = False
    """Whether another command may be started `beside` it, on its loopback network."""
    gpus: bool = False
    """Whether the machine's NVIDIA GPUs are visible."""
    image: str | None = None
    """Docker image; ignored by the local sandbox."""
    limits: Limits = Limits()


class Completed(Frozen):
    """How a command ended. A timeout or a broken limit is a result, not an exception."""

    returncode: int | None
    """None if it was killed by the sandbox."""
    stdout: bytes
    stderr: bytes
    duration_s: float
    timed_out: bool = False
    out_of_memory: bool = False
    truncated: bool = False


class Process(Protocol):
    """A running command with binary pipes, unbuffered on our side."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    abandoned: bool
    """Ended because our own process ends (Ctrl-C): `close` then raises SandboxError, since nothing was found out."""

    @property
    def pid(self) -> int | None:
        """Id of its first process on this machine, above all others that it starts; None if it runs elsewhere."""

    @property
    def meter(self) -> Meter:
        """What counts its CPU time, and how well."""

    def cpu_ns(self) -> int | None:
        """CPU time of everything that it started so far, whatever became of it; None if it cannot be known.

        `meter.complete` says whether something may be missing, `meter.resolution_ns` how fine it is.
        """

    def pin(self, cpus: tuple[int, ...]) -> None:
        """Move everything that it started so far to these cores, if its sandbox `pins_late`; else nothing."""

    def poll(self) -> int | None:
        """Exit code, or None while it runs."""

    def stderr_tail(self) -> bytes:
        """Last output on stderr (bounded), read in the background so that the process never blocks on it."""

    def close(self, timeout_s: float = 2.0) -> Completed:
        """Close stdin, wait up to `timeout_s`, then kill everything that the command started. Idempotent."""


class Sandbox(Protocol):
    """Runs commands so that they can do no harm. `tasks.sandbox.open_sandbox` makes one."""

    kind: Literal["local", "docker"]
    other_user: bool
    """Whether commands run as another user than we do: they write to a mounted folder only if anybody may, and files
    that they leave there are not ours."""

    @property
    def isolated(self) -> bool:
        """Whether commands see other paths than this machine's: without, those of mounts are rewritten."""

    @property
    def pins_late(self) -> bool:
        """Whether a running command can be moved to other cores (`Process.pin`)."""

    @property
    def meter(self) -> MeterName:
        """What counts CPU time here, decided once: sessions with different meters are not compared."""

    def run(self, command: Command, stdin: bytes = b"") -> Completed:
        """Run to the end. Raises SandboxError if the sandbox itself fails (no engine, no image)."""

    def start(self, command: Command, beside: Process | None = None) -> Process:
        """Start and talk to it over pipes. Raises SandboxError if the sandbox itself fails.

        `beside`: a running process of this sandbox whose command `meets` others. The two share a loopback network and
        nothing else: no files, processes, memory or pipes of the other are seen.
        """

    def image_digest(self, image: str) -> str:
        """What the engine knows the image by (`sha256:...`); empty where images mean nothing."""

    def close(self) -> None:
        """End whatever is still running. Idempotent; also called on exit and on Ctrl-C."""

    def __enter__(self) -> Sandbox:
        """The sandbox itself."""

    def __exit__(self, *exception: object) -> None:
        """Close it."""


class SandboxError(RuntimeError):
    """The sandbox itself failed (no engine, no image, no space): an outside fault, worth a retry."""


ABANDONED = "ended with this process: how it ended is no result"
"""What SandboxError says of a command that ran when its driver was interrupted."""


class Environment(Frozen):
    """Installed dependencies, named by their content.

    Paths are relative to the work folder (`Store.work`), so a store can move.
    """

    env_id: str
    kind: Literal["local", "docker"]
    python: str
    """The interpreter, as a path inside the sandbox."""
    path: str | None = None
    """Virtual environment, relative to the work folder; mounted at ENV_DIR. None: the interpreter needs none."""
    image: str | None = None
    """Docker image that holds the dependencies."""
    variables: dict[str, str] = {}


Role = Literal["base", "human", "patch", "other"]


class Arm(Frozen):
    """One checkout that gets timed."""

    name: str
    """`base`, `human`, `patch:<id>` or `main`."""
    arm_id: str
    """Content hash: repository, commit, patch and environment."""
    checkout: str
    """Folder of the files, relative to the work folder; mounted at ARM_DIR."""
    import_paths: tuple[str, ...] = (".",)
    """Folders of the checkout that go on PYTHONPATH, in order."""
    environment: Environment

    @property
    def role(self) -> Role:
        """What it is in a comparison."""
        if self.patch_id:
            return "patch"
        return "base" if self.name == "base" else "human" if self.name == "human" else "other"

    @property
    def patch_id(self) -> str:
        """Of its patch; empty where it has none."""
        return patch_of(self.name)

    def seen_at(self, work: Path, sandbox: Sandbox) -> str:
        """Folder of the files as its own code names it in a sandbox: in tracebacks, and in code objects."""
        return ARM_DIR if sandbox.isolated else str(work / self.checkout)

    def command(
        self,
        work: Path,
        argv: Sequence[str],
        *,
        mounts: Sequence[Mount] = (),
        variables: dict[str, str] | None = None,
        cpus: tuple[int, ...] | None = None,
        limits: Limits | None = None,
    ) -> Command:
        """Run the arm's interpreter with `argv` as its arguments, the checkout mounted and importable."""
        env = self.environment
        found = [Mount(source=work / self.checkout, target=ARM_DIR), *mounts]
        if env.path is not None:
            found.append(Mount(source=work / env.path, target=ENV_DIR))
        paths = [ARM_DIR if path == "." else f"{ARM_DIR}/{path}" for path in self.import_paths]
        return Command(
            argv=(env.python, *argv),
            mounts=tuple(found),
            variables={
                "PYTHONPATH": ":".join(paths),
                "PYTHONDONTWRITEBYTECODE": "1",
                **env.variables,
                **(variables or {}),
            },
            cpus=cpus,
            image=env.image,
            limits=limits or Limits(),
        )
