"""Which system calls a command may make: one table for both sandboxes, as BPF for bubblewrap and as JSON for Docker.

How a call that does nothing here is answered, depends on what real programs do with the answer:

- Pinning and priority belong to the driver. Libraries ask for them to be faster or fairer and take a refusal for a
  fault (libzmq aborts), so these calls do nothing and say that they worked. `sched_getaffinity` tells the truth.
- Calls that are newer than the libraries that use them are absent (ENOSYS): every caller has another way, for older
  kernels. So are calls that are newer than the table. An answer of "it worked" would be believed (libuv aborts).
- All else that is of no use to a perf test is refused (EPERM): tracing, namespaces, mounts, keys, kernel programs.
"""

from __future__ import annotations

import json
import platform
import struct
from functools import lru_cache
from pathlib import Path

PRETENDED = frozenset({
    "ioprio_set", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "setpriority",
})  # fmt: skip
"""Do nothing and answer that they worked."""
ABSENT = frozenset({"clone3", "io_uring_enter", "io_uring_register", "io_uring_setup"})
"""Answer ENOSYS. The flags of `clone3` cannot be seen by a filter, and `clone` does the same."""
REFUSED = frozenset({
    # Other processes: their memory, files, identity.
    "kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace",
    # Namespaces, mounts, files by handles that no mount limits.
    "chroot", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
    "open_by_handle_at", "open_tree", "pivot_root", "setns", "umount2", "unshare",
    # The kernel: programs in it, its keys, log, modules, counters, ports.
    "acct", "add_key", "bpf", "create_module", "delete_module", "finit_module", "get_kernel_syms", "init_module",
    "ioperm", "iopl", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "nfsservctl", "perf_event_open",
    "query_module", "request_key", "_sysctl", "sysfs", "syslog", "uselib", "userfaultfd", "ustat",
    # The machine.
    "clock_settime", "quotactl", "quotactl_fd", "reboot", "setdomainname", "sethostname", "settimeofday", "swapoff",
    "swapon", "vhangup",
})  # fmt: skip
"""Answer EPERM."""
NAMESPACES = 0x7E020000
"""Flags of `clone` that make namespaces: refused."""
FAMILIES = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16}
"""Sockets that a network namespace confines. Others fail with EAFNOSUPPORT, as where the kernel lacks them: AF_VSOCK
talks to the hypervisor whatever the namespace."""

_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


@lru_cache
def numbers_of() -> dict[str, dict[str, int]]:
    """Number of each call by machine and name."""
    found: dict[str, dict[str, int]] = {"x86_64": {}, "aarch64": {}}
    for line in Path(__file__).with_name("system_calls.txt").read_text().splitlines()[1:]:
        name, *numbers = line.split()
        for machine, number in zip(found, numbers, strict=True):
            if number != "-":
                found[machine][name] = int(number)
    return found


def program(machine: str | None = None) -> bytes | None:
    """The filter as the kernel's BPF instructions, or None on a machine whose numbers are not known here."""
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        return None
    numbers = numbers_of()[machine]
    answers = {"pretend": PRETENDED, "absent": ABSENT, "refuse": REFUSED}
    steps: list[tuple[int, int, str, str]] = [
        # operation, operand, where to if true, and if not; empty: the next step
        (_LOAD, _ARCHITECTURE, "", ""),
        (_EQUAL, _ARCHITECTURES[machine], "", "refuse"),
        (_LOAD, _NUMBER, "", ""),
        # Also what reaches the same calls under other names: the numbers of the x32 table.
        (_AT_LEAST, max(numbers.values()) + 1, "absent", ""),
        (_EQUAL, numbers["clone"], "clone", ""),
        (_EQUAL, numbers["socket"], "socket", ""),
        *((_EQUAL, numbers[name], where, "") for where, names in answers.items() for name in names if name in numbers),
    ]
    blocks: dict[str, list[tuple[int, int, str, str]]] = {
        "allow": [(_RETURN, _ALLOW, "", "")],
        "refuse": [(_RETURN, _ERRNO | _EPERM, "", "")],
        "absent": [(_RETURN, _ERRNO | _ENOSYS, "", "")],
        "pretend": [(_RETURN, _ERRNO, "", "")],
        "clone": [
            (_LOAD, _FIRST_ARGUMENT, "", ""),
            (_ANY_BIT, NAMESPACES, "", "plain clone"),
            (_RETURN, _ERRNO | _EPERM, "", ""),
        ],
        "plain clone": [(_RETURN, _ALLOW, "", "")],
        "socket": [
            (_LOAD, _FIRST_ARGUMENT, "", ""),
            *((_EQUAL, family, "known family", "") for family in FAMILIES.values()),
            (_RETURN, _ERRNO | _EAFNOSUPPORT, "", ""),
        ],
        "known family": [(_RETURN, _ALLOW, "", "")],
    }
    places: dict[str, int] = {}
    for name, block in blocks.items():
        places[name] = len(steps)
        steps += block
    return b"".join(
        struct.pack("<HBBI", operation, *(places[to] - index - 1 if to else 0 for to in (if_true, if_not)), operand)
        for index, (operation, operand, if_true, if_not) in enumerate(steps)
    )


@lru_cache
def docker_profile() -> str:
    """The same as a profile of the Docker engine, which knows the numbers; calls that the table lacks are absent."""
    special = {"clone", "socket"}
    known = {name for numbers in numbers_of().values() for name in numbers}
    allowed = sorted(known - PRETENDED - ABSENT - REFUSED - special)
    calls = [
        _rule(allowed),
        _rule(sorted(PRETENDED), errno=0),
        _rule(sorted(ABSENT), errno=_ENOSYS),
        _rule(["clone"], argument=("MASKED_EQ", NAMESPACES)),
        *(_rule(["socket"], argument=("EQ", family)) for family in FAMILIES.values()),
        _rule(["socket"], argument=("GT", max(FAMILIES.values())), errno=_EAFNOSUPPORT),
    ]
    machines = [{"architecture": f"SCMP_ARCH_{machine.upper()}", "subArchitectures": []} for machine in numbers_of()]
    return json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "archMap": machines, "syscalls": calls})


def _rule(names: list[str], argument: tuple[str, int] | None = None, errno: int | None = None) -> dict[str, object]:
    rule: dict[str, object] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    if errno is not None:
        rule |= {"action": "SCMP_ACT_ERRNO", "errnoRet": errno}
    if argument is not None:
        operation, value = argument
        rule["args"] = [{"index": 0, "value": value, "valueTwo": 0, "op": f"SCMP_CMP_{operation}"}]
    return rule
