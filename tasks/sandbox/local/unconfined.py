"""What remains without bubblewrap: a private folder, a process group, resource limits. It hides nothing.

Paths inside a sandbox are rewritten to the real ones, so that the same commands run: `/arm/x` becomes `<checkout>/x`,
`/work` and `/tmp` become folders that are deleted afterwards.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tasks.sandbox.models import WORK_DIR, Command

_REAPER = Path(__file__).parent / "inside" / "reaper.py"


def rewritten(command: Command, private: Path) -> Command:
    """The command with every path below a mount target replaced by the real one; `private` holds /work and /tmp."""
    targets = {mount.target: str(mount.source) for mount in command.mounts}
    for target, name in ((WORK_DIR, "work"), ("/tmp", "tmp")):
        folder = private / name
        folder.mkdir(exist_ok=True)
        targets.setdefault(target, str(folder))

    def real(text: str) -> str:
        return ":".join(_real(part, targets) for part in text.split(":"))

    variables = {name: real(value) for name, value in command.variables.items()}
    return command.model_copy(
        update={
            "argv": tuple(real(part) for part in command.argv),
            "variables": {"TMPDIR": targets["/tmp"], **variables},
            "cwd": real(command.cwd),
        }
    )


def _real(text: str, targets: dict[str, str]) -> str:
    for target in sorted(targets, key=len, reverse=True):
        if text == target or text.startswith(target.rstrip("/") + "/"):
            return targets[target] + text[len(target) :]
    return text


def arguments(command: Command) -> list[str]:
    """The command line, below a process that adopts orphans; it dies with this one where util-linux can arrange it."""
    setpriv = shutil.which("setpriv")
    guard = [setpriv, "--pdeathsig", "KILL", "--no-new-privs", "--"] if setpriv else []
    return [*guard, sys.executable, "-I", "-S", str(_REAPER), *command.argv]
