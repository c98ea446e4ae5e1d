"""git processes that talk to a remote: their progress is reported, and they end when the remote falls silent."""

from __future__ import annotations

import os
import re
import select
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from tasks.git_environment import reaching
from tasks.mining.git.process import GitFailed

SILENCE_S = 600.0
"""A remote that sends nothing and a git that says nothing for so long are given up."""
FIRST_WORD_S = 1.0
"""Transfers that are shorter than this say nothing of their progress."""
EVERY_S = 0.5
KEEP = 8192
GITHUB = "https://github.com"
PROTOCOLS = "file:git:http:https:ssh"
"""What git may use to reach a repository: others are programs that a URL names (`ext::`)."""
_HELPER = '!f() { test "$1" = get && echo username=x-access-token && echo "password=$GHAPI_TOKEN"; }; f'
"""What git runs when it needs a password (gitcredentials(7))."""
_PROGRESS = re.compile(rb"Receiving objects: +\d+% \((\d+)/(\d+)\)")
_CHATTER = re.compile(rb"^(remote: )?[A-Z][a-z]+ [a-z]+: +\d")

_shows_credentials: ContextVar[bool] = ContextVar("shows_credentials", default=True)

Hear = Callable[[int, int], None]
"""Called with the objects that came and those that are to come, of this transfer."""


def environment() -> dict[str, str]:
    """Variables, besides our own, for a git that talks to a remote. If GitHub, and no other host, wants a password, git
    finds GHAPI_TOKEN here: so the token stands in no URL, no argument and no configuration of a clone.
    """
    from configs.secrets import load_secrets

    limits = {"GIT_ALLOW_PROTOCOL": PROTOCOLS, "GIT_NO_LAZY_FETCH": "1"}  # a folder's own settings would say from where
    if not _shows_credentials.get():
        return reaching({"credential.helper": ""}) | limits | _without_credentials()
    token = load_secrets().ghapi_token
    if token is None:
        return reaching() | limits
    return reaching({f"credential.{GITHUB}.helper": _HELPER}) | limits | {"GHAPI_TOKEN": token.get_secret_value()}


@contextmanager
def credentials(shown: bool) -> Iterator[None]:
    """Whether git may use the user's tokens, helpers, `~/.netrc` and SSH keys inside the context."""
    token = _shows_credentials.set(shown)
    try:
        yield
    finally:
        _shows_credentials.reset(token)


def are_credentials_shown() -> bool:
    """See `credentials`."""
    return _shows_credentials.get()


def _without_credentials() -> dict[str, str]:
    """A repository that a stranger's file names must not be one that only the user can read: its code is then built
    with the network. The home folder holds `.netrc`; an empty program to ask for passwords stands for none.
    """
    home = Path.home()
    settings = [path for path in (home / ".gitconfig", home / ".config/git/config") if path.is_file()]
    # of two files only one can be named; git reads the first one last, so it decides
    named = {"GIT_CONFIG_GLOBAL": str(settings[0])} if settings and "GIT_CONFIG_GLOBAL" not in os.environ else {}
    emptied = ("GHAPI_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "GIT_ASKPASS", "SSH_ASKPASS", "SSH_AUTH_SOCK")
    return {
        **dict.fromkeys(emptied, ""),
        **named,
        "HOME": os.devnull,
        "GIT_ALLOW_PROTOCOL": PROTOCOLS.removesuffix(":ssh"),
    }


def transfer(
    path: Path, *arguments: str, lines_in: Sequence[str] = (), settings: Sequence[str] = (), hear: Hear | None = None
) -> None:
    """Run `git <arguments>` in `path`; `lines_in` go to its standard input, `settings` are `-c name=value`.

    `hear` gets the progress about twice a second. Raises GitFailed with the end of git's output without its progress
    lines; also after `SILENCE_S` seconds of silence.
    """
    variables = environment()  # which takes out of ours what must not be there
    process = subprocess.Popen(
        ["git", *settings, *arguments],
        cwd=path,
        env={**os.environ, **variables},
        stdin=subprocess.PIPE if lines_in else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        if lines_in:
            # git may fail before it has read them all, and say why
            threading.Thread(target=_write, args=(process.stdin, lines_in), daemon=True).start()
        said = _listen(process.stderr, _throttled(hear))
        if process.wait() != 0:
            raise GitFailed(said or f"git {arguments[0]} ended with status {process.returncode}")
    finally:
        # without us nobody reads what it says, and its children end on their next word
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _write(pipe: IO[bytes] | None, lines: Sequence[str]) -> None:
    assert pipe is not None
    try:
        with pipe:
            pipe.write("".join(f"{line}\n" for line in lines).encode())
    except OSError:
        pass


def _listen(pipe: IO[bytes] | None, hear: Hear) -> str:
    """What was said, to the end, without progress."""
    assert pipe is not None
    kept, rest = b"", b""
    while True:
        ready, _, _ = select.select([pipe], [], [], SILENCE_S)
        if not ready:
            raise GitFailed(f"timed out: nothing came for {SILENCE_S:g} s")
        chunk = os.read(pipe.fileno(), 65536)
        if not chunk:
            return (kept + rest).decode("utf-8", "replace").strip()
        # a line of progress ends with a carriage return, so that the next one is written over it
        *lines, rest = re.split(rb"[\r\n]", rest + chunk)
        for line in lines:
            if found := _PROGRESS.match(line):
                hear(int(found[1]), int(found[2]))
            elif line.strip() and not _CHATTER.match(line):
                kept = (kept + line + b"\n")[-KEEP:]


def _throttled(hear: Hear | None) -> Hear:
    due = time.monotonic() + FIRST_WORD_S

    def say(done: int, total: int) -> None:
        nonlocal due
        if hear is not None and time.monotonic() >= due:
            due = time.monotonic() + EVERY_S
            hear(done, total)

    return say
