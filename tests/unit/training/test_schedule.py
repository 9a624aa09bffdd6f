import math

import pytest

from dnalm.errors import InputError
from dnalm.training.schedule import ScheduleConfig, learning_rate

PAPER = ScheduleConfig(initial=5e-5, peak=1e-4, warmup_steps=16_000, decay="inverse_sqrt")


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (1, 5e-5 + 5e-5 / 16_000),
        (8_000, 7.5e-5),
        (16_000, 1e-4),
        (16_001, 1e-4 * math.sqrt(16_000 / 16_001)),
        (64_000, 5e-5),
        (1_600_000, 1e-5),
    ],
)
def test_the_rate_follows_the_closed_formula(step, expected):
    assert learning_rate(step, PAPER) == pytest.approx(expected, rel=1e-12)


def test_a_constant_rate_stays_at_its_peak():
    config = ScheduleConfig(initial=0.0, peak=1e-3, warmup_steps=10, decay="constant")
    assert [learning_rate(step, config) for step in (5, 10, 11, 10**6)] == [5e-4, 1e-3, 1e-3, 1e-3]


def test_an_unknown_decay_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"cosine.*inverse_sqrt"):
        ScheduleConfig(initial=0.0, peak=1.0, warmup_steps=1, decay="cosine")
