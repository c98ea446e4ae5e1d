"""Source `seeded`: scripts that the user wrote, in either dialect."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from tasks.perftests.models import Dialect, Proposal
from tasks.syntax import parse


def from_scripts(scripts: Iterable[str], apis: Sequence[str]) -> list[Proposal]:
    """Proposals of the user's scripts. `apis` are dotted names, best first; a script gets the first it names."""
    proposals = []
    for number, script in enumerate(scripts, 1):
        dialect = detect_dialect(script)
        proposals.append(Proposal(f"seeded_{number}", _api(script, apis), script, source="seeded", dialect=dialect))
    return proposals


def detect_dialect(script: str) -> Dialect:
    """`gso` if it defines run_test at its top level, else `isobench`; the gates say what is wrong with neither."""
    try:
        tree = parse(script)
    except (SyntaxError, ValueError):
        return "isobench"
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return "gso" if "run_test" in defined else "isobench"


def _api(script: str, apis: Sequence[str]) -> str:
    return next((api for api in apis if api.rsplit(".", 1)[-1] in script), apis[0] if apis else "")
