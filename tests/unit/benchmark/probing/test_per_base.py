"""Baselines of bases: a constant gets the share, position weights find a motif, as scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.naive_bayes import CategoricalNB

from dnalm.benchmark.probing.per_base import position_weights, score_bases
from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.benchmark.scoring.bootstrap_parts import bootstrap_parts, open_predictions
from dnalm.benchmark.scoring.results import prediction_arrays, write_result

LETTERS = np.array(list("ATCG"))
MOTIF = "GGTAAG"  # the base behind its GG is of class 1
CONFIG = {"majority": {}, "position_weights": {"flanks": [0, 6]}}


def plant(rows=60, seed=1):
    """A task of 60 to 90 bases a row, two motifs in each, and unlabelled bases at an N."""
    random = np.random.default_rng(seed)
    sequences, labels = [], []
    for _ in range(rows):
        letters = random.choice(LETTERS, random.integers(60, 90))
        marks = np.zeros(len(letters), dtype=int)
        for start in (random.integers(5, 20), random.integers(30, 50)):
            letters[start : start + len(MOTIF)] = list(MOTIF)
            marks[start + 2] = 1
        letters[25], marks[25] = "N", -1
        sequences.append("".join(letters))
        labels.append(marks)
    split = ["train"] * (rows - 20) + ["test"] * 20
    folds = [[row % 3] if row < rows - 20 else [] for row in range(rows)]
    ids = [f"{where}.{row}" for row, where in enumerate(split)]
    return pd.DataFrame(
        {"id": ids, "sequence": sequences, "label": labels, "split": split, "folds": folds}
    )


def test_position_weights_find_the_motif_and_a_constant_gets_what_chance_gives():
    table = plant()
    found = score_bases("position_weights", CONFIG, table, "per_base")
    assert found.selected == {"feature": "flank=6"}
    assert found.scores["top_k_accuracy"].min() > 0.9
    constant = score_bases("majority", CONFIG, table, "per_base")
    test = table[table["split"] == "test"]
    share = np.mean(np.concatenate(test["label"].tolist()) == 1)
    assert constant.scores["average_precision_mean"].tolist() == pytest.approx([share] * 3, rel=0.1)
    assert constant.scores["top_k_accuracy"].max() < 0.2
    assert constant.scores["mcc"].tolist() == [0, 0, 0]
    validation = found.grid[1]["validation_top_k_accuracy_mean"]
    assert validation > constant.grid[0]["validation_top_k_accuracy_mean"]


def test_labels_of_test_rows_decide_nothing():
    table = plant()
    others = table.copy()
    others["label"] = [
        label[::-1].copy() if where == "test" else label
        for label, where in zip(table["label"], table["split"], strict=True)
    ]
    for name in CONFIG:
        one, other = (score_bases(name, CONFIG, task, "per_base") for task in (table, others))
        for first, second in zip(
            *(
                prediction_arrays(result.predictions.frame(), "per_base")[1:]
                for result in (one, other)
            ),
            strict=True,
        ):
            assert (first == second).all()


def test_position_weights_are_naive_bayes_over_the_letters_around_a_base():
    random = np.random.default_rng(4)
    flank, classes = 2, 3
    codes = random.integers(0, 4, (30, 40)).astype(np.uint8)
    labels = random.integers(0, classes, codes.shape).astype(np.int8)
    inner = slice(flank, -flank)  # where all letters are known
    labels[:, :flank] = labels[:, -flank:] = -1
    fit = position_weights({"flanks": [flank]})[f"flank={flank}"]
    found = fit(codes, labels, classes)(codes)[:, inner].reshape(-1, classes)
    windows = np.lib.stride_tricks.sliding_window_view(codes, 2 * flank + 1, axis=1)
    truth = labels[:, inner].ravel()
    prior = (np.bincount(truth) + 1) / (len(truth) + classes)
    peer = CategoricalNB(alpha=1, min_categories=4, class_prior=prior)
    peer.fit(windows.reshape(-1, 2 * flank + 1), truth)
    expected = peer.predict_proba(windows.reshape(-1, 2 * flank + 1))
    assert found == pytest.approx(expected, abs=1e-5)


def test_letters_outside_of_a_sequence_and_n_count_for_no_class():
    codes = np.array([[4, 0, 4, 4]], dtype=np.uint8)
    labels = np.array([[-1, 1, -1, -1]], dtype=np.int8)
    fit = position_weights({"flanks": [1]})["flank=1"]
    predict = fit(codes, labels, 2)
    # Nothing is known around the last base but the classes' shares, (0 + 1) and (1 + 1) of 3.
    assert predict(codes)[0, 3] == pytest.approx([1 / 3, 2 / 3], abs=1e-6)
    # The A itself: seen once in class 1 (2 of 5 with smoothing), never in class 0 (1 of 4).
    odds = (2 / 3 * 2 / 5) / (1 / 3 * 1 / 4)
    assert predict(codes)[0, 1, 1] == pytest.approx(odds / (1 + odds), abs=1e-6)


def test_results_are_written_and_read_as_those_of_fine_tuning(tmp_path):
    result = score_bases("position_weights", CONFIG, plant(), "per_base")
    paths = {
        name: tmp_path / f"task.{end}"
        for name, end in (("scores", "tsv"), ("summary", "json"), ("predictions", "parquet"))
    }
    identity = {"method": "baseline", "baseline": "position_weights", "task": "own.sites"}
    write_result(result, identity | {"kind": "per_base"}, **paths)
    found = open_predictions(paths["predictions"], "per_base")
    assert (len(found.folds), len(found.ids)) == (3, 20)
    config = BootstrapConfig(draws=20, seed=1, level=0.95)
    ((drawn,),) = bootstrap_parts([found], [np.ones(20, dtype=bool)], config)
    assert drawn.score == pytest.approx(result.scores["top_k_accuracy"].mean(), abs=1e-6)
