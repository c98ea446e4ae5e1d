"""How long 500 requests take whose answers are known: in a new process, from the first import to the last answer.

python -m tests.benchmarks.llm_cache
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from configs.models import LLMConfig
from storage.store import Store
from tasks.llm import Prompt, Waiting, ask
from tasks.llm.batch import export_requests, import_answers
from tasks.mining.classify import PerformanceVerdict

REQUESTS = 500
LLM = LLMConfig(model="openai/gpt-4o-mini", batch=True)


def ask_all(root: Path) -> int:
    """Ask every request; returns how many were answered from the cache."""
    store, answered = Store(root), 0
    for number in range(REQUESTS):
        prompt = Prompt(
            "classify", 1, "Judge.", f"Is change {number} about performance?\n" + "+ line\n" * 500, str(number)
        )
        try:
            answer = ask(LLM, prompt, PerformanceVerdict, store=store, repo="o/r", stage="mining", item=str(number))
            answered += answer.cached
        except Waiting:
            pass
    return answered


def main() -> None:
    """Prepare the answers through a batch file, then time a process that asks again."""
    if len(sys.argv) > 1:
        print(ask_all(Path(sys.argv[1])))
        return
    with tempfile.TemporaryDirectory() as folder:
        root, requests, answers = Path(folder) / "store", Path(folder) / "q.jsonl", Path(folder) / "a.jsonl"
        ask_all(root)
        export_requests(Store(root), requests, "openai")
        lines = [
            json.dumps(
                {"custom_id": json.loads(line)["custom_id"], "text": {"is_performance": True, "reason": "It is."}}
            )
            for line in requests.read_text().splitlines()
        ]
        answers.write_text("\n".join(lines))
        import_answers(Store(root), answers)
        started, used = time.perf_counter(), _children_cpu_s()
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.llm_cache", str(root)], capture_output=True, text=True, check=True
        )
        print(
            f"{done.stdout.strip()} of {REQUESTS} answers from the cache in {time.perf_counter() - started:.2f} s, "
            f"{_children_cpu_s() - used:.2f} s of them at work"
        )


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
