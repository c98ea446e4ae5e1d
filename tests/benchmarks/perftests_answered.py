"""Perf tests of real repositories, written by us instead of a model: what comes of them, and in how many tokens.

python -m tests.benchmarks.perftests_answered --store FOLDER --url tobymao/sqlglot=CLONE --url networkx/networkx=CLONE

Everything is asked through the batch file, repairs included. `--show` prints what nobody has answered yet.
"""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from configs.loading import load_config
from configs.models import Config
from storage.store import Store
from storage.tables import Funnel, PerfTest, Statement
from tasks.llm import LlmError, Waiting, calls
from tasks.llm.cache import ReplyCache
from tasks.llm.client import list_price
from tasks.llm.folder import cache_folder
from tasks.llm.requests import Requests
from tasks.llm.tokens import count_tokens
from tasks.statements.writing import write_statement
from tests.benchmarks.answering import Answers, read_answers, until_answered
from tests.benchmarks.measuring import add_options, folder_and_urls, show_rows

HERE = Path(__file__).parent / "perftests"


def answered_config(path: Path, store: Path, url: str | None) -> Config:
    """A configuration that collects its requests."""
    settings = ["llm.batch=true", f"store={store}", *([f"repository.url={url}"] if url else [])]
    return load_config(path, settings)


def run_answered(config: Config, answers: Answers) -> list[str]:
    """From mining to problem statements; returns what stays open, as `stage sha turn`."""
    from flows.dataset import build_dataset

    store = Store(config.store)

    def build() -> None:
        build_dataset(config, until="perftests")

    open_ = until_answered(build, store, answers)
    if not open_:
        open_ = until_answered(lambda: state(config, store), store, answers)
    return [f"{request.stage} {request.item} {request.key}" for request in open_]


def state(config: Config, store: Store) -> None:
    """Problem statements of all commits with an accepted perf test; what waits is left open."""
    repo = config.repository.name
    tests: dict[str, list[str]] = {}
    for test in accepted_tests(store, repo):
        tests.setdefault(test.sha, []).append(test.test_id)
    for sha, test_ids in tests.items():
        with suppress(Waiting, LlmError):
            write_statement(repo, sha, config.llm, test_ids, store)


def accepted_tests(store: Store, repo: str) -> list[PerfTest]:
    """Accepted perf tests of the commits that the last run came to."""
    asked = {row.key for row in store.rows(Funnel, repo) if row.stage == "perftests"}
    return [test for test in store.rows(PerfTest, repo) if test.sha in asked and test.status == "accepted"]


def tokens_by_stage(store: Store, model: str) -> dict[str, tuple[int, int]]:
    """Stage -> tokens of all prompts that were answered, and of the answers, by the model's tokenizer."""
    folder = cache_folder(store)
    requests, replies = Requests(folder), ReplyCache(folder)
    found: dict[str, tuple[int, int]] = {}
    for path in (folder / "requests").rglob("*.json"):
        request, reply = requests.get(path.stem), replies.get(path.stem)
        if request is None or reply is None:
            continue
        asked, answered = found.get(request.stage, (0, 0))
        asked += sum(count_tokens(model, message["content"]) for message in request.messages)
        found[request.stage] = (asked, answered + count_tokens(model, reply.text))
    return found


def measure(config: Config) -> dict[str, Any]:
    """Shares and counts, from the store."""
    assert config.llm is not None
    store, repo, model = Store(config.store), config.repository.name, config.llm.model
    calls.flush(store)
    funnel = [row for row in store.rows(Funnel, repo) if row.outcome in ("kept", "dropped")]
    classified = [row for row in funnel if row.stage == "classify"]
    reached = {row.key for row in funnel if row.stage == "perftests"}
    tests = [test for test in store.rows(PerfTest, repo) if test.sha in reached]
    accepted = [test for test in tests if test.status == "accepted"]
    shares = sorted(max(test.line_share_base or 0.0, test.line_share_human or 0.0) for test in accepted)
    rejected = Counter(test.reason.split(":")[0] for test in tests if test.status == "rejected")
    statements = store.rows(Statement, repo, sha=sorted(reached))
    tokens = tokens_by_stage(store, model)
    asked, answered = tokens.get("perftests", (0, 0))
    count = max(1, len(accepted))
    return {
        "repository": repo,
        "candidates": len(classified),
        "kept by the classification": sum(row.outcome == "kept" for row in classified),
        "came to this stage": len(reached),
        "with at least one accepted perf test": len({test.sha for test in accepted}),
        "share of kept commits": len({test.sha for test in accepted}) / max(1, len(reached)),
        "tests offered": len(tests),
        "accepted": len(accepted),
        "accepted per commit": len(accepted) / max(1, len(reached)),
        "accepted at the first try": sum(test.attempts == 1 for test in accepted) / max(1, len(tests)),
        "accepted after repair": len(accepted) / max(1, len(tests)),
        "rejected by": ", ".join(f"{gate} {n}" for gate, n in rejected.most_common()) or "-",
        "execute changed lines, of accepted ones": f"{sum(share > 0 for share in shares)} of {len(accepted)}",
        "median share of changed lines": shares[len(shares) // 2] if shares else 0.0,
        "tokens per accepted test, in": asked // count,
        "tokens per accepted test, out": answered // count,
        f"list price per accepted test, {model}": f"${list_price(model, asked, answered) / count:.4f}",
        "tokens of all stages, in": sum(asked for asked, _ in tokens.values()),
        "tokens of all stages, out": sum(answered for _, answered in tokens.values()),
        "statements": len(statements),
        "of which the first answer leaked": sum(row.first_leak_rate > 0 for row in statements),
        "leak rate of what was kept": max((row.leak_rate for row in statements), default=0.0),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["networkx", "sqlglot"], help="default: both")
    add_options(parser)
    asked = parser.parse_args()
    folder, urls = folder_and_urls(asked)
    rows = []
    for name in asked.names:
        path = HERE / f"answered-{name}.yaml"
        config = answered_config(path, folder / path.stem, urls.get(load_config(path).repository.name))
        for line in run_answered(config, read_answers(HERE / "answers" / f"{name}.yaml")):
            print("nobody has answered:", line)
        rows.append(measure(config))
    show_rows(rows, asked.json)


if __name__ == "__main__":
    main()
