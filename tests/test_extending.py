"""The examples in docs/how-to/extend.md work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from storage.tables import Instance
from tasks.perftests.gates.context import GateFailed
from tasks.perftests.models import Proposal
from tasks.sandbox.models import Arm, Environment

PAGE = Path(__file__).parents[1] / "docs/how-to/extend.md"


def example(name: str) -> Any:
    """A function of the page."""
    blocks = (block.split("```")[0] for block in PAGE.read_text(encoding="utf-8").split("```python\n")[1:])
    names: dict[str, Any] = {}
    exec(next(block for block in blocks if f"def {name}(" in block), names)
    return names[name]


def test_a_source(tmp_path: Path) -> None:
    folder = tmp_path / "human" / "perf"
    folder.mkdir(parents=True)
    (folder / "split.py").write_text("def setup(seed): ...\n")
    (folder / "notes.txt").write_text("not a script\n")
    (tmp_path / "secret.py").write_text("KEY = 1\n")
    (folder / "out.py").symlink_to(tmp_path / "secret.py")
    environment = Environment(env_id="e", kind="local", python="python3")
    human = Arm(name="human", arm_id="h", checkout="human", environment=environment)
    offered = example("from_folder")(["kit.split"], tmp_path, human)
    assert offered == [Proposal("split", "kit.split", "def setup(seed): ...\n", source="seeded")]


def test_a_gate() -> None:
    gate = example("sleep")
    gate(Proposal("good", "a", "def experiment(state):\n    return sorted(state)\n", source="seeded"))
    with pytest.raises(GateFailed, match="line 3 calls sleep"):
        gate(Proposal("bad", "a", "import time\ndef experiment(state):\n    time.sleep(1)\n", source="seeded"))


def test_a_format() -> None:
    row = Instance(
        instance_id="a__b-1", repo="a/b", repo_url="https://example.org/b.git", created_at=None, base_commit="b" * 40,
        head_commit="c" * 40, patch="", efficiency_test=["x"], human_performance=2.5,
        gt_commit_message="Faster\n\nMuch",
    )  # fmt: skip
    assert example("titles")(row) == {"id": "a__b-1", "title": "Faster", "speedup": 2.5}
