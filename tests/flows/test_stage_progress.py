"""What a watcher sees of a stage: items; of a stage with one item, its parts."""

from __future__ import annotations

from contextlib import contextmanager

from flows.commands import terminal
from flows.engine.progress import Meter, Parts, watched_by
from flows.engine.run import _shown_if_long
from tasks.progress import tell


def test_one_item_shows_its_parts_and_several_are_counted():
    said: list[tuple[int | None, int | None]] = []

    def advance(done: int | None = None, total: int | None = None) -> None:
        said.append((done, total))

    one = Parts(advance, Meter("mining", 1))
    one.tell(100, 250)
    one.tell(250, 250)
    one.step()
    assert said == [(100, 250), (250, 250)]
    said.clear()
    two = Parts(advance, Meter("apis", 2))
    two.step()
    two.step()
    assert said == [(None, None)] * 2


def test_the_log_counts_parts(capsys):
    with terminal.Bars().stage("mining", 1) as advance:
        advance(100, 5893)
        advance(5893, 5893)
    with terminal.Bars().stage("apis", 2) as advance:
        advance()
        advance()
    said = capsys.readouterr().err
    assert "mining: 5893 done in" in said
    assert "apis: 2 done in" in said


def test_a_door_is_shown_as_a_stage_once_it_tells():
    said: list[tuple[str, int | None, int | None]] = []

    class Watching:
        @contextmanager
        def stage(self, name, total):
            yield lambda done=None, total=None: said.append((name, done, total))

    with watched_by(Watching()):
        with _shown_if_long("clone"):
            pass
        assert said == []
        with _shown_if_long("clone"):
            tell(1, 3)
            tell(3, 3)
    assert said == [("clone", 1, 3), ("clone", 3, 3)]
