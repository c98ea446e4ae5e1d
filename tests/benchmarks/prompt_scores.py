"""How good a version of the prompts is, with any model: scored on commits with checked answers.

python -m tests.benchmarks.prompt_scores --store FOLDER --url owner/name=CLONE                     # answers of a file
python -m tests.benchmarks.prompt_scores --store FOLDER --model openai/gpt-5-mini --prompts OTHER  # a model
python -m tests.benchmarks.prompt_scores --store FOLDER --model openai/gpt-5-mini --batch BATCH    # a batch file

`--prompts` names a folder of templates to score instead of configs/prompts; run it once per version with one store.
With `--batch`, answers are taken from BATCH/answers-<name>.jsonl and what is open goes to BATCH/requests-<name>.jsonl;
run it again until nothing is. See prompts/README.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from configs.loading import load_config
from configs.models import Config
from storage.ids import content_hash
from storage.store import Store
from storage.tables import Api, Commit, Funnel, PerfTest, Statement
from tasks.llm import LlmError, Waiting, calls, prompts
from tasks.llm.batch import export_requests, import_answers
from tasks.llm.folder import cache_folder
from tasks.llm.requests import Requests
from tasks.mining.classify import classify_commit
from tasks.mining.filters.reverts import CLASSIFIED
from tests.benchmarks.answering import read_answers, until_answered
from tests.benchmarks.perftests_answered import state, tokens_by_stage
from tests.benchmarks.perftests_gates import table

CASES = Path(__file__).parent / "prompts" / "cases.yaml"


@dataclass(frozen=True)
class Cases:
    """Commits of one repository with what is right for them."""

    config: Path
    answers: Path | None
    commits: dict[str, dict[str, Any]]
    """sha -> `is_performance`, and `apis` where the whole pipeline is wanted."""

    @property
    def name(self) -> str:
        """For files."""
        return self.config.stem


def load_cases(path: Path) -> list[Cases]:
    """The cases of a file; paths in it are relative to it."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        Cases(
            path.parent / entry["config"],
            path.parent / entry["answers"] if entry.get("answers") else None,
            entry["commits"],
        )
        for entry in found
    ]


def use_prompts(folder: Path) -> str:
    """Render templates of this folder from now on; returns a name for the version: a hash of its files."""
    prompts.FOLDER = folder.resolve()
    prompts._environment.cache_clear()
    return content_hash("prompts", {path.name: path.read_text() for path in sorted(folder.glob("*.j2"))}, length=8)


def ask_all(config: Config, cases: Cases) -> None:
    """Everything that is asked about the cases: classification of all, the rest of those that have `apis`.

    What waits for a batch is left open.
    """
    from flows.dataset import build_dataset

    assert config.llm is not None
    store = Store(config.store)
    build_dataset(config, until="perftests")
    for sha in cases.commits:
        with suppress(Waiting, LlmError):  # of a model that failed the score says that it gave no answer
            classify_commit(config.repository, sha, config.llm, store)
    state(config, store)


def scores(config: Config, cases: Cases) -> dict[str, Any]:
    """Counts, from the store."""
    assert config.llm is not None
    store, repo = Store(config.store), config.repository.name
    calls.flush(store)
    marks = {True: f"kept: {config.llm.model} says", False: CLASSIFIED}
    rows = {row.sha: row for row in store.rows(Commit, repo, sha=list(cases.commits))}
    said = {sha: row.kept for sha, row in rows.items() if row.reason.startswith(marks[row.kept])}
    truth = {sha: case["is_performance"] for sha, case in cases.commits.items()}
    wanted = {sha: case["apis"] for sha, case in cases.commits.items() if case.get("apis")}
    ranked: dict[str, list[str]] = {}
    for api in sorted(store.rows(Api, repo), key=lambda api: api.rank):
        if api.source == "llm":  # what the model named; the others follow in the order of the search
            ranked.setdefault(api.sha, []).append(api.api)
    reached = {row.key for row in store.rows(Funnel, repo) if row.stage == "perftests"} & wanted.keys()
    tests = [test for test in store.rows(PerfTest, repo) if test.sha in reached]
    accepted = [test for test in tests if test.status == "accepted"]
    statements = [row for row in store.rows(Statement, repo) if row.sha in wanted and row.model is not None]
    tokens = tokens_by_stage(store, config.llm.model)
    return {
        "commits": len(truth),
        "classified": len(said),
        "classified as labelled": sum(said.get(sha) == label for sha, label in truth.items()),
        "performance taken for none": sum(said.get(sha) is False for sha, label in truth.items() if label),
        "none taken for performance": sum(said.get(sha) is True for sha, label in truth.items() if not label),
        "commits with checked APIs": len(wanted),
        "first API is a good one": sum(ranked.get(sha, [""])[0] in names for sha, names in wanted.items()),
        "perf tests offered": len(tests),
        "accepted": len(accepted),
        "accepted at the first try": sum(test.attempts == 1 for test in accepted),
        "commits with an accepted one": len({test.sha for test in accepted}),
        "statements": len(statements),
        "of which the first answer leaked": sum(bool(s.first_leak_rate or s.first_names_leaked) for s in statements),
        "added lines told by first answers": sum(s.first_leak_rate for s in statements) / max(1, len(statements)),
        "tokens in": sum(asked for asked, _ in tokens.values()),
        "tokens out": sum(answered for _, answered in tokens.values()),
    }


def run_cases(cases: Cases, root: Path, settings: Sequence[str], batch: Path | None, by_hand: bool) -> dict[str, Any]:
    """Ask about the cases of one repository in a store below `root`, and score what came of it."""
    waits = ["llm.batch=true"] if by_hand or batch else []
    config = load_config(cases.config, [*settings, *waits, f"store={root / cases.name}"])
    store = Store(config.store)
    if by_hand:
        answers = read_answers(cases.answers) if cases.answers else {}
        open_ = until_answered(lambda: ask_all(config, cases), store, answers)
        for request in open_:
            print("no answer is written for:", request.stage, request.item, request.key)
    elif batch is not None:
        given = batch / f"answers-{cases.name}.jsonl"
        for problem in import_answers(store, given).problems if given.is_file() else []:
            print(problem)
        Requests(cache_folder(store)).forget_open()
        ask_all(config, cases)
        written = export_requests(store, batch / f"requests-{cases.name}.jsonl", "openai")
        print(f"{written.total} requests wait: {written.path}")
    else:
        ask_all(config, cases)
    return scores(config, cases)


def main(argv: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The command line. Returns the rows that it prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--store", type=Path, required=True, help="folder of the stores, one per version and repository"
    )
    parser.add_argument("--cases", type=Path, default=CASES, help="commits and what is right for them")
    parser.add_argument("--prompts", type=Path, default=prompts.FOLDER, help="folder of templates")
    parser.add_argument("--url", action="append", default=[], help="owner/name=where to clone it from, any number")
    parser.add_argument("--model", help="any litellm name (default: the answers of the cases, through the batch file)")
    parser.add_argument(
        "--set", action="append", default=[], help="a setting, e.g. llm.api_base=http://127.0.0.1:8000/v1"
    )
    parser.add_argument("--batch", type=Path, help="folder of batch files to write and to read")
    parser.add_argument("--json", type=Path, help="write the rows here, too")
    asked = parser.parse_args(argv)
    urls = dict(item.split("=", 1) for item in asked.url)
    version = use_prompts(asked.prompts)
    rows = []
    for cases in load_cases(asked.cases):
        repo = load_config(cases.config).repository.name
        settings = [*asked.set, *([f"repository.url={urls[repo]}"] if repo in urls else [])]
        settings += [f"llm.model={asked.model}"] if asked.model else []
        root = asked.store / f"{version}-{content_hash(asked.model or 'answers', length=6)}"
        row = run_cases(cases, root, settings, asked.batch, by_hand=not asked.model)
        rows.append({"repository": repo, "prompts": version, "model": asked.model or "answers by hand", **row})
    columns = [{"": key, **{row["repository"]: row[key] for row in rows}} for key in rows[0] if key != "repository"]
    Console(width=110).print(table(columns, f"Prompts {asked.prompts}"))
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))
    return rows


if __name__ == "__main__":
    main()
