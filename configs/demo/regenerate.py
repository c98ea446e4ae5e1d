"""Refresh what follows from `history/`, `expected.yaml` and the patches: run it after you changed one of them.

    python -m configs.demo.regenerate          # writes
    python -m configs.demo.regenerate --check  # says what is out of date, and changes nothing

It refreshes the head in `history/series.yaml`, SHAs and instance ids in `expected.yaml`, the human's patches,
`predictions/*.jsonl` and the tables of the README.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from configs.demo.build import build_demo_repository, load_series
from configs.demo.truth import FOLDER, Expected, load_expected, patch_file

SERIES, EXPECTED, README = FOLDER / "history" / "series.yaml", FOLDER / "expected.yaml", FOLDER / "README.md"


def stale_files(*, write: bool) -> list[Path]:
    """Files that are not what they should be; with `write`, they are when this returns.

    Raises ValueError if `expected.yaml` does not name the changes of the history in their order.
    """
    found: list[Path] = []

    def put(path: Path, text: str) -> None:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            found.append(path)
            if write:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")

    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        head = build_demo_repository(repository, verify=False)
        log = _git(repository, "log", "--reverse", "--first-parent", "--format=%H %s").splitlines()
        changes = {subject: sha for sha, _, subject in (line.partition(" ") for line in log)}
        expected = load_expected()
        if [change.subject for change in expected.changes] != list(changes):
            raise ValueError("expected.yaml must name every change of the main branch once, oldest first")
        ids = {c.instance: _instance_id(c.subject, changes[c.subject]) for c in expected.changes if c.instance}
        put(SERIES, _fill(SERIES.read_text(encoding="utf-8"), "head", [head]))
        text = _fill(EXPECTED.read_text(encoding="utf-8"), "sha", list(changes.values()))
        put(EXPECTED, _fill(text, "instance_id", [ids[instance.name] for instance in expected.instances]))
        for change in expected.changes:
            if change.instance and "human" in expected.by_name[change.instance].patches:
                sha = changes[change.subject]
                diff = _git(repository, "diff", "--abbrev=10", f"{sha}^1", sha, "--", ".", ":!tests")
                put(patch_file(change.instance, "human"), diff)
    expected = load_expected()
    for model, lines in _lines(expected):
        put(FOLDER / "predictions" / f"{model}.jsonl", lines)
    if README.exists():
        put(README, _with_tables(README.read_text(encoding="utf-8"), expected))
    return found


def _git(repository: Path, *arguments: str) -> str:
    variables = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=repository, env=variables, check=True, capture_output=True, text=True
    )
    return done.stdout


def _instance_id(subject: str, sha: str) -> str:
    number = re.search(r"\(#(\d+)\)$|^Merge pull request #(\d+) ", subject)
    ending = f"PR-{number[1] or number[2]}" if number else sha[:7]
    return f"{load_series().repository.replace('/', '__')}-{ending}"


def _fill(text: str, field: str, values: Sequence[str]) -> str:
    """The text with the values in the places of `field: "..."`, in order; the rest, comments too, stays as it is."""
    pattern = re.compile(rf'(?<![\w-])({field}: )"[^"]*"')
    if len(pattern.findall(text)) != len(values):
        raise ValueError(f'expected {len(values)} places with {field}: "..."')
    rest = iter(values)
    return pattern.sub(lambda match: f'{match[1]}"{next(rest)}"', text)


def _lines(expected: Expected) -> Iterator[tuple[str, str]]:
    for model in expected.models:
        rows = [
            {"instance_id": prediction.instance_id, "model_patch": prediction.text, "model_name_or_path": model}
            for prediction in expected.predictions()
            if prediction.model == model
        ]
        yield model, "".join(json.dumps(row) + "\n" for row in rows)


def _with_tables(text: str, expected: Expected) -> str:
    for name, lines in {
        "changes": _changes_table(expected),
        "patches": _patches_table(expected),
        "models": _models_table(expected),
        "opt": _opt_table(expected),
    }.items():
        block = "\n".join([f"<!-- {name}: made by regenerate.py from expected.yaml -->", *lines, f"<!-- /{name} -->"])
        parts = re.split(rf"<!-- {name}\b.*?<!-- /{name} -->", text, flags=re.DOTALL)
        if len(parts) != 2:
            raise ValueError(f"README.md needs one block '{name}'")
        text = block.join(parts)
    return text


def _changes_table(expected: Expected) -> Iterator[str]:
    yield from _table("commit", "subject", "comes to", "why")
    for change in expected.changes:
        if change.instance:
            instance = expected.by_name[change.instance]
            outcome, why = f"**instance**, {instance.speedup:g}x", f"{instance.kind}: {instance.what}"
        else:
            outcome, why = f"{change.stage}: `{change.reason}`", change.note
        yield _row(f"`{change.sha[:7]}`", change.subject, outcome, why)


def _patches_table(expected: Expected) -> Iterator[str]:
    yield from _table(
        "instance", "patch", "what it does", "status", "x base", "x human", ">= 1.2 base", ">= 0.95 human"
    )
    for instance in expected.instances:
        for index, (name, patch) in enumerate(instance.patches.items()):
            numbers = ["" if number is None else f"{number:g}" for number in (patch.base, patch.human)]
            link = f"[{name}](predictions/patches/{instance.name}/{name}.patch)"
            where = f"{instance.name} (`{instance.instance_id}`)" if index == 0 else instance.name
            yield _row(where, link, patch.what, f"`{patch.status}`", *numbers, patch.opt_base, patch.opt_human)


def _models_table(expected: Expected) -> Iterator[str]:
    yield from _table("instance", *expected.models)
    for instance in expected.instances:
        cells = []
        for model in expected.models:
            mine = [p for p in expected.predictions() if (p.model, p.instance) == (model, instance.name)]
            cells.append(", ".join(f"**{p.patch}**" if p.truth.opt_human == "yes" else p.patch for p in mine))
        yield _row(instance.name, *cells)


def _opt_table(expected: Expected) -> Iterator[str]:
    yield from _table("model", "Opt@1", "Opt@2", "Opt@3")
    for model, shares in expected.opt_at_k.items():
        yield _row(model, *(f"{100 * share:.1f} %" for share in shares))


def _table(*titles: str) -> list[str]:
    return [_row(*titles), _row(*["---"] * len(titles))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: Iterable[str]) -> int:
    """Exit code 1 if --check found something."""
    check = "--check" in arguments
    found = stale_files(write=not check)
    for path in found:
        print(f"{'out of date' if check else 'written'}: {path.relative_to(FOLDER)}")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
