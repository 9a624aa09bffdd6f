"""The head whose targets are expectations over bins: worked numbers, training, what is saved."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr
from tests.unit.benchmark.finetuning.test_kinds import EMBED, METHOD, make_table, summary_of

from dnalm.benchmark.finetuning.classifier import Fold, FoldClassifiers, predict
from dnalm.benchmark.finetuning.result import write_finetuning
from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.finetuning.train import train_fold
from dnalm.benchmark.scoring.results import identify
from dnalm.benchmark.tasks.kinds import label_array
from dnalm.benchmark.tasks.summary import describe_outputs
from dnalm.errors import InputError
from dnalm.model.heads import BinExpectation, bin_values
from dnalm.model.loading import load_model
from dnalm.model.token_batches import TokenRows


@pytest.mark.parametrize(("edges", "expected"), [("centres", 2.1000), ("points", 2.0816)])
def test_the_expectation_over_50_bins_is_that_of_the_worked_example(edges, expected):
    values = bin_values(np.array([-2.0, -2.0]), np.array([8.0, 8.0]), 50, edges)
    if edges == "centres":
        np.testing.assert_allclose(values[0][[0, 1, -1]], [-1.9, -1.7, 7.9])
    else:
        np.testing.assert_allclose(values[0][[0, -1]], [-2, 8])
    head = BinExpectation(1, 2, 50)
    head.set_values(values)
    weights = torch.exp(-((torch.arange(50) - 20.0) ** 2) / 8)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(weights.log().repeat(2))
        found = head(torch.zeros(1, 1))
    assert found.shape == (1, 2)
    np.testing.assert_allclose(found.numpy(), expected, atol=5e-5)


@pytest.fixture
def finetuning(small_model: dict[str, str], tmp_path: Path) -> Finetuning:
    files = small_model | {"table": str(tmp_path / "task.parquet")}
    make_table("regression").to_parquet(files["table"])
    method = METHOD | {"head": "bins", "learning_rate": 3e-2}
    return Finetuning.of(files, summary_of("regression"), {}, method, EMBED)


def test_bins_learn_two_targets_of_unequal_units_and_stay_within_their_range(finetuning):
    fold = train_fold(finetuning, 0)
    table = pd.read_parquet(finetuning.table)
    test = label_array(table[table["split"] == "test"], "regression")
    seen = label_array(table[table["split"] == "train"], "regression")
    assert all(pearsonr(test[:, c], fold.outputs[:, c])[0] > 0.7 for c in range(2))
    assert (fold.outputs >= seen.min(axis=0)).all()
    assert (fold.outputs <= seen.max(axis=0)).all()


def test_a_saved_head_of_bins_predicts_as_it_did(finetuning, tmp_path):
    quick = replace(finetuning, config=replace(finetuning.config, steps=5, evaluate_every=5))
    fold: Fold = train_fold(quick, 0)
    summary = summary_of("regression")
    write_finetuning(
        [fold],
        quick,
        identify(method="x", model="m", task=summary, table_path=quick.table),
        describe_outputs(summary),
        trained=tmp_path / "adapters.safetensors",
        history=tmp_path / "history.tsv",
        partial=tmp_path / "partial",
        scores=tmp_path / "scores.tsv",
        summary=tmp_path / "summary.json",
        predictions=tmp_path / "predictions.parquet",
    )
    encoder, vocabulary = load_model(quick.run, quick.weights)
    classifiers = FoldClassifiers(encoder, vocabulary, tmp_path / "adapters.safetensors")
    classifier, scale = classifiers.load(0)
    table = pd.read_parquet(quick.table)
    names = table["id"].tolist()
    rows = TokenRows(table["sequence"].tolist(), names, vocabulary, encoder.config.max_tokens)
    test = np.flatnonzero(table["split"] == "test")
    again = predict(classifier, rows, test, 512, "regression", scale)
    np.testing.assert_allclose(again, fold.outputs, rtol=1e-6)


def test_bins_of_classes_are_refused(finetuning):
    with pytest.raises(InputError, match=r"The head is bins.*but the task is multilabel"):
        replace(finetuning, kind="multilabel").head()
