"""The probe against planted signals and against scikit-learn used by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, matthews_corrcoef, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dnalm.benchmark.probing.linear.probe import ProbeConfig, probe
from dnalm.errors import InputError
from dnalm.files import write_json

CONFIG = ProbeConfig(
    penalties=[1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10],
    max_iterations=5000,
    solver="lbfgs",
    device="cpu",
    metric="mcc",
)


def make_table(rows: int, test: int, splits: int, classes: int = 2) -> pd.DataFrame:
    """Labels by turns; row i is validation in split i // classes % splits."""
    number = np.arange(rows + test)
    return pd.DataFrame(
        {
            "id": [f"row.{i}" for i in number],
            "label": number % classes,
            "split": np.where(number < rows, "train", "test"),
            "folds": [[i // classes % splits] if i < rows else [] for i in number],
        }
    )


def make_features(table: pd.DataFrame, signals: dict[str, float], width: int = 12, seed: int = 0):
    """Correlated noise of very unlike scales, plus a shift by class along one direction."""
    generator = np.random.default_rng(seed)
    features = {}
    for name, signal in signals.items():
        mixing = generator.normal(size=(width, width))
        noise = generator.normal(size=(len(table), width)) @ mixing
        shift = np.outer(table["label"] - table["label"].mean(), mixing[0]) * signal
        scales = 10.0 ** generator.uniform(-3, 3, width)
        features[name] = ((noise + shift) * scales + 5 * scales).astype(np.float32)
    return features


def by_hand(features, table, penalty, solver):
    """Ten models and their test predictions from nothing but scikit-learn."""
    labels = table["label"].to_numpy()
    train, test = table["split"] == "train", (table["split"] == "test").to_numpy()
    features = features.astype(np.float64)
    for fold in range(10):
        validation = table["folds"].map(lambda folds, fold=fold: fold in folds)
        rows = (train & ~validation).to_numpy()
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=penalty, solver=solver, tol=1e-10, max_iter=9999)
        ).fit(features[rows], labels[rows])
        yield model, labels[test], model.predict(features[test]), features[test]


@pytest.mark.parametrize(("kind", "classes"), [("binary", 2), ("multiclass", 3)])
@pytest.mark.parametrize(("solver", "another"), [("lbfgs", "newton-cholesky"), ("auto", "lbfgs")])
def test_the_ten_test_scores_equal_scikit_learn_by_hand_with_another_solver(
    kind, classes, solver, another
):
    table = make_table(600, 300, 10, classes)
    features = make_features(table, {"layer.1": 0.4, "layer.2": 0.9})
    result = probe(features, table, kind, replace(CONFIG, solver=solver), threads=1)
    chosen = result.selected
    average = "binary" if kind == "binary" else "macro"
    for (_, ours), (model, truth, theirs, rows) in zip(
        result.scores.iterrows(),
        by_hand(features[chosen["feature"]], table, chosen["penalty"], another),
        strict=True,
    ):
        probabilities = model.predict_proba(rows)
        area = (
            roc_auc_score(truth, probabilities[:, 1])
            if kind == "binary"
            else roc_auc_score(truth, probabilities, multi_class="ovr")
        )
        assert ours["mcc"] == pytest.approx(matthews_corrcoef(truth, theirs), abs=1e-6)
        assert ours["f1"] == pytest.approx(f1_score(truth, theirs, average=average), abs=1e-6)
        assert ours["accuracy"] == pytest.approx(np.mean(truth == theirs), abs=1e-6)
        assert ours["auc"] == pytest.approx(area, abs=1e-6)
        predicted = result.predictions.query("fold == @ours.fold")
        assert predicted["prediction"].tolist() == theirs.tolist()
        assert predicted["label"].tolist() == truth.tolist()


def test_every_validation_score_equals_a_fit_from_zero():
    table = make_table(300, 20, 3)
    features = make_features(table, {"layer.1": 0.6})
    result = probe(features, table, "binary", CONFIG, threads=1)
    values = features["layer.1"].astype(np.float64)
    labels = table["label"].to_numpy()
    for row in result.grid:
        scores = []
        for fold in range(3):
            is_train = (table["split"] == "train").to_numpy()
            validation = np.array([fold in folds for folds in table["folds"]])
            rows = is_train & ~validation
            model = make_pipeline(
                StandardScaler(),
                LogisticRegression(
                    C=row["penalty"], solver="newton-cholesky", tol=1e-10, max_iter=999
                ),
            ).fit(values[rows], labels[rows])
            scores.append(matthews_corrcoef(labels[validation], model.predict(values[validation])))
        assert row["validation_mcc_mean"] == pytest.approx(np.mean(scores), abs=1e-6)
        assert row["validation_mcc_sd"] == pytest.approx(np.std(scores, ddof=1), abs=1e-6)


def test_the_layer_that_holds_the_signal_is_chosen():
    table = make_table(400, 200, 5)
    features = make_features(table, {"layer.1": 0.0, "layer.2": 1.5, "layer.3": 0.0})
    result = probe(features, table, "binary", CONFIG, threads=1)
    assert result.selected["feature"] == "layer.2"
    assert result.scores["mcc"].min() > 0.4
    assert len(result.grid) == 3 * len(CONFIG.penalties)
    assert result.not_converged == 0


def test_labels_without_a_signal_score_zero_within_two_standard_deviations():
    table = make_table(400, 1000, 10)
    features = make_features(table, {f"layer.{i}": 0.0 for i in range(2)}, seed=3)
    result = probe(features, table, "binary", CONFIG, threads=1)
    # The MCC of a coin thrown n times has a standard deviation of 1 / sqrt(n).
    assert abs(result.scores["mcc"].mean()) < 2 / np.sqrt(1000)


def test_the_choice_and_the_models_do_not_see_the_test_rows():
    table = make_table(300, 100, 5)
    features = make_features(table, {"layer.1": 0.5, "layer.2": 0.6})
    before = probe(features, table, "binary", CONFIG, threads=1)
    # Rows 300 … 349 keep their features, all other test rows become wild.
    wild = {name: array.copy() for name, array in features.items()}
    for array in wild.values():
        array[350:] *= 1e4
    after = probe(wild, table, "binary", CONFIG, threads=1)
    assert before.selected == after.selected
    assert before.grid == after.grid
    kept = before.predictions["id"].isin([f"row.{i}" for i in range(300, 350)])
    pd.testing.assert_frame_equal(before.predictions[kept], after.predictions[kept])


@pytest.mark.parametrize(
    ("penalties", "chosen", "edge"),
    [
        ([1e-9, 1e-2, 1e3], 1e-2, False),
        ([1e-9, 1e-2], 1e-2, True),
        ([1e-2, 1e3], 1e-2, True),
        ([1e-10, 1e-9], 1e-10, False),  # a grid on which the penalty changes nothing
        ([1e-2], 1e-2, False),
    ],
)
def test_a_choice_on_the_border_of_the_grid_is_flagged(penalties, chosen, edge):
    # A weak signal in each of 300 features of 300 rows, a third of them positive: C = 1e-9 predicts
    # nothing but the majority, C = 1000 learns the noise by heart, 0.01 lies between.
    table = make_table(450, 30, 3, classes=3)
    table["label"] = (table["label"] == 2).astype(int)
    noise = np.random.default_rng(1).normal(size=(480, 300))
    features = {"k=4": noise + 0.15 * table["label"].to_numpy()[:, None]}
    result = probe(features, table, "binary", replace(CONFIG, penalties=penalties), threads=1)
    assert result.selected == {"feature": "k=4", "penalty": chosen}
    assert result.edge == edge


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_where_every_penalty_ranks_alike_the_smaller_loss_decides(kind):
    """Of one feature no penalty changes the order, nor AUC and correlation."""
    table = make_table(400, 200, 4)
    random = np.random.default_rng(0)
    value = random.normal(size=len(table))
    seen = value + random.normal(size=len(table))
    labels = {"multilabel": np.stack([seen > 0, seen > 1], axis=1).astype(int)}
    labels["regression"] = seen[:, None]
    table["label"] = list(labels[kind])
    result = probe({"gc": value[:, None]}, table, kind, CONFIG, threads=1)
    assert result.selected["penalty"] >= 0.1
    quality = {"multilabel": "mcc_mean", "regression": "r2_mean"}[kind]
    assert result.scores[quality].mean() > 0.3
    losses = {row["penalty"]: row["validation_loss"] for row in result.grid}
    assert losses[result.selected["penalty"]] == pytest.approx(min(losses.values()), abs=1e-6)


def test_fits_that_do_not_converge_are_counted():
    table = make_table(200, 50, 2)
    features = make_features(table, {"layer.1": 0.5})
    result = probe(features, table, "binary", replace(CONFIG, max_iterations=2), threads=1)
    assert result.not_converged > 0
    # The models of the choice are fits too: their limit is as low, and they start from zero.
    final = result.not_converged - sum(row["not_converged"] for row in result.grid)
    assert final == 2
    for row in result.grid:
        assert row["converged"].count(False) == row["not_converged"]
        assert len(row["converged"]) == len(row["iterations"]) == len(row["gaps"]) == 2


def test_an_area_is_averaged_over_the_splits_whose_validation_rows_define_it(caplog):
    table = make_table(300, 90, 3)
    first = table["folds"].map(lambda folds: 0 in folds)
    table.loc[first & (table["label"] == 1), "folds"] = pd.Series([[1]] * len(table))
    features = make_features(table, {"layer.1": 0.6})
    config = replace(CONFIG, metric="auc", penalties=[1e-2])
    (row,) = probe(features, table, "binary", config, threads=1).grid
    values, labels = features["layer.1"].astype(np.float64), table["label"].to_numpy()
    areas = []
    for fold in (1, 2):
        others = np.array([fold in folds for folds in table["folds"]])
        rows = (table["split"] == "train").to_numpy() & ~others
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-2, tol=1e-10, max_iter=999))
        chances = model.fit(values[rows], labels[rows]).predict_proba(values[others])[:, 1]
        areas.append(roc_auc_score(labels[others], chances))
    assert row["validation_auc_mean"] == pytest.approx(np.mean(areas), abs=1e-6)
    assert row["validation_auc_sd"] == pytest.approx(np.std(areas, ddof=1), abs=1e-6)
    assert row["unscored"] == 1
    assert "in 1 splits the validation rows do not define auc" in caplog.text


def test_a_metric_that_no_split_defines_is_refused():
    table = make_table(90, 30, 3, classes=3)
    # No row of class 2 is ever validation.
    table.loc[table["label"] == 2, "folds"] = pd.Series([[]] * len(table))
    features = make_features(table, {"layer.1": 2.0})
    config = replace(CONFIG, metric="auc")
    with pytest.raises(InputError, match=r"none of the 7 pairs.*auc.*probe\.metric"):
        probe(features, table, "multiclass", config, threads=1)


@pytest.mark.parametrize("solver", ["auto", "batched"])
def test_a_penalty_given_twice_is_fitted_once(solver):
    table = make_table(200, 50, 2)
    features = make_features(table, {"layer.1": 0.5})
    once, twice = (
        probe(
            features,
            table,
            "binary",
            replace(CONFIG, penalties=penalties, solver=solver),
            threads=1,
        )
        for penalties in ([0.01, 0.1], [0.1, 0.01, 0.1])
    )
    assert once.grid == twice.grid


def test_a_constant_feature_predicts_the_majority_of_the_training_part():
    table = make_table(300, 90, 3, classes=3)
    features = {"constant": np.zeros((390, 1), dtype=np.float32)}
    table["label"] = np.where(table["label"] == 2, 1, 0)
    result = probe(features, table, "binary", CONFIG, threads=1)
    assert (result.predictions["prediction"] == 0).all()
    assert (result.scores["mcc"] == 0).all()
    assert (result.scores["auc"] == 0.5).all()
    assert not result.edge


def test_two_processes_give_the_result_of_one():
    table = make_table(200, 50, 4)
    features = make_features(table, {"layer.1": 0.3, "layer.2": 0.8})
    one, two = (probe(features, table, "binary", CONFIG, threads=n) for n in (1, 2))
    assert one.grid == two.grid
    pd.testing.assert_frame_equal(one.scores, two.scores, check_exact=True)


def test_a_class_missing_from_one_training_part_keeps_its_column():
    table = make_table(90, 30, 3, classes=3)
    # All training rows of class 2 are validation in split 0.
    table["folds"] = [
        [0] if label == 2 and split == "train" else folds
        for label, split, folds in zip(table["label"], table["split"], table["folds"], strict=True)
    ]
    features = make_features(table, {"layer.1": 2.0})
    result = probe(features, table, "multiclass", CONFIG, threads=1)
    first = result.predictions.query("fold == 0")
    assert set(first["prediction"]) <= {0, 1}


@pytest.mark.parametrize("content", [b"", b"[[{", bytes(50)], ids=["empty", "cut", "zeros"])
def test_a_feature_set_whose_scores_were_torn_is_fitted_again(tmp_path, caplog, content):
    table = make_table(200, 50, 2)
    features = make_features(table, {"layer.1": 1.5, "layer.2": 0.0})
    first = probe(features, table, "binary", CONFIG, threads=1, partial=tmp_path)
    (path,) = tmp_path.glob("*/layer.2.json")
    path.write_bytes(content)
    assert probe(features, table, "binary", CONFIG, threads=1, partial=tmp_path).grid == first.grid
    assert f"{path} cannot be read" in caplog.text
    assert path.stat().st_size > 50


def test_feature_sets_that_were_finished_before_are_not_fitted_again(tmp_path, monkeypatch):
    table = make_table(200, 50, 2)
    features = make_features(table, {"layer.1": 1.5, "layer.2": 0.0})
    first = probe(features, table, "binary", CONFIG, threads=1, partial=tmp_path)
    assert first.selected["feature"] == "layer.1"
    kept = sorted(path.name for path in tmp_path.glob("*/*"))
    assert kept == ["layer.1.json", "layer.2.json"]
    assert probe(features, table, "binary", CONFIG, threads=1, partial=tmp_path).grid == first.grid

    # A job killed after the second set, whose scores are planted: 0.99 at the fourth penalty.
    (folder,) = tmp_path.iterdir()
    (folder / "layer.1.json").unlink()
    facts = {"loss": 0.5, "converged": True, "iterations": 1, "gap": None}
    planted = [[{"score": 0.99 if i == 3 else 0.0, **facts} for i in range(7)] for _ in range(2)]
    write_json(folder / "layer.2.json", planted)

    def selected(**changes):
        arguments = {"features": features, "table": table, "config": CONFIG} | changes
        return probe(**arguments, kind="binary", threads=1, partial=tmp_path).selected

    assert selected() == {"feature": "layer.2", "penalty": 1e-2}
    assert (folder / "layer.1.json").exists()
    # Whatever else decides the scores does not find them.
    for changes in (
        {"config": replace(CONFIG, penalties=CONFIG.penalties[:-1])},
        {"config": replace(CONFIG, max_iterations=4999)},
        {"table": table.assign(label=1 - table["label"])},
        {"features": features | {"layer.2": features["layer.2"] * 2}},
    ):
        assert selected(**changes)["feature"] == "layer.1"
    for name in ("MAX_GRADIENT", "TARGET_GAP", "MAX_CERTIFIED_GAP"):
        with monkeypatch.context() as patch:
            patch.setattr(f"dnalm.benchmark.probing.linear.probe.{name}", 1e-5)
            assert selected()["feature"] == "layer.1"


def test_features_of_another_table_or_with_nan_are_refused():
    table = make_table(20, 6, 2)
    features = make_features(table, {"layer.1": 1.0})
    with pytest.raises(InputError, match=r"layer\.1 have shape \(25, 12\).*26 rows"):
        probe({"layer.1": features["layer.1"][1:]}, table, "binary", CONFIG, threads=1)
    features["layer.1"][3, 2] = np.nan
    with pytest.raises(InputError, match="not finite"):
        probe(features, table, "binary", CONFIG, threads=1)


def test_both_solvers_choose_and_score_alike():
    table = make_table(900, 500, 5, classes=3)
    features = make_features(table, {"layer.1": 0.2, "layer.2": 0.5}, width=40)
    batched, reference = (
        probe(features, table, "multiclass", replace(CONFIG, solver=solver), threads=1)
        for solver in ("batched", "newton-cholesky")
    )
    assert batched.selected == reference.selected
    # Of 500 rows three may be called otherwise.
    assert (batched.scores["mcc"] - reference.scores["mcc"]).abs().max() <= 0.01
    for ours, theirs in zip(batched.grid, reference.grid, strict=True):
        assert max(ours["gaps"]) <= 1e-6
        assert theirs["gaps"] == [None] * 5
        mean = "validation_mcc_mean"
        assert ours[mean] == pytest.approx(theirs[mean], abs=0.01)


@pytest.mark.parametrize("solver", ["auto", "batched"])
@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_labels_of_several_and_numbers_are_probed_by_their_own_metrics(kind, solver):
    table = make_table(400, 200, 4)
    generator = np.random.default_rng(6)
    signal = generator.normal(size=(600, 2))
    labels = 10 * signal + 70 if kind == "regression" else (signal > 0.5).astype(int)
    table["label"] = list(labels)
    noise = generator.normal(size=(600, 6)).astype(np.float32)
    informative = np.concatenate([signal + 0.5 * noise[:, :2], noise], axis=1).astype(np.float32)
    config = replace(CONFIG, solver=solver)
    result = probe({"layer.1": noise, "layer.2": informative}, table, kind, config, threads=1)
    metric = {"multilabel": "auc_mean", "regression": "pearson_mean"}[kind]
    assert result.selected["feature"] == "layer.2"
    assert f"validation_{metric}_mean" in result.grid[0]
    assert result.scores[metric].min() > 0.8
    first = result.predictions.query("fold == 0")
    predictions = np.stack(first["prediction"])
    if kind == "regression":
        found = [np.corrcoef(predictions[:, c], labels[400:, c])[0, 1] for c in range(2)]
    else:
        columns = [first[f"probability.{c}"] for c in range(2)]
        found = [roc_auc_score(labels[400:, c], columns[c]) for c in range(2)]
    assert result.scores[metric][0] == pytest.approx(np.mean(found))
