"""A cache key holds the code that decides a result: of its stage, and of what all stages read code with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import caching


@pytest.mark.parametrize(
    ("changed", "noticed"),
    [("mining/git/clone.py", True), ("code/diffs.py", True), ("progress.py", True), ("timing/rounds.py", False)],
)
def test_who_notices_a_change(changed: str, noticed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mining/git/clone.py", "code/diffs.py", "progress.py", "timing/rounds.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(caching, "_TASKS", tmp_path)
    before = caching.code_version.__wrapped__("mining")
    (tmp_path / changed).write_text("x = 2\n")
    assert (caching.code_version.__wrapped__("mining") != before) is noticed
