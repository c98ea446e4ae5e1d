"""How a session is laid out, by hand-computed cases."""

from tasks.timing.protocols.planning import Costs, batches, first_block, plan, rounds_per_set


def test_rounds_between_looks():
    assert plan(8, 27, 3) == [[3, 3, 2], [4], [6], [5, 4]]
    assert plan(8, 27, 3, per_set=20) == [[3, 3, 2], [4], [6], [9]]
    assert plan(3, 3, 1) == [[3]]
    assert sum(map(sum, plan(8, 60, 3))) == 60


def test_sets_that_are_dear_to_start_serve_more_rounds():
    assert rounds_per_set(Costs(start_s=0.2, round_s=0.1)) == 6
    assert rounds_per_set(Costs(start_s=4.0, round_s=0.25)) == 12
    assert rounds_per_set(Costs(start_s=4.0, round_s=0.001)) == 40


def test_the_first_block_fits_the_time():
    assert first_block(8, 3, 60, Costs(0.2, 0.1)) == (8, 3)
    assert first_block(500, 3, 2.0, Costs(0.2, 0.1)) == (18, 2)  # six rounds for every start, as rounds_per_set says
    assert first_block(500, 3, 20.0, Costs(0.2, 0.1)) == (196, 3)
    assert first_block(8, 3, 4.1, Costs(1.5, 1.0)) == (4, 1)
    assert first_block(8, 3, 0.0, Costs(1.0, 1.0)) == (3, 1)  # the session itself stops when time is up


def test_batches():
    setup = {"base": 0.001, "human": 0.001, "patch:a": 0.001, "patch:b": 0.001}
    slow = {"base": 0.5, "human": 0.02, "patch:a": 0.02, "patch:b": 0.5}
    assert batches(slow, setup) == (1, {})
    fast = {"base": 0.5, "human": 0.002, "patch:a": 0.007, "patch:b": 0.5}
    assert batches(fast, setup) == (1, {"human": 10, "patch:a": 10})
    assert batches({"base": 0.001, "human": 0.001}, setup) == (20, {})
    assert batches({"base": 0.001, "human": 0.0001}, setup) == (20, {"human": 100})  # no more than 0.1 s of setup
    assert batches({"base": 0.5, "patch:a": 0.002}, setup) == (1, {"patch:a": 10})
    assert batches({"base": 0.5}, setup) == (1, {})
