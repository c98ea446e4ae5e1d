"""Becomes a command on a loopback network of its own, or on that of a command that runs already.

    python -I -S loopback.py hold -- COMMAND...
    python -I -S loopback.py join PID -- COMMAND...

A network namespace is owned by a user namespace, and bubblewrap lets nobody into its own. So both commands are started
in a user namespace that holds nothing but the network, and bubblewrap makes its namespaces, of users too, within: what
runs there has no rights over the network and sees nothing of the other command but its ports. Runs on this machine,
outside of sandboxes, as the user who runs isobench; standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET
SET_FLAGS = 0x8914  # SIOCSIFFLAGS
UP = 0x41  # IFF_UP | IFF_RUNNING


def hold() -> None:
    """A network with nothing but a loopback interface."""
    user, group = os.getuid(), os.getgid()
    _call("unshare", NEW_USER | NEW_NETWORK)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    with socket.socket() as asking:
        fcntl.ioctl(asking, SET_FLAGS, struct.pack("16sh", b"lo", UP))


def join(pid: int) -> None:
    """The network of a running command."""
    opened = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in ("user", "net")]
    for descriptor, kind in zip(opened, (NEW_USER, NEW_NETWORK), strict=True):
        _call("setns", descriptor, kind)
        os.close(descriptor)


def _call(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(words: list[str]) -> None:
    """Do what the first words say, then become the rest."""
    place = words.index("--")
    try:
        hold() if words[0] == "hold" else join(int(words[1]))
    except OSError as error:
        sys.exit(f"this machine does not let two sandboxes share a network ({error.strerror}): use the docker sandbox")
    os.execv(words[place + 1], words[place + 1 :])


if __name__ == "__main__":
    main(sys.argv[1:])
