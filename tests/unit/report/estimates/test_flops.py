"""FLOPs by arithmetic are those that torch counts in the same passes, and that a hand counts."""

from math import log

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dnalm.benchmark.probing.mlp.search_space import MlpConfig
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.methods import ADAPTERS
from dnalm.model.adapters import add_adapter
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.report.estimates.flops import (
    convolution_flops,
    count_fits,
    count_passes,
    count_tokens,
    count_trained,
    forward_flops,
    grid_flops,
    perceptron_weights,
    search_flops,
)
from dnalm.report.estimates.task_work import make_network

TOKENS = 37
V1 = {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True}
V2 = {"positions": "rotary", "feed_forward": "swiglu", "ffn_bias": False}
OPTIONS = {"rank": 1, "alpha": 32, "dropout": 0.0, "targets": ["query", "value"]}


def make_config(generation, layers=6) -> EncoderConfig:
    return EncoderConfig(
        layers=layers, heads=2, width=64, ffn_width=192, max_tokens=64, vocabulary_size=75,
        pad_id=1, mask_id=2, token_dropout=None, dropout=0.0, layer_norm_eps=1e-5,
        initialisation="normal", **generation,
    )  # fmt: skip


def count_by_torch(module, layer, backward) -> float:
    tokens = torch.full((1, TOKENS), 9)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        states = module.compute_states(tokens, [layer], padded=False)[layer]
        if states.requires_grad:
            states.sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("generation", [V1, V2])
def test_a_forward_pass_is_counted_as_torch_counts_it(generation):
    config = make_config(generation)
    with torch.device("meta"):
        encoder = Encoder(config)
    with torch.device("meta"):
        counted = count_by_torch(encoder, 4, backward=False)
    assert forward_flops(config, 4, TOKENS) == counted


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda row: row.name)
@pytest.mark.parametrize("generation", [V1, V2])
def test_a_training_step_is_counted_as_torch_counts_it(generation, adapter):
    """To a tenth: the first block passes no gradient on, and attention has no weights."""
    config = make_config(generation, layers=12)
    options = {key: OPTIONS[key] for key in adapter.options}
    method = {"adapter": adapter.name, "options": options}
    with torch.device("meta"):
        encoder = Encoder(config)
        trained = add_adapter(encoder, adapter.name, options)
        counted = count_by_torch(encoder, config.layers, backward=True)
    expected = count_passes(config, method) * forward_flops(config, config.layers, TOKENS)
    assert expected == pytest.approx(counted, rel=0.1)
    assert count_trained(config, method) == sum(parameter.numel() for parameter in trained)


@pytest.mark.parametrize("name", ["bpnet", "bpnet_large", "cnn", "spliceai_80", "spliceai_10k"])
def test_a_convolutional_network_is_counted_as_torch_counts_it(configuration, name):
    network = make_network(name, configuration["baselines"][name]["network"]).eval()
    with torch.device("meta"):
        counted = count_by_torch(network, 1, backward=False)
    assert convolution_flops(network, TOKENS - 1) == counted


def test_a_block_of_the_smaller_model_by_hand(configuration):
    """1,280 wide: 4 · 1,280² + 2 · 1,280 · 5,120 = 19,660,800 weights; 51 tokens of 300 bases."""
    config = EncoderConfig(
        layers=24, heads=20, width=1280, ffn_width=5120, max_tokens=1000, vocabulary_size=4105,
        pad_id=1, mask_id=2, token_dropout=0.12, dropout=0.0, layer_norm_eps=1e-5,
        initialisation="haiku", **V1,
    )  # fmt: skip
    assert forward_flops(config, 24, 51) == 24 * 51 * (2 * 19_660_800 + 4 * 1280 * 51)
    assert forward_flops(config, 24, 51) == 48_449_249_280


@pytest.mark.parametrize("bases", [6, 300, 301, 305, 1000])
def test_tokens_are_those_that_the_tokenizer_makes(bases):
    sequence = "ACGGTA" * 200
    assert count_tokens(bases, 6) == len(encode(to_codes(sequence[:bases]), Vocabulary(6, "v1")))


def test_fits_and_their_products_by_hand():
    """Ten splits, seven penalties: 70 fits of two classes, 210 of three."""
    assert count_fits(10, [1.0, 0.1, 1.0], 2) == 20
    assert count_fits(10, range(7), 3) == 210
    batched = 2 * 1000 * 64**2 + 10 * 64**3 + 70 * 20 * 4 * 1000 * 64
    assert grid_flops(1000, 64, 70, batched=True) == batched
    one_by_one = 70 * 8 * (2 * 1000 * 64 * 66 + 64**3 / 3)
    assert grid_flops(1000, 64, 70, batched=False) == pytest.approx(one_by_one)


def test_perceptrons_by_hand(configuration):
    """Mean of 32 to 1,024 units, even in the logarithm: 992 / ln 32 = 286.2."""
    config = MlpConfig(**configuration["mlp"])
    units = 992 / log(32)
    weights = 1280 * units + 0.5 * units**2 + 2 * units
    assert perceptron_weights(1280, 2, config) == pytest.approx(weights)
    # 100 trials of 30 epochs: nine tenths of the rows of ten splits are trained on, the rest seen.
    total = 100 * 30 * weights * 12_000 * (6 * 9 + 2)
    assert search_flops(12_000, 1280, 2, 10, config) == pytest.approx(total)
