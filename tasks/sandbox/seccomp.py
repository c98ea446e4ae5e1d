"""A small seccomp filter: system calls that a perf test has no use for and a cheat does.

Denied calls fail with EPERM, so that a library that tries one goes on without it.
"""

from __future__ import annotations

import platform
import struct

_EPERM = 1
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_OFFSET, _ARCH_OFFSET = 0, 4
_X32 = 0x40000000

# Pinning and priority belong to the driver; tracing, namespaces, mounts, keys and kernel programs are ways out.
_DENIED: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "ptrace": 101, "sched_setparam": 142, "sched_setscheduler": 144, "setpriority": 141, "pivot_root": 155,
            "chroot": 161, "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169, "init_module": 175,
            "sched_setaffinity": 203, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
            "ioprio_set": 251, "unshare": 272, "perf_event_open": 298, "setns": 308, "process_vm_readv": 310,
            "process_vm_writev": 311, "finit_module": 313, "sched_setattr": 314, "bpf": 321, "userfaultfd": 323,
            "io_uring_setup": 425, "pidfd_getfd": 438,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "ptrace": 117, "sched_setparam": 118, "sched_setscheduler": 119, "setpriority": 140, "pivot_root": 41,
            "chroot": 51, "mount": 40, "umount2": 39, "swapon": 224, "reboot": 142, "init_module": 105,
            "sched_setaffinity": 122, "kexec_load": 104, "add_key": 217, "request_key": 218, "keyctl": 219,
            "ioprio_set": 30, "unshare": 97, "perf_event_open": 241, "setns": 268, "process_vm_readv": 270,
            "process_vm_writev": 271, "finit_module": 273, "sched_setattr": 274, "bpf": 280, "userfaultfd": 282,
            "io_uring_setup": 425, "pidfd_getfd": 438,
        },
    ),
}  # fmt: skip


def program(machine: str | None = None) -> bytes | None:
    """The filter as the kernel's BPF instructions, or None on a machine whose numbers are not known here."""
    known = _DENIED.get(machine or platform.machine())
    if known is None:
        return None
    architecture, calls = known
    numbers = sorted(calls.values())
    body = [(_LOAD, 0, 0, _ARCH_OFFSET), (_JUMP_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    body.append((_LOAD, 0, 0, _NUMBER_OFFSET))
    # Numbers of the x32 table reach the same calls under other names: nothing there is needed.
    body.append((_JUMP_AT_LEAST, len(numbers) + 1, 0, _X32))
    body += [(_JUMP_EQUAL, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    body += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in body)
