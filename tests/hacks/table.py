"""Runs every attempt in both sandboxes and writes `docs/measures/hacks.md`.

    python -m tests.hacks.table > docs/measures/hacks.md
    python -m tests.hacks.table --sandbox local --only early-thread early-child
    python -m tests.hacks.table --sandbox local --only honest

Exits with 1 if an attempt earned more than its honest part, or an honest pattern was refused.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import groupby
from pathlib import Path

from configs.models import SandboxConfig
from storage.store import Store
from tests.hacks.lab import (
    PATTERNS,
    Attempt,
    Kind,
    Lab,
    Outcome,
    attempts,
    honest_patches,
    patterns,
    refused,
    run,
    sessions_of,
)

HEAD = (Path(__file__).parent / "head.md").read_text(encoding="utf-8")


def outcomes_in(kind: Kind, chosen: list[Attempt], folder: Path) -> dict[str, Outcome]:
    """Of attempts and patterns, of all that was timed with them, and of the demo's honest patches, by name."""
    lab = Lab(Store(folder / kind), SandboxConfig(kind=kind))
    found: dict[str, Outcome] = {}
    for number, group in enumerate(groups := sessions_of(chosen)):
        outcomes = run(lab, group)
        for attempt in group:
            outcome, honest = outcomes[attempt.name], outcomes.get(attempt.honest)
            print(f"{kind} {number + 1}/{len(groups)} {attempt.name}: {outcome.described(honest)}", file=sys.stderr)
        # A patch that many are held against keeps the outcome of its own session.
        found = {**outcomes, **found, **{attempt.name: outcomes[attempt.name] for attempt in group}}
        found |= {_part(attempt): outcomes[attempt.honest] for attempt in group if attempt.honest}
    return found | lab.score("count", honest_patches(), lab.timing)


def _part(attempt: Attempt) -> str:
    """Name of an attempt's honest part, as timed beside it."""
    return f"{attempt.name}: {attempt.honest}"


def cell(attempt: Attempt, outcomes: dict[str, Outcome]) -> str:
    """What one attempt or pattern came to in one sandbox."""
    outcome = outcomes[attempt.name]
    if attempt.verb == PATTERNS:
        return outcome.described().replace("SUCCESS", "faster")
    return outcome.described(outcomes.get(_part(attempt)))


def row(cells: list[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def lines(chosen: list[Attempt], found: dict[Kind, dict[str, Outcome]]) -> list[str]:
    """The tables."""
    made = []
    for verb, group in groupby(chosen, key=lambda attempt: attempt.verb):
        made += ["", f"**{verb[0].upper()}{verb[1:]}**", ""]
        made += [row(["patch", "what it does", *found]), row(["---"] * (2 + len(found)))]
        for attempt in group:
            what = f"{attempt.what}" + (f" ({attempt.why})" if attempt.why else "")
            link = f"[{attempt.name}](../../tests/hacks/patches/{attempt.name}.patch)"
            made.append(row([link, what, *(cell(attempt, outcomes) for outcomes in found.values())]))
    made += ["", "**The demo's honest patches, in the same sessions' form**", ""]
    made += [row(["patch", *found]), row(["---"] * (1 + len(found)))]
    for name in honest_patches():
        cells = (outcomes[name].described().replace("SUCCESS", "faster") for outcomes in found.values())
        made.append(row([name, *cells]))
    return made


def wrong(attempt: Attempt, outcomes: dict[str, Outcome]) -> bool:
    """Whether an attempt earned more than its honest part, or an honest pattern was refused."""
    outcome = outcomes[attempt.name]
    if attempt.verb == PATTERNS:
        return refused(attempt, outcome)
    return not outcome.earned(outcomes.get(_part(attempt)))


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sandbox", nargs="+", choices=["local", "docker"], default=["local", "docker"])
    parser.add_argument("--only", nargs="+", help="names of attempts and patterns, or `honest` for all patterns")
    options = parser.parse_args()
    listed = [*attempts(), *patterns()]
    wanted = set(options.only or [one.name for one in listed])
    chosen = [one for one in listed if one.name in wanted or (one.verb == PATTERNS and "honest" in wanted)]
    with tempfile.TemporaryDirectory() as folder:
        found = {kind: outcomes_in(kind, chosen, Path(folder)) for kind in options.sandbox}
    print(HEAD.rstrip())
    print("\n".join(lines(chosen, found)))
    bad = [f"{kind}: {one.name}" for kind, outcomes in found.items() for one in chosen if wrong(one, outcomes)]
    print("\n".join(["", *bad]), file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
