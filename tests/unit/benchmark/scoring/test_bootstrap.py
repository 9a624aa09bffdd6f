import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.metrics import matthews_corrcoef

from dnalm.benchmark.scoring.bootstrap import (
    BootstrapConfig,
    Predictions,
    bootstrap,
    read_predictions,
    region_masks,
    stratified_draws,
    subtract,
    verdict,
)
from dnalm.benchmark.scoring.metrics import score
from dnalm.errors import InputError


def predictions(classes, labels):
    ids = np.array([f"test.{i}" for i in range(len(labels))])
    return Predictions(
        ids=ids, labels=np.asarray(labels), classes=np.atleast_2d(classes), kind="multiclass"
    )


def flip(labels, accuracy, random, folds=1):
    wrong = random.random((folds, len(labels))) >= accuracy
    return np.where(wrong, 1 - labels, labels)


def phi(labels, classes, axis):
    """Return the MCC of two classes: it is the correlation of two columns of zeros and ones."""
    return scipy.stats.pearsonr(*np.broadcast_arrays(labels, classes), axis=axis).statistic


def subtracted(first, second, config):
    return subtract(*bootstrap([first, second], config), config.level)


def test_difference_is_that_of_the_mean_scores_over_folds():
    random = np.random.default_rng(1)
    labels = random.integers(3, size=400)
    first, second = random.integers(3, size=(2, 4, 400))
    first[:, :200] = labels[:200]
    found = subtracted(
        predictions(first, labels),
        predictions(second, labels),
        BootstrapConfig(draws=50, seed=0, level=0.95),
    )
    means = [np.mean([matthews_corrcoef(labels, fold) for fold in m]) for m in (first, second)]
    assert found.first == pytest.approx(means[0], abs=1e-6)
    assert found.difference == pytest.approx(means[0] - means[1], abs=1e-6)
    assert found.low < found.difference < found.high
    assert verdict(found.difference, found.p_value, 0.95) == "better"


def test_interval_covers_the_planted_difference_about_as_often_as_it_says():
    # MCC of balanced labels with accuracy p is 2p - 1, so the planted difference is 0.2.
    config, covered, draws = BootstrapConfig(draws=200, seed=3, level=0.9), 0, 150
    for seed in range(draws):
        random = np.random.default_rng(seed)
        labels = np.arange(300) % 2
        first, second = (flip(labels, accuracy, random) for accuracy in (0.8, 0.7))
        found = subtracted(predictions(first, labels), predictions(second, labels), config)
        covered += found.low <= 0.2 <= found.high
    # 0.9 ± 4 standard errors of 150 trials.
    assert 0.80 <= covered / draws <= 0.98


def test_pairing_makes_the_interval_narrower_when_both_err_on_the_same_rows():
    random, draws = np.random.default_rng(5), 200
    labels = np.arange(400) % 2
    first = flip(labels, 0.8, random)
    # The second repeats every error of the first and adds a few of its own.
    second = np.where(random.random((1, 400)) < 0.05, 1 - labels, first)
    methods = [predictions(first, labels), predictions(second, labels)]
    found = subtracted(*methods, BootstrapConfig(draws=draws, seed=0, level=0.95))
    errors = []
    for method in (first[0], second[0]):
        rows = random.integers(400, size=(draws, 400))
        errors.append(np.std([matthews_corrcoef(labels[r], method[r]) for r in rows]))
    unpaired = 2 * 1.96 * np.hypot(*errors)
    assert found.low < found.difference < found.high
    assert found.high - found.low < 0.7 * unpaired


def test_pairing_makes_the_interval_of_equal_predictions_zero_wide():
    labels = np.arange(100) % 2
    same = predictions(flip(labels, 0.8, np.random.default_rng(0), folds=3), labels)
    found = subtracted(same, same, BootstrapConfig(draws=50, seed=0, level=0.95))
    assert (found.low, found.difference, found.high) == (0, 0, 0)
    assert found.p_value == 1
    assert verdict(found.difference, found.p_value, 0.95) == "no clear difference"


def test_the_score_of_a_constant_predictor_is_zero_in_every_draw():
    labels = np.arange(90) % 3
    constant = predictions(np.zeros((4, 90), dtype=int), labels)
    (found,) = bootstrap([constant], BootstrapConfig(draws=100, seed=0, level=0.95))
    assert (found.score, found.interval(0.95)) == (0, (0, 0))
    assert not found.drawn.any()
    guesses = {"labels": labels, "predictions": np.zeros(90, dtype=int)}
    assert score(**guesses, probabilities=np.eye(3)[[0] * 90], kind="multiclass")["mcc"] == 0


def test_interval_of_a_score_is_that_of_scipy():
    random = np.random.default_rng(7)
    labels = np.arange(200) % 2
    guesses = flip(labels, 0.8, random)
    (found,) = bootstrap(
        [predictions(guesses, labels)], BootstrapConfig(draws=4000, seed=0, level=0.9)
    )
    expected = scipy.stats.bootstrap(
        (labels, guesses[0]),
        phi,
        paired=True,
        vectorized=True,
        n_resamples=2000,
        confidence_level=0.9,
        method="percentile",
        rng=random,
    ).confidence_interval
    assert found.interval(0.9) == pytest.approx(tuple(expected), abs=0.015)


def test_p_value_is_about_that_of_a_permutation_test_of_scipy():
    random = np.random.default_rng(2)
    labels = np.arange(300) % 2
    first, second = flip(labels, 0.8, random), flip(labels, 0.76, random)
    found = subtracted(
        predictions(first, labels),
        predictions(second, labels),
        BootstrapConfig(draws=4000, seed=0, level=0.95),
    )

    def difference(one, other, axis):
        return phi(labels, one, axis) - phi(labels, other, axis)

    expected = scipy.stats.permutation_test(
        (first[0], second[0]),
        difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=2000,
        rng=random,
    ).pvalue
    assert 0.01 < expected < 0.3
    assert found.p_value == pytest.approx(expected, rel=0.25)


def test_methods_that_are_equally_good_are_called_different_as_often_as_the_level_says():
    config, called, trials = BootstrapConfig(draws=200, seed=3, level=0.95), 0, 200
    for seed in range(trials):
        random = np.random.default_rng(seed)
        labels = np.arange(300) % 2
        methods = [predictions(flip(labels, 0.75, random), labels) for _ in range(2)]
        found = subtracted(*methods, config)
        called += verdict(found.difference, found.p_value, 0.95) != "no clear difference"
    # 0.05 of 200 trials, with four standard errors to either side.
    assert called / trials <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / trials)


def test_a_p_value_that_is_missing_or_not_small_is_no_clear_difference():
    assert verdict(0.1, 0.04, 0.95) == "better"
    assert verdict(-0.1, 0.04, 0.95) == "worse"
    assert verdict(0.1, 0.06, 0.95) == verdict(0.1, np.nan, 0.95) == "no clear difference"


def test_methods_scored_on_other_rows_are_refused():
    labels = np.arange(10) % 2
    with pytest.raises(InputError, match="different test rows"):
        subtracted(
            predictions(labels, labels),
            predictions(labels[:8], labels[:8]),
            BootstrapConfig(draws=1, seed=0, level=0.95),
        )


def test_predictions_are_read_whatever_their_order_and_a_missing_row_is_refused(tmp_path):
    table = pd.DataFrame(
        {
            "id": ["test.1", "test.0", "test.0", "test.1"],
            "fold": [0, 0, 1, 1],
            "label": [1, 0, 0, 1],
            "prediction": [1, 1, 0, 0],
        }
    )
    path = tmp_path / "predictions.parquet"
    table.to_parquet(path)
    found = read_predictions(path, "binary")
    assert found.ids.tolist() == ["test.0", "test.1"]
    assert found.labels.tolist() == [0, 1]
    assert found.classes.tolist() == [[1, 1], [0, 0]]
    table[:3].to_parquet(path)
    with pytest.raises(InputError, match="every fold predicts every test row once"):
        read_predictions(path, "binary")


def test_regions_divide_the_test_rows_by_where_they_were_found():
    labels = np.array([0, 1, 0, 1, 0, 1])
    locations = pd.DataFrame(
        {
            "id": ["train.0", *[f"test.{i}" for i in range(5)]],
            "genome": ["toy", "toy", "toy", None, "toy", "toy"],
            "pretraining_split": ["test", "train", "validation", None, "test", None],
            "overlaps_train": [False, True, False, False, False, False],
        }
    )
    # test.2 was searched and not found, test.5 does not stand in the table.
    masks = region_masks(predictions(labels, labels).ids, locations)
    assert {region: np.flatnonzero(mask).tolist() for region, mask in masks.items()} == {
        "on contigs used for pretraining": [0],
        "on contigs held out of pretraining": [1, 3],
        "found, but on no contig of a split": [4],
        "not found in the pretraining genomes": [2, 5],
        "found, overlapping a training row": [0],
        "found, not overlapping a training row": [1, 3, 4],
    }


def test_a_stratified_draw_holds_as_many_rows_of_each_stratum_as_there_are():
    strata = np.array([0, 1, 0, 0, 1, 2, 0])
    config = BootstrapConfig(draws=300, seed=5, level=0.95)
    drawn = np.concatenate(list(stratified_draws(strata, config)))
    assert drawn.shape == (300, 7)
    for stratum, size in ((0, 4), (1, 2), (2, 1)):
        assert (drawn[:, strata == stratum].sum(axis=1) == size).all()
    assert drawn[:, 0].std() > 0.5
    np.testing.assert_array_equal(drawn, np.concatenate(list(stratified_draws(strata, config))))
