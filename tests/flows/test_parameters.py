"""What a form or Python gives a flow: a configuration is an object, a path, or a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import UserError
from flows.dataset import build_dataset
from flows.parameters import read_config

TEXT = "repository: {name: a/b, url: here}\nmining: {max_candidates: 3}\n"


def test_a_text_is_a_configuration_with_paths_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in (TEXT, '{"repository": {"name": "a/b", "url": "here"}, "mining": {"max_candidates": 3}}'):
        config = read_config(text, ["mining.max_candidates=4"])
        assert (config.repository.url, config.mining.max_candidates) == (str(tmp_path / "here"), 4)
    (tmp_path / "my.yaml").write_text(TEXT)
    assert read_config("my.yaml") == read_config(tmp_path / "my.yaml") == read_config(TEXT)


def test_a_mistake_in_a_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"configuration:2: mining\.max_candidate: unknown option"):
        read_config(TEXT.replace("candidates", "candidate"))
    with pytest.raises(UserError, match="settings"):
        read_config(read_config(TEXT), ["mining.max_candidates=4"])


def test_what_a_form_sends_is_validated() -> None:
    given = {"config": "configs/demo/demo.yaml", "store": None, "settings": ["mining.max_candidates=1"], "retry": None}
    assert build_dataset.validate_parameters(given)["retry"] == []
    assert build_dataset.validate_parameters({"config": read_config(TEXT)})["config"] == read_config(TEXT)
    with pytest.raises(Exception, match="until"):
        build_dataset.validate_parameters({**given, "until": "lunch"})
