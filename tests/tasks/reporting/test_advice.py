"""Advice speaks of reasons that stages give."""

from __future__ import annotations

from pathlib import Path

from tasks.reporting.advice import ADVICE


def test_advice_is_given_for_reasons_that_mining_and_apis_give() -> None:
    places = {"mining": ["tasks/mining", "flows/stages/mining.py"], "apis": ["tasks/apis"]}
    for stage, names in places.items():
        files = [path for name in names for path in [Path(name), *Path(name).rglob("*.py")] if path.is_file()]
        source = "".join(path.read_text() for path in files)
        kinds = [kind for of, kind in ADVICE if of == stage]
        assert [kind for kind in kinds if f'"{kind}' not in source] == []
