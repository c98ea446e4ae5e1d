"""Gates that read the script: it is Python, has its functions, and does not hold code that the patch added."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Mapping, Sequence

from tasks.code.python import parse
from tasks.perftests.coverage import added_lines, removed_lines
from tasks.perftests.gates.context import OWN_CODE, GateFailed
from tasks.perftests.models import Proposal

REQUIRED = {"isobench": ("setup", "experiment", "check_equivalence"), "gso": ("check_equivalence",)}
LEAK_TOKENS = 16
"""So many tokens of added code in a row, found again in a script, are a copy and no coincidence: about two lines."""
_SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def parses(proposal: Proposal) -> None:
    """The text is Python."""
    try:
        parse(proposal.script)
    except (SyntaxError, ValueError) as error:
        raise GateFailed("parses", f"{type(error).__name__}: {error}") from None


def functions(proposal: Proposal) -> None:
    """The dialect's functions are defined at the top level."""
    defined = _names_at_top(parse(proposal.script))
    missing = [name for name in REQUIRED[proposal.dialect] if name not in defined]
    if proposal.dialect == "gso" and "run_test" not in defined and not {"setup", "experiment"} <= defined:
        missing.append("run_test (or setup and experiment)")
    if missing:
        raise GateFailed("functions", "the script does not define " + ", ".join(missing))


def leak(proposal: Proposal, patch: str) -> None:
    """The script neither names what only the patch defines nor repeats LEAK_TOKENS tokens of its added code.

    Agents read perf tests, or tests made of them: a script that holds the solution gives it away. Not asked of the
    repository's own tests and benchmarks, which were there before the patch or came with it.
    """
    if proposal.source in OWN_CODE:
        return
    added, removed = added_lines(patch), removed_lines(patch)
    new = _defined(added) - _defined(removed)
    named = sorted(new & _used(parse(proposal.script)))
    if named:
        raise GateFailed(
            "leak", f"the script uses {', '.join(named)}, which only the change defines: test what base has"
        )
    known = _grams(proposal.script)
    old = {gram for lines in removed.values() for gram in _grams("\n".join(lines))}
    for path, lines in added.items():
        if path.endswith((".py", ".pyx")):
            copied = (_grams("\n".join(lines)) & known) - old
            if copied:
                raise GateFailed(
                    "leak", f"the script repeats code that the change adds to {path}: {' '.join(min(copied))}"
                )


def _defined(lines: Mapping[str, Sequence[str]]) -> set[str]:
    """Functions and classes that lines of patches define at the top level of modules."""
    definition = re.compile(r"^(?:async\s+)?(?:def|class)\s+(\w+)", re.MULTILINE)
    return {
        name for path, texts in lines.items() if path.endswith(".py") for name in definition.findall("\n".join(texts))
    }


def _used(tree: ast.Module) -> set[str]:
    """Names that a script takes from modules, but those that it defines itself."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
    return names - _names_at_top(ast.Module([node for node in tree.body if isinstance(node, ast.FunctionDef)], []))


def _grams(text: str) -> set[tuple[str, ...]]:
    """Runs of LEAK_TOKENS tokens, comments and layout left out."""
    tokens = _tokens(text)
    return {tuple(tokens[start : start + LEAK_TOKENS]) for start in range(len(tokens) - LEAK_TOKENS + 1)}


def _tokens(text: str) -> Sequence[str]:
    """Tokens of a piece of Python, by words and signs where it is not complete."""
    try:
        found = tokenize.generate_tokens(io.StringIO(text).readline)
        return [token.string for token in found if token.type not in _SKIPPED]
    except (tokenize.TokenError, IndentationError, SyntaxError):
        pieces = re.sub(r"#.*", "", text)
        return re.findall(r"\w+|'[^'\n]*'|\"[^\"\n]*\"|[^\w\s]", pieces)


def _names_at_top(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
    return names
