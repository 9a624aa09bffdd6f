"""Attention above thresholds against whole matrices, by hand and by transformers."""

import numpy as np
import pytest
import torch

from dnalm.errors import InputError
from dnalm.interpretation import attention_counts
from dnalm.interpretation.attention_counts import count_attention
from dnalm.interpretation.enrichment import Enrichment
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.export import export_config, is_gated
from dnalm.model.initialise import initialise
from dnalm.model.weights import to_published

THRESHOLDS, ROUNDING = (0.05, 0.01), 1e-6
LAYERS, HEADS, WIDTH, TOKENS = 3, 4, 32, 50


def make(generation, **changes):
    v1 = {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True, "token_dropout": 0.12}
    v2 = {"positions": "rotary", "feed_forward": "swiglu", "ffn_bias": False}
    own = v1 if generation == "v1" else v2 | {"token_dropout": None}
    sizes = {"layers": LAYERS, "heads": HEADS, "width": WIDTH, "ffn_width": 64}
    sizes |= {"vocabulary_size": 107, "pad_id": 1, "mask_id": 2, "max_tokens": 64}
    config = EncoderConfig(
        **own, **sizes, dropout=0.0, layer_norm_eps=1e-5, initialisation="normal", **changes
    )
    encoder = Encoder(config)
    initialise(encoder, seed=1)
    for block in encoder.blocks:  # so that weights are far from uniform
        block.attention.query.weight.data *= 40
    return encoder.eval()


def draw_tokens(rows=2, columns=TOKENS, pads=(0, 13)):
    tokens = torch.randint(4, 107, (rows, columns), generator=torch.Generator().manual_seed(0))
    tokens[:, 0] = 3
    for row, number in enumerate(pads):
        tokens[row, columns - number :] = 1
    return tokens


def whole_matrices(encoder, tokens):
    """Return attention [B, L, H, T, T] of the same weights by transformers' eager code."""
    from transformers import EsmConfig, EsmForMaskedLM

    from dnalm.huggingface import GatedEsmConfig, GatedEsmForMaskedLM

    gated = is_gated(encoder.config)
    kinds = (GatedEsmConfig, GatedEsmForMaskedLM) if gated else (EsmConfig, EsmForMaskedLM)
    reference = kinds[1](kinds[0](**export_config(encoder.config), attn_implementation="eager"))
    found = reference.load_state_dict(to_published(encoder.state_dict()), strict=False)
    assert not found.unexpected_keys
    with torch.inference_mode():
        output = reference.eval()(tokens, attention_mask=tokens != 1, output_attentions=True)
    return torch.stack(output.attentions, dim=1)


def count_whole(matrices, tokens, threshold):
    """Return (received, sent) int [B, L, H, T] of whole matrices, without <cls> and pads."""
    counted = tokens != 1
    counted[:, 0] = False
    pairs = counted[:, None, None, :, None] & counted[:, None, None, None, :]
    above = (matrices > threshold) & pairs
    return above.sum(-2), above.sum(-1)


@pytest.mark.parametrize("generation", ["v1", "v2"])
@pytest.mark.parametrize("block", [16, 64])
def test_counts_are_those_of_the_whole_matrices_of_transformers(generation, block, monkeypatch):
    monkeypatch.setattr(attention_counts, "QUERY_BLOCK", block)
    encoder, tokens = make(generation), draw_tokens()
    counts = count_attention(encoder, tokens, THRESHOLDS)
    matrices = whole_matrices(encoder, tokens)
    for place, threshold in enumerate(THRESHOLDS):
        # Of weights nearer to the threshold than rounding either is right.
        least = count_whole(matrices, tokens, threshold + ROUNDING)
        most = count_whole(matrices, tokens, threshold - ROUNDING)
        for found, low, high in zip((counts.received, counts.sent), least, most, strict=True):
            assert low.sum() > 100
            assert (high - low).sum() <= 3
            assert (low <= found[:, place]).all()
            assert (found[:, place] <= high).all()


def test_a_query_sends_at_most_so_many_weights_above_a_threshold_as_sum_to_one():
    encoder, tokens = make("v2"), draw_tokens(pads=(0, 0))
    counts = count_attention(encoder, tokens, (0.3, 0.01), padded=False)
    assert counts.sent[:, 0].max() <= 3
    assert counts.sent[:, 1].max() <= 99
    for direction in ("received", "sent"):
        assert getattr(counts, direction)[..., 0].sum() == 0
    assert torch.equal(counts.received.sum(-1), counts.sent.sum(-1))


def test_uniform_attention_is_above_nothing_and_its_share_is_undefined():
    encoder = make("v1")
    for block in encoder.blocks:
        block.attention.query.weight.data.zero_()
        block.attention.query.bias.data.zero_()
    counts = count_attention(encoder, draw_tokens(pads=(0, 0)), (0.03,))
    assert counts.received.sum() == 0
    enrichment = Enrichment(layers=LAYERS, heads=HEADS, shifts=10, seed=1)
    enrichment.add(counts.received[0, 0, ..., 1:].numpy(), np.arange(TOKENS - 1) < 9)
    assert np.isnan(enrichment.pooled()).all()
    assert np.isnan(enrichment.rank_among_shifts()).all()
    assert np.isnan(enrichment.test_shifts()[1]).all()
    assert enrichment.scored.sum() == 0


def test_heads_are_numbered_by_the_rows_of_their_projections():
    """Head 2 of layer 2 attends evenly once its rows of the query are zero; no other changes."""
    encoder, tokens = make("v2"), draw_tokens(pads=(0, 0))
    before = count_attention(encoder, tokens, (0.05,)).received[:, 0]
    rows = slice(2 * WIDTH // HEADS, 3 * WIDTH // HEADS)
    encoder.blocks[1].attention.query.weight.data[rows] = 0
    encoder.blocks[1].attention.query.bias.data[rows] = 0
    after = count_attention(encoder, tokens, (0.05,)).received[:, 0]
    changed = (before != after).any(-1).any(0)
    assert not changed[0].any()
    assert changed[1].tolist() == [False, False, True, False]
    assert after[:, 1, 2].sum() == 0


def test_the_encoder_is_left_as_it_was():
    encoder, tokens = make("v1"), draw_tokens()
    count_attention(encoder, tokens, (0.3,))
    for block in encoder.blocks:
        assert not block.attention.query._forward_hooks
        assert not block.attention.key._forward_hooks


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_a_threshold_that_is_no_weight_is_refused(threshold):
    with pytest.raises(InputError, match="no attention weight"):
        count_attention(make("v1"), draw_tokens(), (threshold,))
