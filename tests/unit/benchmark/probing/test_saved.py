"""Saved probes: they predict what their probe predicted, and what scikit-learn predicts."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from dnalm.benchmark.probing.linear.probe import ProbeConfig, probe
from dnalm.benchmark.probing.linear.scikit import fit_path
from dnalm.benchmark.probing.linear.solver import Rows, SolverConfig, solve
from dnalm.benchmark.probing.mlp.probe import mlp_probe
from dnalm.benchmark.probing.mlp.search_space import MlpConfig
from dnalm.benchmark.probing.saved import read_probe, save_probe
from dnalm.benchmark.scoring.results import prediction_arrays
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.errors import InputError
from dnalm.model.tensors import read_arrays, save_arrays

LINEAR = ProbeConfig(
    penalties=[1e-2, 1.0], max_iterations=2000, solver="lbfgs", device="cpu", metric=None
)
MLP = MlpConfig(
    layers=[1, 2],
    units=[4, 8],
    activations=["relu", "tanh"],
    learning_rate=[1e-2, 1e-1],
    sampler="tpe",
    points=2,
    trials=3,
    together=3,
    epochs=4,
    batch_size=20,
    prune_after=None,
    metric=None,
    device="cpu",
    precision="auto",
    seed=1,
)
PROBES = {
    "lbfgs": (probe, LINEAR, "probe"),
    "batched": (probe, replace(LINEAR, solver="batched"), "probe"),
    "mlp": (mlp_probe, MLP, "mlp"),
}
LABELS = {
    "binary": lambda signal: (signal[:, 0] > 0).astype(int).tolist(),
    "multiclass": lambda signal: np.digitize(signal[:, 0], [-0.5, 0.5]).tolist(),
    "multilabel": lambda signal: (signal[:, :3] > 0).astype(int).tolist(),
    "regression": lambda signal: (1000 + 5 * signal[:, :2]).tolist(),
}
CLASSES = {"binary": 2, "multiclass": 3, "multilabel": 3, "regression": 2}
EMBEDDINGS = {
    "pooling": "mean",
    "centre_bases": "24",
    "strands": "forward",
    "precision": "float32",
    "dtype": "float32",
}


def make_task(kind: str, rows: int = 90, test: int = 30, width: int = 7):
    """Return a table of three splits, and features of unlike scales that tell its labels."""
    random = np.random.default_rng(4)
    signal = random.normal(size=(rows + test, width))
    number = np.arange(rows + test)
    table = pd.DataFrame(
        {
            "id": [f"row.{i}" for i in number],
            "label": LABELS[kind](signal + random.normal(size=signal.shape) / 2),
            "split": np.where(number < rows, "train", "test"),
            "folds": [[i % 3] if i < rows else [] for i in number],
        }
    )
    features = (signal * 10.0 ** random.uniform(-2, 2, width) + 3).astype(np.float32)
    return table, {"layer.1": features[:, ::-1].copy() * 0, "layer.2": features}


@pytest.fixture
def save(tmp_path):
    """Return a function that probes a task, saves the probe, and returns result and file."""

    def make(kind: str, name: str):
        table, features = make_task(kind)
        fit, config, method = PROBES[name]
        result = fit(features, table, kind, config, threads=1)
        run, path = tmp_path / "run.json", tmp_path / "mine.x.safetensors"
        facts = {"model": "small", "k": 4, "vocabulary": "v2", "encoder": {"layers": 2}}
        run.write_text(json.dumps(facts))
        identity = {"method": method, "model": "small", "task": "mine.x", "weights_sha256": "ab"}
        task = {"kind": kind, "classes": CLASSES[kind], "names": None, "lengths": None}
        save_probe(result, identity, task, EMBEDDINGS, run, path)
        return table, features, result, path

    return make


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.parametrize("kind", LABELS)
def test_a_saved_probe_predicts_what_its_probe_predicted(save, kind, name):
    table, features, result, path = save(kind, name)
    saved, traits = read_probe(path), find_kind(kind)
    assert (saved.layer, list(saved.models)) == (2, [0, 1, 2])
    test = features["layer.2"][(table["split"] == "test").to_numpy()]
    for fold, model in saved.models.items():
        own = result.predictions[result.predictions["fold"] == fold]
        _, predicted, probabilities = prediction_arrays(own, kind)
        outputs = model.outputs(test)
        assert outputs.shape == (len(test), CLASSES[kind])
        np.testing.assert_allclose(traits.decide(outputs), predicted, rtol=1e-6)
        if probabilities is not None:
            np.testing.assert_allclose(outputs, probabilities, rtol=1e-5)
        one_by_one = np.concatenate([model.outputs(row[None]) for row in test])
        np.testing.assert_allclose(one_by_one, outputs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["lbfgs", "batched"])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_the_coefficients_are_those_of_a_logistic_regression(save, kind, name):
    table, features, result, path = save(kind, name)
    rows, labels = features["layer.2"].astype(np.float64), table["label"].to_numpy()
    train, test = ((table["split"] == part).to_numpy() for part in ("train", "test"))
    for fold, model in read_probe(path).models.items():
        # With nothing but the arrays of the file scikit-learn predicts the same.
        rebuilt = LogisticRegression()
        rebuilt.coef_, rebuilt.intercept_ = model.weights, model.intercepts
        rebuilt.classes_ = np.arange(CLASSES[kind])
        standardised = (rows[test] - model.mean) / model.scale
        outputs = model.outputs(features["layer.2"][test])
        np.testing.assert_allclose(outputs, rebuilt.predict_proba(standardised), atol=1e-12)
        # And fitted anew on the fold's training rows it finds the same optimum.
        kept = train & ~table["folds"].map(lambda folds, fold=fold: fold in folds).to_numpy()
        scaler = StandardScaler().fit(rows[kept])
        refitted = LogisticRegression(C=result.selected["penalty"], tol=1e-10, max_iter=9999)
        refitted.fit(scaler.transform(rows[kept]), labels[kept])
        wanted = refitted.predict_proba(scaler.transform(rows[test]))
        np.testing.assert_allclose(outputs, wanted, atol=1e-3)


@pytest.mark.parametrize("name", ["lbfgs", "batched"])
def test_a_saved_regression_is_that_of_ridge_in_the_units_of_its_targets(save, name):
    table, features, result, path = save("regression", name)
    rows, labels = features["layer.2"].astype(np.float64), np.stack(table["label"])
    train, test = ((table["split"] == part).to_numpy() for part in ("train", "test"))
    for fold, model in read_probe(path).models.items():
        kept = train & ~table["folds"].map(lambda folds, fold=fold: fold in folds).to_numpy()
        scaler, targets = StandardScaler().fit(rows[kept]), StandardScaler().fit(labels[kept])
        ridge = Ridge(alpha=1 / result.selected["penalty"])
        ridge.fit(scaler.transform(rows[kept]), targets.transform(labels[kept]))
        wanted = targets.inverse_transform(ridge.predict(scaler.transform(rows[test])))
        np.testing.assert_allclose(model.outputs(features["layer.2"][test]), wanted, rtol=1e-4)


def test_a_saved_network_is_that_of_plain_torch(save):
    table, features, _, path = save("regression", "mlp")
    arrays, metadata = read_arrays(path)
    activation = json.loads(metadata["selected"])["activation"]
    rows = features["layer.2"][(table["split"] == "test").to_numpy()]
    for fold, model in read_probe(path).models.items():
        own = {n.removeprefix(f"fold.{fold}."): a for n, a in arrays.items()}
        states = torch.from_numpy((rows - own["centre"] - own["mean"]) * own["inverse"]).float()
        layers = sum(name.startswith("weight.") for name in own)
        for i in range(layers):
            weight, bias = (torch.from_numpy(own[f"{part}.{i}"]) for part in ("weight", "bias"))
            states = torch.nn.functional.linear(states, weight, bias)
            states = getattr(torch, activation)(states) if i < layers - 1 else states
        wanted = states.double().numpy() * own["targets.deviation"] + own["targets.mean"]
        np.testing.assert_allclose(model.outputs(rows), wanted, rtol=1e-5)


@pytest.mark.parametrize("solver", ["lbfgs", "batched"])
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([0, 1] * 20, 3),  # the last of three classes is in no training row
        ([0, 2] * 20, 3),
        ([1] * 40, 2),
        ([1] * 40, 3),
        ([0, 1, 2, 3] * 10, 5),
    ],
)
def test_a_class_without_training_rows_has_probability_0_again(labels, classes, solver):
    random = np.random.default_rng(0)
    features = random.normal(size=(50, 3)).astype(np.float32)
    rows = Rows(
        features=features,
        labels=np.array(labels + [0] * 10),
        kind="multiclass" if classes > 2 else "binary",
        classes=classes,
    )
    parts = [(np.arange(40), np.arange(40, 50))]
    config = SolverConfig(solver=solver, max_iterations=500, device="cpu")
    ((outcome,),) = solve(rows, parts, [1.0], config, threads=1, keep_models=True)
    np.testing.assert_allclose(outcome.model.outputs(features[40:]), outcome.outputs, atol=1e-12)
    assert (outcome.outputs[:, np.setdiff1d(np.arange(classes), labels)] == 0).all()


def test_models_are_kept_only_where_they_are_asked_for():
    random = np.random.default_rng(0)
    rows = Rows(
        features=random.normal(size=(20, 3)),
        labels=np.arange(20) % 2,
        kind="binary",
        classes=2,
    )
    config = SolverConfig(solver="lbfgs", max_iterations=500, device="cpu")
    ((outcome,),) = solve(rows, [(np.arange(15), np.arange(15, 20))], [1.0], config, threads=1)
    assert outcome.model is None


def test_a_label_that_all_rows_have_is_certain():
    labels = np.stack([np.ones(20, dtype=int), np.arange(20) % 2], axis=1)
    features = np.random.default_rng(0).normal(size=(20, 3))
    (fit,) = fit_path(
        features,
        labels,
        features,
        [1.0],
        kind="multilabel",
        classes=2,
        solver="lbfgs",
        max_iterations=100,
    )
    assert fit.weights.shape == (2, 3)
    assert fit.intercepts[0] == np.inf
    assert (fit.outputs[:, 0] == 1).all()


def test_another_file_is_named(save, tmp_path):
    _, _, _, path = save("binary", "lbfgs")
    arrays, metadata = read_arrays(path)
    save_arrays(arrays, tmp_path / "bare.safetensors", {})
    with pytest.raises(InputError, match="is no file of a probe, or is damaged"):
        read_probe(tmp_path / "bare.safetensors")
    del arrays["fold.1.weights"]
    save_arrays(arrays, tmp_path / "less.safetensors", metadata)
    with pytest.raises(InputError, match=r"less\.safetensors is no file of a probe"):
        read_probe(tmp_path / "less.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="make it again with the target probes"):
        read_probe(tmp_path / "cut.safetensors")
