"""Opt@K in a terminal: what is not known has no figure."""

from __future__ import annotations

from flows.commands.shares import opt_rows
from storage.tables import OptAtK


def row(k: int, opt: float | None, **more) -> OptAtK:
    values = {"ci_low": opt and 0.05, "ci_high": opt and 0.7, "n_instances": 4, "n_samples": 8, "n_checked": 4}
    return OptAtK.model_validate(
        {"run_id": "r", "model": "m", "k": k, "opt": opt, "opt_if_inconclusive_no": opt, "opt_checked": opt,
         "opt_if_inconclusive_yes": opt, **values, **more}
    )  # fmt: skip


def test_columns_that_say_nothing_are_left_out():
    (found,) = opt_rows([row(1, 0.25)])
    assert found == {
        "model": "m", "K": 1, "Opt@K": "25.0%", "interval": "5% to 70%", "if inconclusive were yes": "25.0%",
        "samples": 8,
    }  # fmt: skip


def test_what_is_not_known_and_what_is_missing_is_shown():
    missing = {"n_left_out": 4, "n_missing": 3, "n_instances": 0, "n_checked": 0}
    known, unknown = opt_rows([row(1, 0.25, n_checked=1), row(2, None, reason="needs 2 attempts", **missing)])
    assert (known["Opt@K"], known["without the weakly checked"], known["why not"]) == ("25.0%", "25.0%", None)
    assert (unknown["Opt@K"], unknown["interval"], unknown["if inconclusive were yes"]) == (None, None, None)
    assert (unknown["left out"], unknown["missing"], unknown["why not"]) == (4, 3, "needs 2 attempts")
    assert "not timed" not in unknown
