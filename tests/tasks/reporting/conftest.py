"""A store as a build and an evaluation would leave it: three instances, three models, three samples each."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from storage.ids import patch_id, perf_test_id, prediction_id
from storage.store import Store
from storage.tables import (
    Commit,
    Comparison,
    Funnel,
    Instance,
    Measurement,
    OptAtK,
    PerfTest,
    Prediction,
    Row,
    Score,
)

REPO = "acme/logkit"
START = datetime(2025, 6, 1, 12, tzinfo=UTC)
EVIL = "<script>alert('pwned')</script><img src=x onerror=alert(1)>"
CASES = (
    ("Split frames without copying", "logkit.frames.split", 0.0123, 3.4, 2),
    ("Cache the compiled patterns of mask", "logkit.mask", 0.00042, 1.31, 1),
    (f"Speed up {EVIL}", "logkit.top_words", 1.7, 17.5, 1),
)
MODELS = ("model-a", "model-b <b>bold</b>", "model-c")


def sha(number: int) -> str:
    return f"{number:040x}"


def script(number: int, test: int) -> str:
    return f"# perf test {number}.{test} {EVIL}\ndef setup(seed): ...\ndef experiment(state): ...\n"


def measure(
    rng: random.Random, test: str, arms: dict[str, float], rounds: int = 24, session: str = "s1"
) -> list[Measurement]:
    rows = []
    for number in range(rounds):
        for order, (arm, seconds) in enumerate(rng.sample(sorted(arms.items()), len(arms))):
            wall = int(seconds * 1e9 * rng.lognormvariate(0, 0.03) * (1.6 if rng.random() < 0.03 else 1))
            rows.append(
                Measurement(
                    session_id=f"{session}-{test}", test_id=test, arm=arm, process=number % 3, round=number, repo=REPO,
                    wall_ns=wall, cpu_ns=int(wall * 0.99), outside_ns=wall + 40_000, order=order, seed=number,
                    correct=not (arm.startswith("patch") and number == 5 and seconds < 1e-4), warmup=number < 3,
                    machine_id="m1", started_at=START + timedelta(seconds=number),
                )
            )  # fmt: skip
    return rows


def fill(store: Store) -> None:
    """Rows of every table that the page shows."""
    rng = random.Random(4711)
    rows: list[Row] = []
    for number in range(27):
        kept = number < 7
        reason = "keyword: faster" if kept else ["no keyword", "docs only", "max_files: 41", "bot: x"][number % 4]
        rows.append(
            Commit(
                repo=REPO, sha=sha(number), parent_sha=sha(number + 100), author_date=START, subject=f"change {number}",
                message="", kept=kept, reason=reason,
            )
        )  # fmt: skip
        rows.append(_funnel("mining", sha(number), "kept" if kept else "dropped", reason))
        if kept:
            rows.append(_funnel("apis", sha(number), "kept"))
            outcome = "failed" if number == 6 else "kept"
            rows.append(_funnel("environments", sha(number), outcome, f"SandboxError: {EVIL}" if number == 6 else ""))
        if number < 6:
            rows.append(_funnel("timing", sha(number), "kept" if number < 3 else "dropped", "ratio below 1.2: 1.02"))
    for number, (subject, api, seconds, speedup, tests) in enumerate(CASES):
        rows += _instance(rng, number, subject, api, seconds, speedup, tests)
    slow = perf_test_id(REPO, sha(4), "x", "isobench")
    rows.append(_perf_test(slow, sha(4), "logkit.parse", "x"))
    rows.append(_comparison(slow, "human", 1.02, "no", reason="1.02 is below 1.2"))
    rows += [
        OptAtK(
            run_id="demo", model=model, k=k, opt=min(1.0, share * (1 + 0.35 * (k - 1))),
            ci_low=max(0.0, share - 0.3), ci_high=min(1.0, share * (1 + 0.35 * (k - 1)) + 0.25),
            opt_if_inconclusive_no=share, opt_if_inconclusive_yes=min(1.0, share + 0.33), n_instances=3, n_samples=3,
        )
        for model, share in zip(MODELS, (0.55, 0.2, 0.0), strict=True)
        for k in (1, 2, 3)
    ]  # fmt: skip
    store.append(rows)


def _instance(
    rng: random.Random, number: int, subject: str, api: str, seconds: float, speedup: float, tests: int
) -> list[Row]:
    instance_id = f"acme__logkit-{sha(number)[:7]}-{number}"
    rows: list[Row] = [
        Instance(
            instance_id=instance_id, repo=REPO, repo_url="/tmp/logkit", created_at=START, base_commit=sha(number + 100),
            head_commit=sha(number), patch=f"--- a\n+++ b\n{EVIL}", api=api,
            efficiency_test=[script(number, test) for test in range(tests)], human_performance=speedup,
            human_ci_low=speedup * 0.94, human_ci_high=speedup * 1.07, gt_commit_message=f"{subject}\n\nbody",
        )
    ]  # fmt: skip
    arms = {"base": seconds, "human": seconds / speedup}
    for model in MODELS:
        for sample in range(3):
            share = {"model-a": 1.01, "model-c": 1 / speedup}.get(model, 0.4 + 0.25 * sample)
            patch = f"{model} {sample % 2} {number}"
            prediction = prediction_id(instance_id, model, "", sample, patch)
            arms[f"patch:{patch_id(patch)}"] = seconds / speedup / share
            broken = model == "model-c" and sample == 2
            rows.append(
                Prediction(
                    prediction_id=prediction, instance_id=instance_id, repo=REPO, model=model, sample=sample,
                    model_patch=patch,
                )
            )  # fmt: skip
            rows.append(
                Score(
                    prediction_id=prediction, run_id="demo", instance_id=instance_id, repo=REPO, model=model,
                    sample=sample, status="incorrect" if broken else "ok", reason=f"round 3: {EVIL}" if broken else "",
                    correct=not broken, speedup_base=None, speedup_human=None if broken else share,
                    ci_low=None if broken else share * 0.95, ci_high=None if broken else share * 1.04,
                    opt_base="no", opt_human="yes" if share > 1 else ("inconclusive" if share > 0.85 else "no"),
                    flags=["clock"] if broken else [],
                )
            )  # fmt: skip
    for test in range(tests):
        test_id = perf_test_id(REPO, sha(number), script(number, test), "isobench")
        rows.append(_perf_test(test_id, sha(number), api, script(number, test)))
        rows += measure(rng, test_id, arms)
        rows.append(_comparison(test_id, "human", speedup, "yes"))
    return rows


def _funnel(stage: str, key: str, outcome: str, reason: str = "") -> Funnel:
    row = {"run_id": "build", "stage": stage, "key": key, "repo": REPO, "outcome": outcome, "reason": reason}
    return Funnel.model_validate(row)


def _perf_test(test_id: str, head: str, api: str, text: str) -> PerfTest:
    return PerfTest(test_id=test_id, repo=REPO, sha=head, api=api, script=text, source="seeded", status="accepted")


def _comparison(test_id: str, arm: str, ratio: float, verdict: str, reason: str = "") -> Comparison:
    return Comparison.model_validate(
        {
            "session_id": f"s1-{test_id}", "test_id": test_id, "arm": arm, "against": "base", "repo": REPO,
            "status": "ok", "reason": reason, "ratio": ratio, "ci_low": ratio * 0.97, "ci_high": ratio * 1.03,
            "n_rounds": 21, "question": 1.2, "verdict": verdict, "machine_id": "m1",
        }
    )  # fmt: skip


@pytest.fixture
def filled(tmp_path) -> Store:
    store = Store(tmp_path / "store", run="demo")
    fill(store)
    return store
