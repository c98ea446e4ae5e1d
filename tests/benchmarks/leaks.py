"""How well the leak guard finds an added line that somebody changed, and how often it cries wolf, on real changes.

    python -m tests.benchmarks.leaks ../networkx ../sqlglot ../tornado

Arguments are clones of the labelled repositories (`labels/README.md`); changes labelled `yes` are taken. Every kind of
quote is made from the new version of each changed Python file; `found` is the share of added lines that say something
and are found, over all changes. The two last rows are texts that give nothing away by intent.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path

import git

from tasks.code.leaks import LeakReport, find_leaks
from tests.benchmarks.mining_labels import load_labels, repository_of

Quote = Callable[[str], str]


def renamed(source: str) -> str:
    """The code with other names for its local variables, written anew by a parser."""
    tree = ast.parse(source)
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
        own = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id in own:
                node.id = f"v{sorted(own).index(node.id)}"
    return ast.unparse(tree)


def split(source: str) -> str:
    """Every blank between two words or signs becomes a line break, every bracket opens a new line."""
    return re.sub(r"(?<=\S) (?=\S)", " \\\n    ", source).replace("(", "(\n")


QUOTES: dict[str, Quote] = {
    "word for word": lambda source: source,
    "written anew (ast.unparse)": lambda source: ast.unparse(ast.parse(source)),
    "split at every blank": split,
    "other names for variables": renamed,
}


def main() -> None:
    """Print one row per kind of quote."""
    labels = load_labels()
    totals = {name: [0, 0] for name in QUOTES}
    alarms: dict[str, list[LeakReport]] = {"the code before, as text": [], "the message": []}
    changes = 0
    for place in map(Path, sys.argv[1:]):
        repository = git.Repo(place)
        for label in labels[repository_of(place)]:
            if label.label != "yes":
                continue
            commit = repository.commit(label.sha)
            parent = commit.parents[0]
            changes += 1
            whole = repository.git.diff(parent.hexsha, commit.hexsha, "--", "*.py", ":!*test*")
            alarms["the message"].append(find_leaks(str(commit.message), whole))
            for path in repository.git.diff(
                parent.hexsha, commit.hexsha, "--name-only", "--diff-filter=M", "--", "*.py", ":!*test*"
            ).split():
                before, after = (repository.git.show(f"{sha}:{path}") for sha in (parent.hexsha, commit.hexsha))
                diff = repository.git.diff(parent.hexsha, commit.hexsha, "--", path)
                alarms["the code before, as text"].append(find_leaks(before, diff, [before]))
                for name, quote in QUOTES.items():
                    try:
                        text = quote(after)
                    except SyntaxError:  # Python 2
                        continue
                    report = find_leaks(text, diff, [before])
                    totals[name][0] += report.lines_added
                    totals[name][1] += report.lines_leaked
    print(f"{changes} changes")
    print(f"{'quote':30} {'lines':>7} {'found':>7}")
    for name, (added, found) in totals.items():
        print(f"{name:30} {added:7} {found / max(1, added):7.1%}")
    for name, reports in alarms.items():
        lines = sum(report.lines_leaked for report in reports)
        print(f"{name:30} {len(reports)} texts, {lines} lines, {sum(bool(r.leaks) for r in reports)} with any mark")


if __name__ == "__main__":
    main()
