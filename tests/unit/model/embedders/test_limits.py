"""The middle of sequences by the tokens of other models: it fits, and no longer one does."""

import numpy as np
import pytest
import random_transformers
import toy_embedder

from dnalm.errors import InputError
from dnalm.genome.kmers import other_strand
from dnalm.model.embedders import contract
from dnalm.model.embedders.contract import count_tokens
from dnalm.model.embedders.tunable import ForeignLimits, ForeignTokens
from dnalm.model.token_batches import crop_long

MOST = 64


class Pairs:
    """Counts byte pairs, and how often and of how many sequences it is asked."""

    max_bases, max_tokens = None, MOST

    def __init__(self):
        texts = random_transformers.draw_texts()
        self.tokenizer, self.asked = random_transformers.train_tokenizer(texts, 300), []

    def count_tokens(self, sequences):
        self.asked.append(len(sequences))
        return [len(ids) for ids in self.tokenizer(list(sequences))["input_ids"]]


def draw(random, size, shares):
    return "".join(random.choice(list("ACGTN"), size, p=shares))


@pytest.fixture(scope="module")
def rows():
    """Random ones, and such as are dense in tokens at their ends, or in the middle, or not."""
    random = np.random.default_rng(4)
    shares = [0.5, 0.15, 0.15, 0.15, 0.05]
    plain = [draw(random, size, shares) for size in random.integers(1, 1500, 60)]
    gaps = [f"{'N' * 700}{own}{'N' * 300}" for own in plain[:20]]
    runs = [f"{own}{'A' * 900}{own}" for own in plain[:20]]
    return [*plain, *gaps, *runs]


def take(text, size):
    start = (len(text) - size) // 2
    return text[start : start + size]


@pytest.mark.parametrize("both", [False, True])
def test_the_middle_fits_on_the_strands_that_are_read_and_one_base_more_does_not(rows, both):
    embedder = Pairs()
    limits = ForeignLimits.of(ForeignTokens(embedder=embedder, name="pairs"), both)
    kept, cropped = crop_long(rows, limits, "centre")
    assert len(embedder.asked) < 40  # not once for each row
    assert max(embedder.asked) <= len(rows) * (1 + both)
    reads = [lambda text: text, other_strand] if both else [lambda text: text]

    def count(texts):
        return np.max([embedder.count_tokens([read(text) for text in texts]) for read in reads], 0)

    assert count(kept).max() <= MOST
    assert (cropped == (count(rows) > MOST)).all()
    assert 40 < cropped.sum() < len(rows)
    for row, own, changed in zip(rows, kept, cropped, strict=True):
        assert own == (take(row, len(own)) if changed else row)
        if changed:
            more = [take(row, size) for size in range(len(own) + 1, min(len(own) + 20, len(row)))]
            assert count(more).min() > MOST
    if both:  # which is why both are looked at
        forward = ForeignLimits.of(ForeignTokens(embedder=embedder, name="pairs"))
        assert count(crop_long(rows, forward, "centre")[0]).max() > MOST


def test_a_model_that_reads_no_base_is_a_sentence():
    embedder = Pairs()
    embedder.max_tokens = 2
    limits = ForeignLimits.of(ForeignTokens(embedder=embedder, name="pairs"))
    with pytest.raises(InputError, match="at most 2 tokens makes 3 of one base: choose"):
        crop_long(["ACGT" * 20], limits, "centre")


@pytest.mark.parametrize("most", [1, 7, 100])
def test_tokens_are_counted_in_portions_of_so_many_bases(monkeypatch, rows, most):
    embedder = toy_embedder.open_one_hot("cpu")
    asked = []
    embedder.count_tokens = lambda own: [asked.append(own) or len(text) for text in own]
    monkeypatch.setattr(contract, "MAX_COUNTED", most)
    found = count_tokens(embedder, rows)
    assert found.tolist() == [len(row) for row in rows]
    calls = {id(own): own for own in asked}.values()
    assert sum(map(len, calls)) == len(rows)
    assert all(len(own) == 1 or sum(map(len, own)) <= most for own in calls)
    assert count_tokens(embedder, []).shape == (0,)
