"""First weights: the distributions of the authors' code, and the seed."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.initialise import initialise


def test_haiku_draw_has_the_published_distributions(config: EncoderConfig) -> None:
    encoder = Encoder(replace(config, width=128, ffn_width=256, layers=1, max_tokens=200))
    initialise(encoder, seed=7)
    attention = encoder.blocks[0].attention
    limit = math.sqrt(6 / 128)
    for values in (attention.query.weight, attention.key.bias, attention.output.weight):
        assert_uniform(values, limit)
    feed_forward = encoder.blocks[0].feed_forward
    assert_cut_normal(feed_forward.input.weight, 1 / math.sqrt(128))
    assert_cut_normal(feed_forward.output.weight, 1 / math.sqrt(256))
    assert_cut_normal(encoder.head.decoder.weight, 1 / math.sqrt(128))
    assert_cut_normal(encoder.tokens.weight, 1.0)
    if config.positions == "learned":
        assert_cut_normal(encoder.positions.weight, 1.0)
        assert (feed_forward.input.bias == 0).all()
    assert (encoder.head.dense.bias == 0).all()
    assert_layer_norms_are_neutral(encoder)


def test_normal_draw_has_standard_deviation_002(config: EncoderConfig) -> None:
    encoder = Encoder(replace(config, width=128, initialisation="normal"))
    initialise(encoder, seed=7)
    for module in encoder.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
        if isinstance(module, nn.Linear) and module.bias is not None:
            assert (module.bias == 0).all()
    assert_layer_norms_are_neutral(encoder)


def test_the_seed_decides_the_draw(config: EncoderConfig) -> None:
    def draw(seed: int) -> list[Tensor]:
        encoder = Encoder(config)
        initialise(encoder, seed)
        return [parameter.detach() for parameter in encoder.parameters()]

    assert all(map(torch.equal, draw(5), draw(5)))
    assert not torch.equal(draw(5)[0], draw(6)[0])


def assert_uniform(values: Tensor, limit: float) -> None:
    assert values.abs().max() <= limit
    assert values.abs().max() > 0.9 * limit
    assert values.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.15)


def assert_cut_normal(values: Tensor, deviation: float) -> None:
    assert values.abs().max() <= 2 * deviation
    assert values.abs().max() > 1.9 * deviation
    # A normal cut at ±2 SD and not rescaled keeps 0.8796 of its SD.
    assert values.std().item() == pytest.approx(0.8796 * deviation, rel=0.03)


def assert_layer_norms_are_neutral(encoder: Encoder) -> None:
    norms = [module for module in encoder.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 2 * encoder.config.layers + 2
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)
