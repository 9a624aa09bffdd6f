"""Code on the cards of adapters pools tokens as fine-tuning does."""

import numpy as np
import pytest
import torch

from dnalm.benchmark.finetuning.peft_folders.base_models import FOREIGN_POOLS
from dnalm.model.embedders.spans import weigh_spans

SEQUENCES = ["ACGTACGTACGT", "ACGNNNNACG", "ACG"]
# As a tokenizer gives them: special tokens and pads have no letters.
OFFSETS = [
    [(0, 0), (0, 5), (5, 6), (6, 12), (0, 0)],
    [(0, 0), (0, 3), (3, 7), (7, 10), (0, 0)],
    [(0, 0), (0, 1), (1, 3), (0, 0), (0, 0)],
]


@pytest.mark.parametrize("centre", [1, 4, 100])
@pytest.mark.parametrize("pooling", sorted(FOREIGN_POOLS))
def test_weights_by_offsets_are_those_by_spans(pooling, centre):
    facts = {"centre_bases": centre}
    scope = {"torch": torch, "sequences": SEQUENCES, "offsets": OFFSETS, "facts": facts}
    exec(FOREIGN_POOLS[pooling], scope)
    for sequence, own, row in zip(SEQUENCES, OFFSETS, scope["weights"], strict=True):
        spans = np.array([pair if pair[0] < pair[1] else (-1, -1) for pair in own])
        expected = weigh_spans(spans, sequence, pooling, centre)
        if sequence == "ACGNNNNACG" and pooling == "centre" and centre < 5:
            assert row.isnan().all()  # nothing but N is there, of which the card knows no mean
            continue
        np.testing.assert_allclose(row, expected)
