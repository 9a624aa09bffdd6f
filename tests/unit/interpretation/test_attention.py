"""Attention on planted elements, from windows of a genome to the table of heads."""

import numpy as np
import pandas as pd
import pytest
import torch

from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.interpretation.attention import (
    HEAD_COLUMNS,
    AttentionConfig,
    compare_heads,
    write_attention_counts,
)
from dnalm.interpretation.attention_counts import count_attention
from dnalm.interpretation.tokens import element_masks, tokens_of
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise

VOCABULARY = Vocabulary(3, "v2")
BASES, WINDOWS = 90, 12


class Store:
    """Base codes in memory, read as a genome's store is."""

    def __init__(self, codes):
        self.codes = codes

    def read_absolute(self, contig, start, end):
        return self.codes[start:end]


@pytest.fixture(scope="module")
def genome():
    return Store(np.random.default_rng(0).integers(0, 4, BASES * WINDOWS).astype(np.uint8))


@pytest.fixture(scope="module")
def windows():
    starts = np.arange(0, BASES * WINDOWS, BASES)
    return pd.DataFrame({"contig": "c", "start": starts, "end": starts + BASES, "element": ""})


@pytest.fixture(scope="module")
def encoder():
    config = EncoderConfig(
        layers=2,
        heads=2,
        width=16,
        ffn_width=32,
        positions="rotary",
        feed_forward="swiglu",
        ffn_bias=False,
        max_tokens=40,
        vocabulary_size=VOCABULARY.size,
        pad_id=VOCABULARY.pad,
        mask_id=VOCABULARY.mask,
        token_dropout=None,
        dropout=0.0,
        layer_norm_eps=1e-5,
        initialisation="normal",
    )
    encoder = Encoder(config)
    initialise(encoder, seed=1)
    for block in encoder.blocks:
        block.attention.query.weight.data *= 60
    return encoder.eval()


def test_the_file_holds_the_counts_of_every_window_without_cls(encoder, windows, genome, tmp_path):
    tokens = tokens_of(windows, genome, VOCABULARY, 40)
    assert tokens.shape == (WINDOWS, 31)
    write_attention_counts(encoder, tokens, (0.1, 0.02), tmp_path / "c.npy", torch.device("cpu"))
    stored = np.load(tmp_path / "c.npy")
    assert stored.shape == (WINDOWS, 2, 2, 2, 2, 30)
    assert stored.dtype == np.int16
    found = count_attention(encoder, torch.from_numpy(tokens[3:4]), (0.1, 0.02), padded=False)
    np.testing.assert_array_equal(stored[3, 0], found.received[0, ..., 1:])
    np.testing.assert_array_equal(stored[3, 1], found.sent[0, ..., 1:])
    with pytest.raises(InputError, match="takes at most 30"):
        tokens_of(windows, genome, VOCABULARY, 30)


def masks_of(windows, genome, spans):
    tokens = tokens_of(windows, genome, VOCABULARY, 40)
    elements = {name: {"c": own} for name, own in spans.items()} | {"absent": {}}
    return list(element_masks(windows, tokens, VOCABULARY, elements))


def place_elements(seed):
    """One element of 12 bases somewhere in each window."""
    starts = np.random.default_rng(seed).integers(0, BASES - 12, WINDOWS) // 3 * 3
    starts = starts + np.arange(WINDOWS) * BASES
    return starts, starts + 12


def test_a_head_that_looks_at_the_element_is_found_and_the_others_are_not(windows, genome):
    spans = place_elements(1)
    masks = masks_of(windows, genome, {"site": spans})
    assert all(own["site"].sum() == 4 for own in masks)
    random = np.random.default_rng(2)
    counts = random.integers(0, 3, (WINDOWS, 2, 1, 2, 2, 30)).astype(np.int16)
    for window, own in zip(counts, masks, strict=True):
        window[0, 0, 1, 0, own["site"]] += 6  # layer 2, head 0, as receiver
    config = AttentionConfig(thresholds=[0.3], shifts=199, seed=1)
    table = compare_heads(counts, masks, windows, config)
    assert tuple(table.columns) == HEAD_COLUMNS
    assert set(table["element"]) == {"site"}  # what never occurs is not tested
    found = table[table["significant_shift"]]
    assert found[["direction", "layer", "attention_head"]].to_numpy().tolist() == [
        ["receiver", 2, 0]
    ]
    row = found.iloc[0]
    assert row["log2_enrichment"] > 1
    assert row["significant_z"]
    assert row["p_shift"] < 1e-6
    assert row["rank_shift"] == 1 / 200
    assert row["natural_share"] == pytest.approx(4 / 30)
    assert row["windows"] == WINDOWS


def test_windows_laid_around_another_element_do_not_count(windows, genome):
    spans = place_elements(1)
    masks = masks_of(windows, genome, {"site": spans})
    laid = windows.assign(element=["site"] * 5 + ["other"] * (WINDOWS - 5))
    counts = np.ones((WINDOWS, 2, 1, 2, 2, 30), dtype=np.int16)
    config = AttentionConfig(thresholds=[0.3], shifts=0, seed=1)
    table = compare_heads(counts, masks, laid, config)
    assert set(table["windows"]) == {5}
    assert table["log2_enrichment"].abs().max() < 1e-12
