"""The MLP probe against plain PyTorch, planted signals, and what a killed job leaves."""

import logging
import sys
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import matthews_corrcoef
from sklearn.preprocessing import StandardScaler

from dnalm.benchmark.probing.mlp.networks import Networks
from dnalm.benchmark.probing.mlp.probe import mlp_probe
from dnalm.benchmark.probing.mlp.rows import SplitRows
from dnalm.benchmark.probing.mlp.search import (
    Trial,
    make_networks,
    predict_seconds,
    search,
    train_epoch,
)
from dnalm.benchmark.probing.mlp.search_space import Hyperparameters, MlpConfig
from dnalm.benchmark.tasks.splits import Splits
from dnalm.errors import InputError
from dnalm.files import write_json

CONFIG = MlpConfig(
    layers=[1, 2],
    units=[8, 32],
    activations=["relu", "tanh"],
    learning_rate=[1e-3, 1e-1],
    sampler="tpe",
    points=2,
    trials=12,
    together=4,
    epochs=8,
    batch_size=50,
    prune_after=None,
    metric=None,
    device="cpu",
    precision="auto",
    seed=1,
)
HYPERPARAMETERS = {
    1: [
        Hyperparameters(units=(16,), activation="relu", learning_rate=1e-2),
        Hyperparameters(units=(9,), activation="tanh", learning_rate=3e-3),
        Hyperparameters(units=(5,), activation="relu", learning_rate=3e-2),
    ],
    2: [
        Hyperparameters(units=(16, 4), activation="relu", learning_rate=1e-2),
        Hyperparameters(units=(9, 12), activation="tanh", learning_rate=3e-3),
        Hyperparameters(units=(5, 16), activation="relu", learning_rate=3e-2),
    ],
}


def make_table(labels, test: int, splits: int) -> pd.DataFrame:
    """The last `test` rows are test rows; row i is validation in split i % splits."""
    rows, number = len(labels) - test, np.arange(len(labels))
    return pd.DataFrame(
        {
            "id": [f"row.{i}" for i in number],
            "label": list(labels),
            "split": np.where(number < rows, "train", "test"),
            "folds": [[i % splits] if i < rows else [] for i in number],
        }
    )


def make_checkerboard(rows: int, seed: int = 0):
    """The class is whether two features have the same sign, which no line can tell."""
    values = np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)
    return values * [1, 1, 10, 0.1, 1, 1] + 3, ((values[:, 0] > 0) == (values[:, 1] > 0)).astype(
        int
    )


def plain(
    networks: Networks, split: int, trial: int, hyperparameters: Hyperparameters
) -> torch.nn.Sequential:
    """Return the same network as PyTorch's own layers."""
    sizes = [networks.weights[0].shape[-1], *hyperparameters.units, networks.weights[-1].shape[2]]
    layers = []
    for weights, biases, (width, out) in zip(
        networks.weights, networks.biases, pairwise(sizes), strict=True
    ):
        linear = torch.nn.Linear(width, out)
        with torch.no_grad():
            linear.weight.copy_(weights[split, trial, :out, :width])
            linear.bias.copy_(biases[split, trial, :out, 0])
        layers += [
            linear,
            torch.nn.ReLU() if hyperparameters.activation == "relu" else torch.nn.Tanh(),
        ]
    return torch.nn.Sequential(*layers[:-1])


LOSSES = {
    "multiclass": torch.nn.CrossEntropyLoss(),
    "multilabel": torch.nn.BCEWithLogitsLoss(),
    "regression": torch.nn.MSELoss(),
}


@pytest.mark.parametrize("depth", HYPERPARAMETERS)
@pytest.mark.parametrize("kind", LOSSES)
def test_batched_networks_train_as_each_alone_does_in_plain_pytorch(kind, depth):
    settings = HYPERPARAMETERS[depth]
    generator = np.random.default_rng(2)
    features = (generator.normal(size=(130, 7)) * 10.0 ** np.arange(-3, 4)).astype(np.float32)
    labels = {
        "multiclass": np.arange(130) % 3,
        "multilabel": generator.integers(0, 2, size=(130, 3)),
        "regression": generator.normal(size=(130, 3)) * [1, 100, 0.1] + 50,
    }[kind]
    splits = Splits(make_table(labels, 10, 3), kind)
    rows = SplitRows(features, splits, kind, "cpu")
    networks = Networks(settings, [1, 2, 3], 3, 7, 3, "cpu")
    alone = {(s, t): plain(networks, s, t, one) for s in range(3) for t, one in enumerate(settings)}
    optimizers = {
        key: torch.optim.Adam(module.parameters(), lr=settings[key[1]].learning_rate)
        for key, module in alone.items()
    }
    config = replace(CONFIG, batch_size=33)
    for epoch in range(3):
        train_epoch(networks, rows, config, epoch)
        random = np.random.default_rng([config.seed, epoch])
        orders = [random.permutation(split.training) for split in splits]
        for (s, t), module in alone.items():
            training = splits[s].training
            scaler = StandardScaler().fit(features[training].astype(np.float64))
            values = torch.from_numpy(scaler.transform(features.astype(np.float64))).float()
            truth = torch.from_numpy(labels)
            if kind == "regression":
                targets = StandardScaler().fit(labels[training])
                truth = torch.from_numpy(targets.transform(labels)).float()
            elif kind == "multilabel":
                truth = truth.float()
            # 80 rows make three batches of at most 33, as even as can be.
            for part in np.split(orders[s], [27, 54]):
                optimizers[s, t].zero_grad()
                LOSSES[kind](module(values[part]), truth[part]).backward()
                optimizers[s, t].step()
    for (s, t), module in alone.items():
        scaler = StandardScaler().fit(features[splits[s].training].astype(np.float64))
        values = torch.from_numpy(scaler.transform(features.astype(np.float64))).float()
        with torch.no_grad():
            expected = module(values)
        found = networks.predict(rows.rows(rows.positions([np.arange(130)] * 3)))[s, t]
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=2e-4)


def test_splits_of_unlike_sizes_train_in_as_many_steps_and_none_on_nothing():
    # 81 training rows in split 0 and 80 in split 1: of batches of 4 the first has one row more.
    table = make_table(np.arange(171) % 2, 10, 2)
    table["folds"] = [[int(i >= 80)] if i < 161 else [] for i in range(171)]
    features = np.random.default_rng(3).normal(size=(171, 5)).astype(np.float32)
    splits = Splits(table, "binary")
    assert [len(split.training) for split in splits] == [81, 80]
    rows = SplitRows(features, splits, "binary", "cpu")
    batches = list(rows.batches(4, np.random.default_rng(0)))
    counts = np.stack([counted.sum(dim=1).numpy() for _, _, counted in batches])
    assert counts.sum(axis=0).tolist() == [81, 80]
    assert counts.min() >= 3
    assert counts.max() <= 4
    networks = Networks(HYPERPARAMETERS[2], [1, 2, 3], 2, 5, 2, "cpu")
    train_epoch(networks, rows, replace(CONFIG, batch_size=4), 1)
    assert all(torch.isfinite(array).all() for array in networks.parameters)


def test_every_row_of_an_epoch_comes_once_even_where_a_split_has_fewer_rows_than_batches():
    table = make_table(np.arange(30) % 2, 4, 2)
    table["folds"] = [[int(i >= 3)] if i < 26 else [] for i in range(30)]
    features = np.arange(30, dtype=np.float32)[:, None]
    splits = Splits(table, "binary")
    assert [len(split.training) for split in splits] == [23, 3]
    rows = SplitRows(features, splits, "binary", "cpu")
    seen = [[], []]
    for values, labels, counted in rows.batches(4, np.random.default_rng(0)):
        assert (counted.sum(dim=1) > 0).all()
        for split, scaler in enumerate(rows.splits):
            fitted = features[scaler.training]
            raw = values[split, :, 0].numpy() * fitted.std() + fitted.mean()
            own = raw[counted[split].numpy() > 0].round().astype(int)
            assert (labels[split][counted[split] > 0].numpy() == own % 2).all()
            seen[split] += own.tolist()
    for split, found in zip(splits, seen, strict=True):
        assert sorted(found) == split.training.tolist()


def test_no_step_makes_the_host_wait_for_a_number_of_the_device(host_reads):
    values, labels = make_checkerboard(120)
    rows = SplitRows(values, Splits(make_table(labels, 20, 2), "binary"), "binary", "cpu")
    trials = [
        Trial(number=number, hyperparameters=one, scores=[], spreads=[])
        for number, one in enumerate(HYPERPARAMETERS[2])  # of relu and of tanh
    ]
    networks = make_networks(trials, rows, CONFIG)
    with host_reads() as stacks:
        train_epoch(networks, rows, CONFIG, 1)
        networks.take([1])
        train_epoch(networks, rows, CONFIG, 2)
    assert not [stack[-6:] for stack in stacks]


def test_a_trial_does_not_depend_on_the_trials_beside_it():
    features, labels = make_checkerboard(200)
    rows = SplitRows(features, Splits(make_table(labels, 40, 2), "binary"), "binary", "cpu")
    trials = [
        Trial(number=i, hyperparameters=one, scores=[], spreads=[])
        for i, one in enumerate(HYPERPARAMETERS[2])
    ]
    together, alone = (make_networks(some, rows, CONFIG) for some in (trials, trials[1:2]))
    for epoch in range(3):
        train_epoch(together, rows, CONFIG, epoch)
        if epoch == 1:
            together.take([1, 2])
        train_epoch(alone, rows, CONFIG, epoch)
    positions = rows.positions([np.arange(50)] * 2)
    found, expected = (net.predict(rows.rows(positions))[:, 0] for net in (together, alone))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_signal_that_no_line_can_tell_is_found_in_the_layer_that_holds_it():
    values, labels = make_checkerboard(600)
    table = make_table(labels, 200, 4)
    noise = np.random.default_rng(9).normal(size=values.shape).astype(np.float32)
    features = {"layer.1": noise, "layer.2": values}
    result = mlp_probe(features, table, "binary", replace(CONFIG, epochs=15), threads=1)
    assert result.selected["feature"] == "layer.2"
    assert result.scores["mcc"].min() > 0.6
    assert result.scores["fold"].tolist() == [0, 1, 2, 3]
    first = result.predictions.query("fold == 0")
    mcc = matthews_corrcoef(first["label"], first["prediction"])
    assert result.scores["mcc"][0] == pytest.approx(mcc)
    assert len(result.grid) == 2 * CONFIG.trials
    assert [row["trial"] for row in result.grid] == 2 * list(range(CONFIG.trials))
    best = max(result.grid, key=lambda row: row["validation_mcc_mean"])
    assert all(best[key] == value for key, value in result.selected.items())


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_labels_of_several_and_numbers_are_learned_too(kind):
    generator = np.random.default_rng(4)
    values = generator.normal(size=(400, 5)).astype(np.float32)
    hidden = np.abs(values[:, :2]) - 0.7
    labels = (hidden > 0).astype(int) if kind == "multilabel" else 40 + 1000 * hidden
    config = replace(CONFIG, epochs=20, trials=6)
    result = mlp_probe({"layer.1": values}, make_table(labels, 100, 3), kind, config, threads=1)
    metric = {"multilabel": "auc_mean", "regression": "pearson_mean"}[kind]
    assert result.scores[metric].min() > 0.8
    if kind == "regression":
        assert result.scores["rmse_mean"].max() < 400
    assert len(result.predictions["prediction"].iloc[0]) == 2


def test_neither_the_choice_nor_the_networks_see_the_test_rows():
    values, labels = make_checkerboard(300)
    table = make_table(labels, 100, 3)
    config = replace(CONFIG, trials=4)
    before = mlp_probe({"layer.1": values}, table, "binary", config, threads=1)
    wild = values.copy()
    wild[250:] *= 1e4
    after = mlp_probe({"layer.1": wild}, table, "binary", config, threads=1)
    assert before.grid == after.grid
    kept = before.predictions["id"].isin([f"row.{i}" for i in range(200, 250)])
    pd.testing.assert_frame_equal(before.predictions[kept], after.predictions[kept])


def test_the_search_learns_from_its_trials_and_prunes_bad_ones():
    values, labels = make_checkerboard(300)
    rows = SplitRows(values, Splits(make_table(labels, 60, 2), "binary"), "binary", "cpu")
    config = replace(CONFIG, trials=40, learning_rate=[1e-6, 1e-1], prune_after=2)
    trials = search(rows, config, "mcc")
    assert trials == search(rows, config, "mcc")
    assert len(trials) == 40
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert all(2 <= len(trial.scores) < config.epochs for trial in pruned)
    rates = [trial.hyperparameters.learning_rate for trial in trials]
    # Steps of 1e-6 lead nowhere: once it has learned that, the sampler looks at the other end.
    assert np.median(rates[20:]) > 3 * np.median(rates[:10])
    for trial in trials:
        assert all(8 <= units <= 32 for units in trial.hyperparameters.units)


def test_a_grid_holds_every_combination_once():
    values, labels = make_checkerboard(120)
    rows = SplitRows(values, Splits(make_table(labels, 20, 2), "binary"), "binary", "cpu")
    trials = search(rows, replace(CONFIG, sampler="grid", epochs=1), "mcc")
    settings = {trial.hyperparameters for trial in trials}
    assert len(trials) == len(settings) == 2 * 2 * (2 + 4)
    assert {unit for one in settings for unit in one.units} == {8, 32}
    assert {one.learning_rate for one in settings} == {1e-3, 1e-1}


def test_a_grid_without_pruning_is_that_of_optuna_and_needs_none(monkeypatch):
    values, labels = make_checkerboard(120)
    rows = SplitRows(values, Splits(make_table(labels, 20, 2), "binary"), "binary", "cpu")
    grid = replace(CONFIG, sampler="grid", epochs=2, layers=[1], points=2)
    # Pruned from an epoch on that no trial reaches: Optuna hands out the points, and gives up none.
    by_optuna = search(rows, replace(grid, prune_after=10), "mcc")
    monkeypatch.setitem(sys.modules, "optuna", None)  # an import of it would fail
    assert search(rows, replace(grid, prune_after=None), "mcc") == by_optuna


def test_a_grid_of_few_whole_numbers_of_units_holds_each_once():
    values, labels = make_checkerboard(60)
    rows = SplitRows(values, Splits(make_table(labels, 20, 2), "binary"), "binary", "cpu")
    config = replace(
        CONFIG, sampler="grid", epochs=1, layers=[1], units=[2, 3], points=4, activations=["tanh"]
    )
    settings = [trial.hyperparameters for trial in search(rows, config, "mcc")]
    assert len(settings) == len(set(settings)) == 2 * 4
    assert {one.units for one in settings} == {(2,), (3,)}


def test_a_trial_that_diverges_is_reported_and_never_chosen():
    values, labels = make_checkerboard(200)
    config = replace(CONFIG, learning_rate=[1e-2, 1e30], trials=10, epochs=4)
    table = make_table(labels, 40, 2)
    result = mlp_probe({"layer.1": values}, table, "binary", config, threads=1)
    states = [row["state"] for row in result.grid]
    assert result.not_converged == states.count("diverged") > 0
    assert result.selected["learning_rate"] < 1e20


def test_what_a_trial_scored_before_it_diverged_counts_nothing():
    trial = Trial(
        number=0, hyperparameters=HYPERPARAMETERS[1][0], scores=[0.8, 0.9], spreads=[0.1, 0.2]
    )
    assert (trial.best, trial.score) == (2, (0.9, 0.2))
    trial.state = "diverged"
    assert trial.best == 0
    assert np.isnan(trial.score).all()


def test_where_every_trial_diverges_nothing_is_chosen():
    values, labels = make_checkerboard(200)
    table = make_table(labels, 40, 2)
    config = replace(CONFIG, layers=[1], activations=["relu"], learning_rate=[1e30, 1e31], trials=4)
    rows = SplitRows(values, Splits(table, "binary"), "binary", "cpu")
    assert {trial.state for trial in search(rows, config, "mcc")} == {"diverged"}
    with pytest.raises(InputError, match=r"none of the 4 trials.* mcc .*mlp\.learning_rate"):
        mlp_probe({"layer.1": values}, table, "binary", config, threads=1)


def test_a_split_whose_validation_rows_lack_a_class_counts_in_no_mean_and_is_reported(caplog):
    values, labels = make_checkerboard(300)
    table = make_table(labels, 100, 3)
    none = (table["split"] == "train") & table["folds"].map(lambda folds: 0 in folds)
    table.loc[none & (table["label"] == 1), "folds"] = pd.Series([[1]] * len(table))
    config = replace(CONFIG, trials=2, epochs=3, metric="auc")
    result = mlp_probe({"layer.1": values}, table, "binary", config, threads=1)
    assert all(0 < row["validation_auc_mean"] < 1 for row in result.grid)
    assert all(0 < row["validation_auc_sd"] < 1 for row in result.grid)
    assert [row["unscored"] for row in result.grid] == [1, 1]
    assert "in 1 splits the validation rows do not define auc" in caplog.text


def test_the_time_is_predicted_without_that_of_the_first_step_and_for_the_trials_there_are(
    monkeypatch,
):
    values, labels = make_checkerboard(100)
    rows = SplitRows(values, Splits(make_table(labels, 20, 2), "binary"), "binary", "cpu")
    step, calls, clock = Networks.step, [], SimpleNamespace(time=0.0)

    def slow(networks, *batch):
        clock.time += 2.0 if calls else 100.0
        calls.append(len(networks.rates[0]))
        step(networks, *batch)

    monkeypatch.setattr(Networks, "step", slow)
    monkeypatch.setattr(
        "dnalm.benchmark.probing.mlp.search.time", SimpleNamespace(monotonic=lambda: clock.time)
    )
    # One batch an epoch: three trials at once for five epochs are five steps.
    config = replace(CONFIG, batch_size=500, epochs=5, trials=3, together=8)
    assert predict_seconds(rows, config) == 10
    assert set(calls) == {3}
    # No more are timed than are trained at once: here one by one.
    calls.clear()
    monkeypatch.setattr("dnalm.benchmark.probing.mlp.search.MAX_WEIGHTS", 1)
    assert predict_seconds(rows, config) == 30
    assert set(calls) == {1}


def test_a_device_that_is_not_there_is_an_error_of_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    values, labels = make_checkerboard(60)
    table, config = make_table(labels, 20, 2), replace(CONFIG, device="cuda")
    with pytest.raises(InputError, match=r"mlp\.device is 'cuda', but torch sees no CUDA device"):
        mlp_probe({"layer.1": values}, table, "binary", config, threads=1)


def test_feature_sets_that_were_finished_before_are_not_searched_again(
    tmp_path, caplog, monkeypatch
):
    values, labels = make_checkerboard(200)
    table = make_table(labels, 40, 2)
    features = {"layer.1": values, "layer.2": values[:, 2:]}
    config = replace(CONFIG, trials=3, epochs=3)

    def run():
        return mlp_probe(features, table, "binary", config, threads=1, partial=tmp_path)

    caplog.set_level(logging.INFO)
    first = run()
    assert "2 feature sets of 2 splits on cpu in float32: about" in caplog.text
    assert run().grid == first.grid
    (folder,) = tmp_path.iterdir()
    (folder / "layer.1.json").unlink()
    planted = [
        {**row, "validation_mcc_mean": 0.99 if row["trial"] == 1 else 0.0}
        for row in ({k: v for k, v in row.items() if k != "feature"} for row in first.grid[3:])
    ]
    write_json(folder / "layer.2.json", planted)
    chosen = run()
    assert chosen.selected["feature"] == "layer.2"
    assert chosen.grid[:3] == first.grid[:3]
    monkeypatch.setattr("dnalm.benchmark.probing.mlp.probe.STARTUP_TRIALS", 2)
    assert run().grid == first.grid
