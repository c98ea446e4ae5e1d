"""Instances as JSON Lines: the canonical record (ISO-Bench's fields and ours), or in the fields of GSO or SWE-Perf."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from storage.exchange.writing import write_lines
from storage.store import Store
from storage.tables import Commit, Instance, Statement
from storage.withdrawn import withdrawn_ids

Layout = Literal["isobench", "gso", "swe-perf"]
Record = dict[str, Any]


def export(
    store: Store, path: str | Path, layout: Layout = "isobench", repo: str | None = None, withdrawn: bool = False
) -> int:
    """Write all instances, or those of one repository, as JSON Lines; returns how many. Equal rows give equal bytes.

    `withdrawn`: with those that were withdrawn. Raises UserError if the file cannot be written; the old one stays then.
    """
    return write_lines(path, records(store, layout, repo, withdrawn))


def records(
    store: Store, layout: Layout = "isobench", repo: str | None = None, withdrawn: bool = False
) -> Iterator[Record]:
    """The instances in a layout, in the order of their ids."""
    functions = _functions_changed(store, repo) if layout == "swe-perf" else {}
    views: dict[Layout, Callable[[Instance], Record]] = {
        "isobench": canonical,
        "gso": gso,
        "swe-perf": lambda row: swe_perf(row, functions.get((row.repo, row.head_commit), [])),
    }
    for row in complete_instances(store, repo, withdrawn):
        yield views[layout](row)


def complete_instances(store: Store, repo: str | None = None, withdrawn: bool = False) -> list[Instance]:
    """The instances as others get them, in the order of their ids: with their problem statements filled in.

    Those that were withdrawn are left out, unless asked for.
    """
    gone = set() if withdrawn else withdrawn_ids(store, repo)
    statements = {(row.repo, row.sha): row.text for row in store.rows(Statement, repo)}
    found = []
    for row in sorted(store.rows(Instance, repo), key=lambda row: row.instance_id):
        if row.instance_id in gone:
            continue
        text = row.problem_statement or statements.get((row.repo, row.head_commit), "")
        found.append(row.model_copy(update={"problem_statement": text}))
    return found


def canonical(row: Instance) -> Record:
    """Every column, times as ISO 8601. `storage.exchange.read.read_instances` reads it back without loss."""
    return row.model_dump(mode="json")


def gso(row: Instance) -> Record:
    """The fields of `gso-bench/gso`. Perf tests are not translated: GSO's harness runs those in its own dialect."""
    return {
        "instance_id": row.instance_id,
        "repo": row.repo,
        "base_commit": row.base_commit,
        "opt_commit": row.head_commit,
        "api": row.api,
        "prob_script": row.efficiency_test[0] if row.efficiency_test else "",
        "tests": row.efficiency_test,
        "hints_text": "",
        "setup_commands": row.setup_commands,
        "install_commands": row.install_commands,
        "created_at": row.created_at.isoformat() if row.created_at else "",
        "gt_commit_message": row.gt_commit_message,
        "gt_diff": row.patch,
        "arch": "x86_64",
        "instance_image_tag": "latest",
    }


def swe_perf(row: Instance, functions_changed: list[str] | None = None) -> Record:
    """The fields of `SWE-Perf/SWE-Perf`, and `efficiency_script` with our perf tests; the repository's own tests are in
    `PASS_TO_PASS` and `FAIL_TO_PASS`, as JSON text, as in `princeton-nlp/SWE-bench`.

    There, `efficiency_test` holds names of pytest tests; here, of what each script measures. `duration_changes` is JSON
    text: one object per round, `{test: {base: s, head: s}}`. `human_performance` is there the share of time saved that
    is statistically sure; here it is computed from the lower end of the interval, where there is one.
    """
    names = _unique(row.test_functions or [row.api or "test"] * len(row.efficiency_test), len(row.efficiency_test))
    rounds = min((len(side) for test in row.duration_changes for side in (test.base, test.head)), default=0)
    speedup = row.human_ci_low or row.human_performance
    by_file: dict[str, list[str]] = defaultdict(list)
    for function in functions_changed or []:
        file, _, name = function.partition("::")
        by_file[file].append(name)
    return {
        "repo": row.repo,
        "instance_id": row.instance_id,
        "patch": row.patch,
        "test_patch": row.test_patch,
        "base_commit": row.base_commit,
        "head_commit": row.head_commit,
        "created_at": row.created_at.isoformat() if row.created_at else "",
        "version": row.version,
        "duration_changes": json.dumps(
            [
                {
                    name: {"base": test.base[number], "head": test.head[number]}
                    for name, test in zip(names, row.duration_changes, strict=False)
                }
                for number in range(rounds)
            ]
        ),
        "efficiency_test": names,
        "patch_functions": json.dumps(by_file),
        "problem_statement_oracle": "",
        "test_functions": json.dumps({name: [name] for name in names}),
        "problem_statement_realistic": row.problem_statement,
        "human_performance": None if speedup is None else max(0.0, 1 - 1 / speedup),
        "efficiency_script": row.efficiency_test,
        "PASS_TO_PASS": json.dumps(row.pass_to_pass),
        "FAIL_TO_PASS": json.dumps(row.fail_to_pass),
    }


def _functions_changed(store: Store, repo: str | None) -> dict[tuple[str, str], list[str]]:
    frame = store.frame(Commit, repo, columns=("functions_changed",))
    return {
        (name, sha): functions for name, sha, functions in frame.select(*Commit.key_columns, "functions_changed").rows()
    }


def _unique(names: list[str], count: int) -> list[str]:
    """`count` different names: `f, f` becomes `f, f#2`."""
    seen: dict[str, int] = defaultdict(int)
    found = []
    for name in [*names, *["test"] * (count - len(names))][:count]:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return found
