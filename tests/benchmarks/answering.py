"""Answers from a file, through the batch file: what isobench asks about a commit, and what somebody wrote to it.

A file of answers is YAML: `sha: {stage: [answer, answer to the first repair turn, ...]}`. Requests are found by stage,
commit and turn, so the file outlives changes of the prompts.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from storage.store import Store
from tasks.llm import Waiting
from tasks.llm.batch import export_requests, import_answers
from tasks.llm.folder import cache_folder
from tasks.llm.requests import Request, Requests

MAX_TURNS = 30

Answers = dict[str, dict[str, list[Any]]]


def read_answers(path: Path) -> Answers:
    """The answers of a file."""
    found: Answers = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def answer_waiting(store: Store, answers: Answers) -> tuple[int, list[Request]]:
    """Give the requests that wait their answers; returns how many got one, and those for which none is written.

    They go through a batch file and its import, like the answers of a provider.
    """
    waiting = {request.custom_id: request for request in Requests(cache_folder(store)).waiting()}
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "requests.jsonl", Path(folder) / "answers.jsonl"
        export_requests(store, asked, "openai")
        lines, open_ = [], []
        for line in asked.read_text(encoding="utf-8").splitlines():
            request = waiting[json.loads(line)["custom_id"]]
            written = answers.get(request.item, {}).get(request.stage, [])
            if request.turn <= len(written):
                lines.append(json.dumps({"custom_id": request.custom_id, "text": written[request.turn - 1]}) + "\n")
            else:
                open_.append(request)
        answered.write_text("".join(lines), encoding="utf-8")
        import_answers(store, answered)
    return len(lines), open_


def until_answered(step: Callable[[], None], store: Store, answers: Answers) -> list[Request]:
    """Repeat `step` and answer what it leaves open, until nothing new is answered; returns what stays open."""
    for _ in range(MAX_TURNS):
        Requests(cache_folder(store)).forget_open()
        with suppress(Waiting):
            step()
        given, open_ = answer_waiting(store, answers)
        if not given:
            return open_
    raise RuntimeError(f"still asking after {MAX_TURNS} turns")
