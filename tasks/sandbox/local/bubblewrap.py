"""The argument list that makes bubblewrap hide the machine: what is visible, what is writable, what is cut off."""

from __future__ import annotations

import atexit
import fcntl
import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tasks.sandbox import foreign, seccomp
from tasks.sandbox.models import WORK_DIR, Command, Mount
from tasks.sandbox.names import HOST_NAME, USER_ID, names, write_names
from tasks.sandbox.ownership import private_folder

MEBIBYTE = 1024 * 1024
_ALIVE = "owner"
_SETTINGS_BYTES = 64 * 1024
_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "locale.alias", "alternatives", "mime.types",
    "magic", "fonts", "nsswitch.conf", "protocols", "services", "os-release", "debian_version", "terminfo", "OpenCL",
    "openmpi", "openmpi-*", "java-*", "python3*",
)  # fmt: skip
"""Settings that programs of the system do not start without, or fall back from: public, and nobody's secrets."""
_KERNEL = (
    "kcore", "key-users", "keys", "kmsg", "kpagecgroup", "kpagecount", "kpageflags", "pagetypeinfo", "sched_debug",
    "slabinfo", "timer_list", "vmallocinfo",
)  # fmt: skip
"""Files of /proc about the kernel and everybody's memory, which root may read."""
_ETC_NETWORK = (
    "ssl/certs", "ssl/openssl.cnf", "pki/tls/certs", "pki/tls/cert.pem", "pki/ca-trust", "ca-certificates",
    "ca-certificates.conf", "hosts", "resolv.conf", "gai.conf",
)  # fmt: skip
"""Never a folder that holds private keys: run by root, a command may read what root may."""


@dataclass(frozen=True)
class Bubblewrap:
    """A bubblewrap that works on this machine, and which of its newer options it knows."""

    path: str
    sizes: bool
    disable_userns: bool
    seccomp_file: Path | None
    etc: Path
    """Folder of `write_names`, and the file that this process locks."""
    flock: str | None
    """util-linux's `flock`."""


@lru_cache
def find_bubblewrap() -> Bubblewrap | None:
    """Bubblewrap if it is installed and may make namespaces here, tried out once; else None."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    known = subprocess.run([path, "--help"], capture_output=True, text=True, check=False).stdout
    folder = private_folder()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_names(folder)
    _hold(folder / _ALIVE)
    filter_file = None
    if (code := seccomp.program()) is not None:
        filter_file = folder / "seccomp.bpf"
        filter_file.write_bytes(code)
    flock = shutil.which("flock", path="/usr/bin:/bin")
    # Best first: an old kernel or a strict host may refuse the last two hardenings but allow the rest.
    for disable_userns, filtered in ((True, True), (False, True), (False, False)):
        if (disable_userns and "--disable-userns" not in known) or (filtered and filter_file is None):
            continue
        found = Bubblewrap(path, "--size" in known, disable_userns, filter_file if filtered else None, folder, flock)
        if _works(found):
            return found
    return None


def _hold(path: Path) -> None:
    """Lock a file until this process ends, in whatever way."""
    fcntl.flock(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), fcntl.LOCK_EX)


def _works(found: Bubblewrap) -> bool:
    with seccomp_fd(found) as fd:
        argv = arguments(found, Command(argv=("/bin/sh", "-c", "exit 7")), seccomp_fd=fd)
        try:
            done = subprocess.run(argv, capture_output=True, pass_fds=[fd] if fd >= 0 else [], timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
    return done.returncode == 7


class seccomp_fd:
    """An open descriptor of the filter (-1 for none), read once by bubblewrap and closed at the end of the block."""

    def __init__(self, found: Bubblewrap) -> None:
        self._fd = -1 if found.seccomp_file is None else os.open(found.seccomp_file, os.O_RDONLY)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *exception: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def arguments(
    found: Bubblewrap,
    command: Command,
    seccomp_fd: int = -1,
    info_fd: int = -1,
    limit_processes: int | None = None,
    on_a_network: bool = False,
) -> list[str]:
    """The whole command line: bubblewrap, its options, and the command. `on_a_network`: it starts on one already."""
    argv = [
        found.path, "--unshare-user", "--uid", str(USER_ID), "--gid", str(USER_ID), "--unshare-pid", "--unshare-ipc",
        "--unshare-uts", "--hostname", HOST_NAME, "--unshare-cgroup-try", "--die-with-parent", "--new-session",
    ]  # fmt: skip
    if not command.network and not on_a_network:
        argv.append("--unshare-net")
    if found.disable_userns:
        argv.append("--disable-userns")
    if seccomp_fd >= 0:
        argv += ["--seccomp", str(seccomp_fd)]
    if info_fd >= 0:
        argv += ["--info-fd", str(info_fd)]
    argv += _system(found, command)
    sources = [sys.base_prefix, *interpreters_of(command.mounts)]
    for prefix in dict.fromkeys(sources):
        if not Path(prefix).is_relative_to("/usr"):
            argv += ["--ro-bind", prefix, prefix]
    for mount in command.mounts:
        argv += ["--ro-bind" if mount.read_only else "--bind", str(mount.source), mount.target]
    if found.flock is not None:
        argv += ["--ro-bind", str(found.etc / _ALIVE), f"/run/{_ALIVE}"]
    # /proc as well: to the kernel a command of root's is root there, and `/proc/sys` names programs that it starts.
    for folder in ("/proc", "/dev", "/"):
        argv += ["--remount-ro", folder]
    argv += ["--chdir", command.cwd, "--clearenv"]
    for name, value in command.variables.items():
        argv += ["--setenv", name, value]
    return [*argv, "--", *_gate(found, limit_processes), *command.argv]


def _gate(found: Bubblewrap, limit_processes: int | None) -> list[str]:
    """A shell that runs inside, just before the command.

    Bubblewrap does not notice an owner that dies while the sandbox is being made. So a process inside waits for the
    owner's lock (shared: several wait) and ends the sandbox when it gets it; it is nobody's child but process 1's.
    A kill in the instant before bubblewrap lets its child go can leave a child that waits for ever and runs nothing:
    `cgroups` has a guard for that, where control groups are writable.
    A limit on processes counts per user namespace, so it must be set inside as well.
    """
    steps = []
    if found.flock is not None:
        steps.append(f"({found.flock} -s /run/{_ALIVE} /bin/sh -c 'kill -9 -1' >/dev/null 2>&1 </dev/null &)")
    if limit_processes is not None:
        steps.append(f"ulimit -p {limit_processes}")
    return ["/bin/sh", "-c", "; ".join([*steps, 'exec "$@"']), "sh"] if steps else []


def _system(found: Bubblewrap, command: Command) -> list[str]:
    argv = ["--ro-bind", "/usr", "/usr"]
    for folder in _SYSTEM:
        if os.path.islink(folder):
            argv += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            argv += ["--ro-bind", folder, folder]
    argv += [*_settings(found, command.network), *_devices(command.gpus)]
    for folder in ("/tmp", WORK_DIR, "/dev/shm"):
        if found.sizes:
            argv += ["--size", str(command.limits.tmp_mb * MEBIBYTE)]
        argv += ["--tmpfs", folder]
    return argv


def _settings(found: Bubblewrap, network: bool) -> list[str]:
    """What is visible of /etc."""
    argv = []
    for pattern in (*_ETC, *(_ETC_NETWORK if network else ())):
        for path in sorted(map(str, Path("/etc").glob(pattern))):
            argv += ["--ro-bind-try", path, path]
    for mount in names(found.etc, network):
        argv += ["--ro-bind", str(mount.source), mount.target]
    return argv


def _devices(gpus: bool) -> list[str]:
    """/proc, /dev and /sys."""
    argv = ["--proc", "/proc", "--dev", "/dev"]
    for path in filter(os.path.exists, (f"/proc/{name}" for name in _KERNEL)):
        argv += ["--ro-bind", "/dev/null", path]
    if not gpus:
        return [*argv, "--ro-bind-try", "/sys/devices/system", "/sys/devices/system"]
    argv += ["--ro-bind", "/sys", "/sys"]  # the driver looks up its devices' PCI addresses
    for device in sorted(glob.glob("/dev/nvidia*")):
        argv += ["--dev-bind", device, device]
    return argv


def interpreters_of(mounts: Iterable[Mount]) -> list[str]:
    """Installations that mounted virtual environments borrow their interpreter from: `home` in `pyvenv.cfg`.

    A build or a patch may have written that file, so it chooses only among the Pythons that this machine has anyway.
    """
    found = []
    for mount in mounts:
        for line in (foreign.text(mount.source, "pyvenv.cfg", _SETTINGS_BYTES) or "").splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "home" and value.strip():
                # The path as written must exist inside, and what it links to as well.
                home = Path(value.strip()).parent
                found += [str(home), str(home.resolve())] if is_installation(home) else []
    return list(dict.fromkeys(found))


def is_installation(prefix: Path) -> bool:
    """Whether a Python is installed there, and it is the running one, on the path, or of uv or pyenv."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    parents = (
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path(data, "uv", "python")),
        Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions"),
    )
    if ".." in prefix.parts:
        return False
    known = str(prefix) in (sys.base_prefix, *(os.path.dirname(folder) for folder in os.get_exec_path()))
    kept = any(prefix.parent in (parent, parent.resolve()) for parent in parents)
    # Other folders with a bin on the path, such as ~/.local, have no standard library.
    return (known or kept) and next(prefix.glob("lib/python3*/os.py"), None) is not None
