"""Export, answer, import until nothing is open: in one process, while every measured number changes between rounds."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from flows.cli import app
from storage.store import Store
from storage.tables import Funnel, LlmCall
from tasks.llm.demo import demo_answer
from tasks.perftests import writing
from tasks.perftests.models import Verdict

ticks = itertools.count(1)
real = writing.run_gates


def judge(*arguments: Any) -> Verdict:
    """The gates, with numbers that no two runs share."""
    verdict = real(*arguments)
    detail = f"{verdict.detail} (after {next(ticks) / 7} s)" if verdict.gate else ""
    return replace(verdict, detail=detail, base_duration_s=next(ticks) / 9)


def answer(messages: list[dict[str, Any]]) -> str:
    """The demo's answer; the first one about perf tests holds one good script and one that fails."""
    text = demo_answer(messages)
    if not messages[1]["content"].startswith("task: perf_test") or len(messages) > 2:
        return text
    good = json.loads(text)["tests"][0]
    bad = {**good, "name": "bad", "script": good["script"] + "\nexperiment = None\n"}
    return json.dumps({"tests": [good, bad]})


def main() -> None:
    """`sys.argv[1]`: a folder with config.yaml, whose store is beside it."""
    folder = Path(sys.argv[1])
    config, requests, answers = (str(folder / name) for name in ("config.yaml", "requests.jsonl", "answers.jsonl"))
    writing.run_gates = judge
    asked: set[str] = set()
    for _ in range(7):
        done = CliRunner().invoke(app, ["batch", "export", config, requests, "--until", "perftests"])
        assert done.exit_code == 0, done.output
        lines = [json.loads(line) for line in Path(requests).read_text().splitlines()]
        if not lines:
            break
        waiting = {row.stage for row in Store(folder / "store").rows(Funnel) if row.outcome == "waiting"}
        print("waiting:", *sorted(waiting))
        names = {line["custom_id"] for line in lines}
        assert not names & asked, "asked again, though it was answered"
        asked |= names
        texts = [{"custom_id": line["custom_id"], "text": answer(line["body"]["messages"])} for line in lines]
        Path(answers).write_text("".join(json.dumps(text) + "\n" for text in texts))
        imported = CliRunner().invoke(app, ["batch", "import", config, answers])
        assert imported.exit_code == 0, imported.output
        assert f"{len(lines)} answers imported, 0 lines not used, 0 requests still open" in imported.output
        for verdict in (folder / "store" / ".cache").rglob("verdicts/*/*.json"):
            verdict.unlink()  # the worst case: everything is measured again
    else:
        raise AssertionError("something is always open")
    calls = Store(folder / "store").rows(LlmCall)
    imported, used = ({row.request_key for row in calls if row.outcome.startswith(said)} for said in ("imported", "ok"))
    assert imported
    assert imported <= used, "an answer that was imported fits nothing that is asked"
    print("turns:", *sorted({name.split("-")[-2] for name in asked if name.startswith("perftests-")}))


if __name__ == "__main__":
    main()
