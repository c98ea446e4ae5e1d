"""What a session remembers of its looks; recorded samples, nothing is timed."""

from datetime import UTC, datetime

from configs.models import TimingConfig
from tasks.timing.interim_looks import InterimLooks
from tasks.timing.models import ArmState, Question, Sample, SessionState

MS = 1_000_000
AGAINST_BASE = Question(arm="patch:a", against="base", threshold=1.2)


def sample(arm: str, turn: int, cpu_ms: int, hidden_ms: int) -> Sample:
    return Sample(
        arm=arm, process=turn // 4, round=turn, order=0, seed=turn, number=1, wall_ns=cpu_ms * MS, cpu_ns=cpu_ms * MS,
        wait_ns=0, outside_ns=(cpu_ms + hidden_ms) * MS + 50_000, setup_ns=10 * MS, correct=True, warmup=False,
        started_at=datetime(2024, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def state(rounds: int, lies: int) -> SessionState:
    """The patch is five times as fast, and in the first `lies` rounds it only says so."""
    found = SessionState(states={name: ArmState(name) for name in ("base", "patch:a")})
    for turn in range(rounds):
        found.samples += [sample("base", turn, 25, 0), sample("patch:a", turn, 5, 21 if turn < lies else 0)]
    return found


def test_a_flag_that_settled_a_question_stays():
    looks, found = InterimLooks([AGAINST_BASE], TimingConfig()), state(8, lies=8)
    assert looks.open_arms(found, 0.95) == set()
    found.samples += state(40, lies=0).samples[16:]
    assert looks.answer(found, AGAINST_BASE)[1] == "no"
    assert looks.flags(found, "patch:a") == ["late_answers"]
    assert InterimLooks([AGAINST_BASE], TimingConfig()).flags(found, "patch:a") == []  # by all rounds alone it is clear


def test_a_session_that_begins_anew_is_judged_anew():
    looks = InterimLooks([AGAINST_BASE], TimingConfig())
    assert looks.open_arms(state(8, lies=8), 0.95) == set()
    anew = state(1, lies=0)  # one round says nothing
    assert looks.open_arms(anew, 0.95) == {"patch:a"}
    assert looks.flags(anew, "patch:a") == []
