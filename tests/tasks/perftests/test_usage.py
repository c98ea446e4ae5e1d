from __future__ import annotations

from pathlib import Path

from tasks.perftests.sources.call_examples import find_usage


def test_calls_in_tests_and_docs_with_lines_around(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "kit").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("def merge(x): ...\nother(1)\n")
    (tmp_path / "tests" / "test_b.py").write_text(
        "import kit\n\n\ndef test():\n    runs = [1]\n    assert kit.merge(runs) == runs\n"
    )
    (tmp_path / "README.md").write_text("Call `merge(runs)`.\n")
    (tmp_path / "kit" / "core.py").write_text("merge(1)\n")
    (tmp_path / "tests" / "data.bin").write_bytes(b"merge(\xff")
    first, second = find_usage(["kit.merge"], tmp_path)
    assert first.splitlines()[0] == "tests/test_b.py:6"
    assert "    runs = [1]" in first
    assert second.splitlines() == ["README.md:1", "    Call `merge(runs)`."]


def test_an_api_that_nobody_calls_has_no_usage(tmp_path: Path) -> None:
    assert find_usage(["kit.merge"], tmp_path) == []
