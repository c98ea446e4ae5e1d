"""Runs every attempt in both sandboxes and writes `docs/measures/hacks.md`.

    python -m tests.hacks.table > docs/measures/hacks.md
    python -m tests.hacks.table --sandbox local --only early-thread early-child

Exits with 1 if an attempt succeeded.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import groupby
from pathlib import Path

from configs.models import SandboxConfig
from storage.store import Store
from tests.hacks.lab import Attempt, Kind, Lab, Outcome, attempts, honest_patches, run, sessions_of

HEAD = (Path(__file__).parent / "head.md").read_text(encoding="utf-8")


def outcomes_in(kind: Kind, chosen: list[Attempt], folder: Path) -> dict[str, Outcome]:
    """Of all attempts and of the honest patches, by name."""
    lab = Lab(Store(folder / kind), SandboxConfig(kind=kind))
    found: dict[str, Outcome] = {}
    for group in sessions_of(chosen):
        found |= run(lab, group)
        print(f"{kind}: {len(found)} of {len(chosen)} attempts", file=sys.stderr)
    return found | lab.score("count", honest_patches(), lab.timing)


def row(cells: list[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def lines(chosen: list[Attempt], found: dict[Kind, dict[str, Outcome]]) -> list[str]:
    """The tables."""
    made = []
    for verb, group in groupby(chosen, key=lambda attempt: attempt.verb):
        made += ["", f"**{verb[0].upper()}{verb[1:]}**", ""]
        made += [row(["attempt", "what it does", *found]), row(["---"] * (2 + len(found)))]
        for attempt in group:
            what = f"{attempt.what}" + (f" ({attempt.why})" if attempt.why else "")
            link = f"[{attempt.name}](../../tests/hacks/patches/{attempt.name}.patch)"
            made.append(row([link, what, *(str(outcomes[attempt.name]) for outcomes in found.values())]))
    made += ["", "**Honest patches, in the same sessions' form**", ""]
    made += [row(["patch", *found]), row(["---"] * (1 + len(found)))]
    for name in honest_patches():
        made.append(row([name, *(str(outcomes[name]).replace("SUCCESS", "faster") for outcomes in found.values())]))
    return made


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sandbox", nargs="+", choices=["local", "docker"], default=["local", "docker"])
    parser.add_argument("--only", nargs="+", help="names of attempts")
    options = parser.parse_args()
    chosen = [attempt for attempt in attempts() if not options.only or attempt.name in options.only]
    with tempfile.TemporaryDirectory() as folder:
        found = {kind: outcomes_in(kind, chosen, Path(folder)) for kind in options.sandbox}
    print(HEAD.rstrip())
    print("\n".join(lines(chosen, found)))
    wrong = [
        f"{kind} {attempt.name}: {outcomes[attempt.name]}"
        for kind, outcomes in found.items()
        for attempt in chosen
        if outcomes[attempt.name].succeeded
    ]
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
