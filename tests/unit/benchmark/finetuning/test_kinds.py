"""Fine-tuning of multilabel, regression and per-base tasks: learned, written, joined, scored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score, root_mean_squared_error

from dnalm.benchmark.finetuning.classifier import Fold, FoldClassifiers, build_classifier, predict
from dnalm.benchmark.finetuning.result import write_finetuning
from dnalm.benchmark.finetuning.settings import Finetuning, Operation
from dnalm.benchmark.finetuning.train import finetune, train_fold
from dnalm.benchmark.scoring.metrics import headline
from dnalm.benchmark.scoring.results import identify, prediction_arrays
from dnalm.benchmark.tasks.kinds import find_kind, label_array
from dnalm.benchmark.tasks.summary import describe_outputs
from dnalm.model.loading import load_model
from dnalm.model.token_batches import TokenRows

METHOD = {
    "adapter": "ia3",
    "options": {},
    "steps": 150,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "schedule": "constant",
    "warmup_steps": 0,
    "evaluate_every": 50,
    "keep": "best",
    "patience": None,
    "head": "linear",
    "bins": {"number": 50, "edges": "centres"},
    "class_weights": "none",
    "precision": "float32",
    "optimizer": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "gradient_clip": None,
    "save": "trained",
    "seed": 42,
}
OPERATION = Operation(
    folds_together="auto", micro_batch=None, checkpoint_minutes=None, cpu_hours_limit=None, gpus=1
)
EMBED = {
    "layers": "all",
    "pooling": "mean",
    "centre_bases": 6,
    "too_long": "refuse",
    "batch_tokens": 512,
}
CLASSES = {"multilabel": 3, "regression": 2, "per_base": 2}
TRAIN, TEST = 90, 50


def label_of(sequence: str, kind: str) -> list:
    """Plant what a sequence's bases say about it."""
    share = {base: sequence.count(base) / len(sequence) for base in "ACGT"}
    if kind == "regression":  # of unequal means and spreads
        return [1000 + 50 * (share["C"] + share["G"]), share["A"]]
    if kind == "multilabel":  # the third is in no row
        return [int(share["C"] + share["G"] > 0.5), int(share["A"] + share["G"] > 0.5), 0]
    return [-1 if base == "N" else int(base == "G") for base in sequence]


def make_table(kind: str) -> pd.DataFrame:
    """Random DNA of unequal lengths and composition, some with an N."""
    random = np.random.default_rng(5)
    sequences = []
    for row in range(TRAIN + TEST):
        shares = random.dirichlet([2, 2, 2, 2])
        letters = random.choice(list("ACGT"), random.integers(30, 50), p=shares)
        sequences.append("".join(letters) + "N" * (row % 2))
    return pd.DataFrame(
        {
            "id": [f"row.{i}" for i in range(TRAIN + TEST)],
            "sequence": sequences,
            "label": [label_of(sequence, kind) for sequence in sequences],
            "split": ["train"] * TRAIN + ["test"] * TEST,
            "provenance": "planted",
            "folds": [[i % 3] if i < TRAIN else [] for i in range(TRAIN + TEST)],
        }
    )


def summary_of(kind: str) -> dict:
    return {
        "name": "mine.x",
        "kind": kind,
        "classes": CLASSES[kind],
        "rows": {"train": TRAIN, "test": TEST},
    }


@pytest.fixture(params=list(CLASSES))
def finetuning(small_model: dict[str, str], tmp_path: Path, request) -> Finetuning:
    files = small_model | {"table": str(tmp_path / "task.parquet")}
    make_table(request.param).to_parquet(files["table"])
    return Finetuning.of(files, summary_of(request.param), {}, METHOD, EMBED)


def test_every_kind_learns_what_was_planted(finetuning):
    fold = train_fold(finetuning, 0)
    table = pd.read_parquet(finetuning.table)
    truth = label_array(table[table["split"] == "test"], finetuning.kind)
    assert fold.history[-1]["train_loss"] < 0.9 * fold.history[0]["train_loss"]
    if finetuning.kind == "regression":
        assert all(pearsonr(truth[:, c], fold.outputs[:, c])[0] > 0.7 for c in range(2))
        # In the units of each target: better than its mean.
        errors = root_mean_squared_error(truth, fold.outputs, multioutput="raw_values")
        assert (errors < 0.8 * truth.std(axis=0)).all()
    elif finetuning.kind == "multilabel":
        # 50 rows: by chance 0.5 ± 0.08, and initial weights of other versions of torch reach 0.79.
        assert min(roc_auc_score(truth[:, c], fold.outputs[:, c]) for c in (0, 1)) > 0.7
        assert fold.outputs[:, 2].max() < 0.5
    else:
        known = truth >= 0
        assert fold.outputs.shape == (*truth.shape, 2)
        assert roc_auc_score(truth[known], fold.outputs[..., 1][known]) > 0.9
        sums = fold.outputs.sum(axis=-1)
        lengths = table.loc[table["split"] == "test", "sequence"].str.len().to_numpy()
        real = np.arange(sums.shape[1]) < lengths[:, None]
        np.testing.assert_allclose(sums[real], 1, atol=1e-6)


@pytest.mark.parametrize("finetuning", ["regression"], indirect=True)
def test_targets_far_from_0_are_predicted_as_finely_as_those_around_it(finetuning):
    short = replace(finetuning, config=replace(finetuning.config, steps=20))
    near = train_fold(short, 0).outputs
    table, offset = pd.read_parquet(short.table), 1e6  # where float32 goes in steps of 1/16
    table["label"] = [np.array(cell) + offset for cell in table["label"]]
    table.to_parquet(short.table)
    far = train_fold(short, 0)
    assert far.outputs.dtype == np.float64
    np.testing.assert_allclose(far.outputs - offset, near, atol=1e-3 * near[:, 1].std())


def test_on_a_processor_no_batch_of_a_prediction_leaves_its_cache(finetuning):
    table = pd.read_parquet(finetuning.table)
    encoder, vocabulary = load_model(finetuning.run, finetuning.weights)
    classifier = build_classifier(encoder, vocabulary, finetuning.head())
    rows = TokenRows(table["sequence"].tolist(), table["id"].tolist(), vocabulary, 64)
    every, kind, sizes = np.arange(len(rows)), finetuning.kind, []
    classifier.register_forward_hook(lambda _, given, __: sizes.append(given[0].numel()))
    together = predict(classifier, rows, every, 1 << 20, kind, None)
    assert len(sizes) > 1
    assert max(sizes) <= 2048
    alone = predict(classifier, rows, every, 1, kind, None)
    assert len(sizes) > len(rows)
    bases = table["sequence"].str.len().to_numpy()
    for row, end in enumerate(bases if kind == "per_base" else [None] * len(rows)):
        np.testing.assert_allclose(together[row, :end], alone[row, :end], atol=1e-5)


def test_the_evaluation_with_the_best_first_metric_is_kept(finetuning):
    short = replace(finetuning, config=replace(finetuning.config, steps=40, evaluate_every=4))
    fold = train_fold(short, 1)
    values = [row[f"validation_{headline(short.kind)}"] for row in fold.history]
    assert fold.step == fold.history[int(np.argmax(values))]["step"]


def test_a_fold_of_every_kind_reads_back_as_it_was_saved(finetuning, tmp_path):
    fold = train_fold(replace(finetuning, config=replace(finetuning.config, steps=2)), 2)
    fold.save(tmp_path / "fold.safetensors")
    found = Fold.load(tmp_path / "fold.safetensors")
    assert found.outputs.dtype == fold.outputs.dtype
    assert found.outputs[:].tolist() == fold.outputs[:].tolist()
    assert all(torch.equal(found.tensors[name], fold.tensors[name]) for name in fold.tensors)


def test_results_of_every_kind_are_scored_and_their_adapters_predict_again(finetuning, tmp_path):
    finetuning = replace(finetuning, config=replace(finetuning.config, steps=30, evaluate_every=30))
    kind, task = finetuning.kind, summary_of(finetuning.kind)
    identity = identify(
        method="ia3", task=task, table_path=finetuning.table, model="small", weights_sha256="ab"
    )
    folds = finetune(finetuning, operation=OPERATION, partial=tmp_path / "p", threads=1)
    roles = ("trained", "history", "scores", "summary", "predictions")
    paths = {role: tmp_path / f"{role}.safetensors" for role in roles}
    write_finetuning(
        folds, finetuning, identity, describe_outputs(task), partial=tmp_path / "p", **paths
    )
    assert not (tmp_path / "p").exists()
    scores = pd.read_csv(paths["scores"], sep="\t")
    assert scores.columns.tolist() == ["fold", *find_kind(kind).metrics]

    table = pd.read_parquet(finetuning.table)
    test = np.flatnonzero(table["split"] == "test")
    truth = label_array(table.iloc[test], kind)
    written = pd.read_parquet(paths["predictions"])
    probability = [f"probability.{c}" for c in range(CLASSES[kind])]
    columns = ["id", "fold", "label", "prediction"]
    columns += [] if kind == "regression" else probability
    assert written.columns.tolist() == columns
    for fold in folds:
        encoder, vocabulary = load_model(finetuning.run, finetuning.weights)
        classifier, scale = FoldClassifiers(encoder, vocabulary, paths["trained"]).load(fold.fold)
        rows = TokenRows(table["sequence"].tolist(), table["id"].tolist(), vocabulary, 64)
        again = predict(classifier, rows, test, EMBED["batch_tokens"], kind, scale)
        np.testing.assert_allclose(again, fold.outputs[:], rtol=1e-5, atol=1e-6)
        labels, predictions, probabilities = prediction_arrays(
            written[written["fold"] == fold.fold], kind
        )
        assert labels.tolist() == truth.tolist()
        found = scores.set_index("fold").loc[fold.fold]
        if kind == "regression":
            assert probabilities is None
            np.testing.assert_array_equal(predictions, fold.outputs)
            expected = np.mean([pearsonr(truth[:, c], fold.outputs[:, c])[0] for c in range(2)])
            assert found["pearson_mean"] == pytest.approx(expected)
        elif kind == "multilabel":
            np.testing.assert_array_equal(probabilities, fold.outputs.astype(np.float32))
            expected = roc_auc_score(truth[:, :2], fold.outputs[:, :2])  # the third has one value
            assert found["auc_mean"] == pytest.approx(expected)
        else:
            known, outputs = truth >= 0, fold.outputs[:]
            np.testing.assert_array_equal(probabilities[known], outputs[known])
            assert (predictions[known] == outputs.argmax(axis=-1)[known]).all()
            expected = (predictions[known] == truth[known]).mean()
            assert found["accuracy"] == pytest.approx(expected)
