"""What is said of context: only what two intervals show, whatever the loss of frequencies."""

import json

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig, bootstrap_means
from dnalm.report.pages.context import LEARNED, NOT_SHOWN, context_findings, context_grid
from dnalm.report.tables.context import context_table

CONFIG = BootstrapConfig(draws=2000, seed=3, level=0.95)
WINDOWS, MASKS = 200, 12


def line(order, composition, *, unigram=8.0, tempered=8.0, own=7.5, seed=0, **others):
    """A last row: per token, what shuffling and another window cost; both vary over windows."""
    random = np.random.default_rng(seed)
    loss = own + random.normal(0, 0.5, WINDOWS)
    shuffled = loss + order + random.normal(0, 0.2, WINDOWS)
    foreign = shuffled + composition + random.normal(0, 0.2, WINDOWS)
    sums = {"own": loss, "shuffled": shuffled, "foreign": foreign}
    sums["tempered"] = np.full(WINDOWS, tempered)
    windows = {name: (MASKS * values).tolist() for name, values in sums.items()}
    windows["masked"] = [MASKS] * WINDOWS
    row = {"step": 100, "validation_loss_mask": own, "validation_accuracy_mask": 0.0003}
    row |= {"validation_unigram_loss": unigram, "validation_unigram_accuracy": 0.0058}
    return row | {"validation_context": {"exponents": [0.5, 0.5], "windows": windows}} | others


@pytest.fixture
def make_context(tmp_path):
    def make(**lines):
        paths = {}
        for model, row in lines.items():
            paths[model] = str(tmp_path / f"{model}.jsonl")
            earlier = {"step": 0, "validation_loss_mask": 9.0}
            text = "".join(json.dumps(one) + "\n" for one in (earlier, row))
            (tmp_path / f"{model}.jsonl").write_text(text)
        return context_table(paths, CONFIG).set_index("model", drop=False)

    return make


def say(context):
    """The sentences, from the columns that the table of models has of them."""
    return context_findings(context.rename(columns={"loss": "validation_loss"}))


def test_means_are_over_masks_and_intervals_those_of_the_mean_over_windows():
    random = np.random.default_rng(1)
    counts = random.integers(1, 30, 400)
    sums = (counts * random.normal(0.3, 0.1, 400))[:, None]
    means, lows, highs = bootstrap_means(sums, counts, CONFIG)
    assert means[0] == pytest.approx(sums.sum() / counts.sum())
    # The linearised variance of a ratio of sums (Cochran 1977, 2.11).
    error = np.sqrt(((sums[:, 0] - means[0] * counts) ** 2).sum()) / counts.sum()
    assert lows[0] == pytest.approx(means[0] - 1.96 * error, abs=0.2 * error)
    assert highs[0] == pytest.approx(means[0] + 1.96 * error, abs=0.2 * error)


def test_gains_by_order_and_composition_add_up_and_are_those_planted(make_context):
    row = make_context(one=line(0.3, 0.2)).loc["one"]
    assert row["order_gain"] == pytest.approx(0.3, abs=0.05)
    assert row["composition_gain"] == pytest.approx(0.2, abs=0.05)
    assert row["context_gain"] == pytest.approx(row["order_gain"] + row["composition_gain"])
    for name in ("order", "composition", "context"):
        assert row[f"{name}_low"] < row[f"{name}_gain"] < row[f"{name}_high"]
    assert row["shuffled_loss"] - row["order_gain"] == pytest.approx(7.5, abs=0.1)
    assert (row["step"], row["windows"], row["masked"]) == (100, WINDOWS, WINDOWS * MASKS)
    assert row["exponents"] == "0.5"


def test_only_a_gain_over_both_surroundings_is_called_learned(make_context):
    context = make_context(
        both=line(0.3, 0.2),
        composition=line(0.0, 0.4, seed=2),
        nothing=line(0.0, 0.0, seed=4),
        undone=line(0.3, -0.5),
    )
    said = say(context)
    assert [LEARNED in text for text in said] == [True, False, False, False]
    assert [NOT_SHOWN in text for text in said] == [False, True, True, True]
    assert ["composition of a window it makes use" in text for text in said] == [
        False,
        True,
        False,
        False,
    ]


def test_a_loss_below_that_of_frequencies_alone_is_no_proof_and_one_above_no_refutation(
    make_context,
):
    """As of a model validated on a contig of another composition than those it was trained on."""
    below = line(0.0, 0.0, own=8.249, unigram=8.294, tempered=8.203, seed=4)
    above = line(0.3, 0.2, own=8.4, unigram=8.294, tempered=8.203)
    said = say(make_context(below=below, above=above))
    assert NOT_SHOWN in said[0]
    assert "8.294 from k-mer frequencies alone and 8.203 from these to the power 0.5" in said[0]
    assert "which know no context and do better" in said[0]
    assert LEARNED in said[1]


def test_what_was_not_measured_is_said_to_be_missing(make_context, tmp_path):
    old = line(0.3, 0.2, own=7.0, unigram=8.0)
    del old["validation_context"]
    alone = line(0.3, 0.2)
    del alone["validation_context"]["windows"]["foreign"]
    context = make_context(old=old, alone=alone)
    for text in say(context):
        assert "What it took from context is missing" in text
        assert not any(claim in text for claim in (LEARNED, NOT_SHOWN))
    assert context_grid(context).rows[0].count("–") == 10
    assert pd.isna(context.loc["old", "order_gain"])
