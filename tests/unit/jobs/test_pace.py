"""The pace of work, by a clock whose every tick the tests decide."""

import pytest

from dnalm.jobs.pace import MIN_SECONDS, measure_pace


class Machine:
    """Work of so many seconds a piece, of two units each; stalls are {call: seconds}."""

    def __init__(self, piece: float, stalls: dict[int, float]) -> None:
        self.now, self.sizes = 0.0, []
        self.piece, self.stalls = piece, stalls

    def work(self, size: int) -> int:
        self.now += size * self.piece + self.stalls.get(len(self.sizes), 0.0)
        self.sizes.append(size)
        return 2 * size

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize("piece", [1e-4, 1e-3, 0.02, 3.0])
def test_a_moment_in_which_a_machine_did_something_else_does_not_decide(piece):
    # Libraries are loaded in the first call; in the second another job had the processor.
    machine = Machine(piece, {0: 5.0, 1: 0.4 * (8 * piece < MIN_SECONDS / 5)})
    pace = measure_pace(machine.work, 8, 10_000, machine.clock)
    assert pace == pytest.approx(piece / 2)
    assert machine.sizes[-1] * piece >= MIN_SECONDS
    assert sum(machine.sizes[1:]) * piece < max(9 * piece, 6 * MIN_SECONDS)


@pytest.mark.parametrize("most", [1, 5, 8, 100])
def test_no_more_is_done_than_there_is(most):
    machine = Machine(1e-6, {})
    assert measure_pace(machine.work, 8, most, machine.clock) == pytest.approx(5e-7)
    assert max(machine.sizes) == most


def test_what_has_no_units_has_no_pace():
    assert measure_pace(lambda size: 0, 8, 20) == 0
