"""The user's own commands: one bash for all of them, so that what one sets up the next one finds.

Lists in datasets are written as one script would be: `uv venv`, `source .venv/bin/activate`, `uv pip install .`. If
they end with an environment of their own, that one becomes the environment that arms share.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from tasks.environments.builds.runners import Ran, Runner
from tasks.environments.inside import adopt_venv

_DRIVER = r"""
isobench_state=$1
shift
set -e
for isobench_command in "$@"; do
    isobench_at=$((${isobench_at:-0} + 1))
    echo "$isobench_at" >"$isobench_state"
    printf '\036$ %s\n' "$isobench_command"
    eval "$isobench_command"
done
printf '%s\n%s\n' "done" "${VIRTUAL_ENV:-}" >"$isobench_state"
"""
_OUTER = r"""
state=$1 token=$2 driver=$3
shift 3
rm -rf "$state"
shell=$(command -v bash || echo /bin/sh)
"$shell" -c "$driver" isobench "$state" "$@" </dev/null
code=$?
printf '\n%s %s\n' "$token" "$(head -c 4096 "$state" | tr '\n' ' ')"
exit $code
"""


@dataclass(frozen=True)
class Outcome:
    """How a list of commands ended."""

    ran: Ran
    failed: int | None
    """Position of the command that failed, from 0; None if all succeeded."""
    virtual_env: str = ""
    """The environment that was active at the end, as the build sees it."""

    @property
    def said(self) -> str:
        """What the last command printed, with what went before it cut off."""
        return self.ran.output.rpartition("\036$ ")[2].partition("\n")[2]


def command_line(runner: Runner, commands: list[str], token: str) -> list[str]:
    """What runs the commands one after the other in one bash, until one fails, and then says how far it came."""
    return ["/bin/sh", "-c", _OUTER, "isobench", f"{runner.build}/commands.state", token, _DRIVER, *commands]


def new_token() -> str:
    """Marks the line in which the outer shell says how far it came."""
    return f"isobench-{secrets.token_hex(8)}"


def outcome(ran: Ran, commands: list[str], token: str) -> Outcome:
    """What the output of `command_line` says. A command that ends the shell has failed those after it."""
    output, told, state = ran.output.rpartition(f"\n{token} ")
    if not told:  # it was not even started, or ended from outside
        output, state = ran.output, ""
    ran = Ran(ran.code, output, ran.seconds)
    words = state.split()
    if ran.ok and words[:1] == ["done"]:
        return Outcome(ran, None, " ".join(words[1:]))
    number = words[0] if words else ""
    at = min(int(number), len(commands)) - 1 if re.fullmatch(r"[1-9]\d{0,5}", number) else 0
    if ran.ok and at == len(commands) - 1:
        return Outcome(ran, None)  # the last one left with `exit 0`
    if ran.ok:
        ran = Ran(1, f"{ran.output}\nthis command ends the shell before the commands after it", ran.seconds)
    return Outcome(ran, at)


def adoption(runner: Runner, virtual_env: str) -> list[str]:
    """A step that puts the environment which commands made for themselves in the place of the one that was there."""
    script = Path(adopt_venv.__file__).read_text()
    python = f"{runner.environment}/bin/python"
    return [python, "-I", "-c", script, virtual_env or "-", f"{runner.build}/checkout", runner.environment]
