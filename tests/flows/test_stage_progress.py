"""What a watcher sees of a stage: items; of a stage with one item, its parts."""

from __future__ import annotations

from flows.commands import terminal
from flows.runtime import _Meter, _Parts


def test_one_item_shows_its_parts_and_several_are_counted():
    said: list[tuple[int | None, int | None]] = []

    def advance(done: int | None = None, total: int | None = None) -> None:
        said.append((done, total))

    one = _Parts(advance, _Meter("mining", 1))
    one.tell(100, 250)
    one.tell(250, 250)
    one.step()
    assert said == [(100, 250), (250, 250)]
    said.clear()
    two = _Parts(advance, _Meter("apis", 2))
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
