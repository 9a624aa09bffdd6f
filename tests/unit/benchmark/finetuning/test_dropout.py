"""Dropout that depends on seed, fold and step alone."""

import pytest
import torch
from torch import nn

from dnalm.benchmark.finetuning.dropout import Noise, SeededDropout, seed_dropout

PROBABILITY = 0.3
WHOLE = slice(None)


def draw(folds: list[int], shapes: list[tuple[int, int]], *, step: int = 1, seed: int = 7):
    """Return two draws in a row of width 5 for folds of B rows."""
    noise = Noise(seed, folds)
    noise.begin(step, shapes, WHOLE)
    x = torch.ones(sum(rows for rows, _ in shapes), max(tokens for _, tokens in shapes), 5)
    return noise.draw(x, PROBABILITY), noise.draw(x, PROBABILITY)


def test_a_share_is_dropped_and_the_rest_makes_up_for_it():
    drawn, _ = draw([0], [(100, 200)])
    assert sorted(drawn.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert drawn.mean().item() == pytest.approx(1, abs=0.01)


def test_folds_steps_seeds_and_calls_are_drawn_apart():
    draws = [draw([0], [(4, 6)]), draw([1], [(4, 6)]), draw([0], [(4, 6)], step=2)]
    draws.append(draw([0], [(4, 6)], seed=8))
    flat = [one.flatten().tolist() for pair in draws for one in pair]
    assert len({tuple(one) for one in flat}) == 8
    # Not only different: their agreement is that of chance, 0.3 squared and 0.7 squared.
    first, second = draw([0], [(100, 200)])
    assert ((first > 0) == (second > 0)).float().mean().item() == pytest.approx(0.58, abs=0.02)


def test_a_fold_is_drawn_alike_beside_others_padded_and_in_parts():
    alone, again = draw([1], [(4, 6)])
    beside = draw([0, 1, 2], [(4, 9), (4, 6), (4, 3)])
    assert torch.equal(beside[0][4:8, :6], alone)
    assert torch.equal(beside[1][4:8, :6], again)
    noise = Noise(7, [0, 1])
    noise.begin(1, [(4, 9), (4, 6)], slice(1, 3))
    part = noise.draw(torch.ones(4, 4, 5), PROBABILITY)  # whose longest row has 4 tokens
    assert torch.equal(part[2:], alone[1:3, :4])


def test_every_dropout_of_a_module_is_replaced_and_rests_in_evaluation():
    module = nn.Sequential(nn.Dropout(PROBABILITY), nn.Linear(5, 5), nn.Dropout(0.0))
    noise = Noise(7, [0])
    seed_dropout(module, noise)
    assert isinstance(module[0], SeededDropout)
    assert isinstance(module[2], nn.Dropout)
    x = torch.randn(4, 6, 5)
    noise.begin(1, [(4, 6)], WHOLE)
    assert torch.equal(module[0](x), x * draw([0], [(4, 6)])[0])
    assert torch.equal(module.eval()[0](x), x)
