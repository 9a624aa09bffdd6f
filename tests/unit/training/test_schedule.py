import math

import pytest
import torch
import transformers

from dnalm.errors import InputError
from dnalm.training.schedule import ScheduleConfig, learning_rate

PAPER = ScheduleConfig(initial=5e-5, peak=1e-4, warmup_steps=16_000, decay="inverse_sqrt")


def make_schedule(decay: str, **changed: float) -> ScheduleConfig:
    return ScheduleConfig(
        **{"initial": 0.0, "peak": 1e-3, "warmup_steps": 10, "decay": decay} | changed
    )


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
    assert learning_rate(step, PAPER, 2_000_000) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("linear", {10: 1e-3, 11: 9.9e-4, 60: 5e-4, 85: 2.5e-4, 109: 1e-5, 110: 0.0}),
        (
            "cosine",
            {10: 1e-3, 35: 5e-4 * (1 + math.sqrt(0.5)), 60: 5e-4, 85: 5e-4 * (1 - math.sqrt(0.5))}
            | {110: 0.0},
        ),
    ],
)
def test_a_decay_to_the_last_step_is_at_half_the_peak_half_way_and_at_0_at_the_end(decay, expected):
    found = {step: learning_rate(step, make_schedule(decay), 110) for step in expected}
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-18)


def test_a_constant_rate_stays_at_its_peak():
    config = make_schedule("constant")
    steps = (5, 10, 11, 10**6)
    assert [learning_rate(step, config, 10**6) for step in steps] == [5e-4, 1e-3, 1e-3, 1e-3]


@pytest.mark.parametrize(
    ("decay", "theirs"),
    [
        ("linear", "linear"),
        ("cosine", "cosine"),
        ("constant", "constant_with_warmup"),
        ("inverse_sqrt", "inverse_sqrt"),
    ],
)
def test_every_step_has_the_rate_of_the_schedules_that_others_use(decay, theirs):
    steps, warmup = 57, 10
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    peer = transformers.get_scheduler(theirs, adam, warmup, steps)
    rates = []
    for _ in range(steps):
        adam.step()
        peer.step()
        rates.append(peer.get_last_lr()[0])
    config = make_schedule(decay, warmup_steps=warmup)
    ours = [learning_rate(step, config, steps) for step in range(1, steps + 1)]
    assert ours == pytest.approx(rates, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_a_run_no_longer_than_its_warm_up_never_falls(decay):
    config = make_schedule(decay, initial=1e-4)
    assert [learning_rate(step, config, 10) for step in (5, 10)] == pytest.approx([5.5e-4, 1e-3])
    assert learning_rate(4, config, 4) == pytest.approx(4.6e-4)
    assert learning_rate(11, config, 11) == 0.0


@pytest.mark.parametrize("decay", ["inverse_sqrt", "constant"])
def test_only_a_decay_to_the_last_step_depends_on_how_many_there_are(decay):
    for step in (5, 10, 50):
        rates = {learning_rate(step, make_schedule(decay), steps) for steps in (50, 500)}
        assert len(rates) == 1
    assert learning_rate(50, make_schedule("linear"), 500) > learning_rate(
        50, make_schedule("linear"), 50
    )


def test_an_unknown_decay_is_named_with_the_known_ones():
    known = r"polynomial.*'inverse_sqrt', 'linear', 'cosine' or 'constant'"
    with pytest.raises(InputError, match=known):
        make_schedule("polynomial")
