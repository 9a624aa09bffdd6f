"""The batched solver against scikit-learn's, on the objective and on what the fits say."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dnalm.benchmark.probing.linear import solver as solvers
from dnalm.benchmark.probing.linear.batched import fit_grid
from dnalm.benchmark.probing.linear.certificate import certify
from dnalm.benchmark.probing.linear.features import SharedFeatures
from dnalm.benchmark.probing.linear.problems import ProblemGrid
from dnalm.benchmark.probing.linear.solver import Rows, SolverConfig, solve
from dnalm.benchmark.probing.linear.tolerances import MAX_CERTIFIED_GAP
from dnalm.errors import InputError

PENALTIES = [1e-4, 1e-2, 1.0, 100.0]
BATCHED = SolverConfig(solver="batched", max_iterations=500, device="cpu")


def make_rows(rows: int, width: int, classes: int, seed: int = 0, decay: float = 0.8):
    """Correlated features whose variances fall as a power, of very unlike scales, with a signal."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(width, width)) * (1 + np.arange(width))[:, None] ** -decay
    latent = generator.normal(size=(rows, width))
    scores = 2 * latent[:, :classes] + generator.gumbel(size=(rows, classes))
    scales = 10.0 ** generator.uniform(-2, 2, width)
    features = ((latent @ mixing) * scales + 3 * scales).astype(np.float32)
    return features, scores.argmax(axis=1)


def make_parts(rows: int, splits: int):
    """Training rows and validation rows by turns."""
    number = np.arange(rows)
    return [
        (number[number % splits != split], number[number % splits == split])
        for split in range(splits)
    ]


def fit(features, labels, parts, penalties, kind, classes, config):
    rows = Rows(features=features, labels=labels, kind=kind, classes=classes)
    return solve(rows, parts, penalties, config, threads=1)


def objective(features, labels, training, penalty, weights, intercepts):
    """Return scikit-learn's objective from its definition; weights on standardised features."""
    margins = StandardScaler().fit_transform(features[training].astype(np.float64)) @ weights.T
    margins = margins + intercepts
    if margins.shape[1] == 1:
        margins = np.concatenate([np.zeros_like(margins), margins], axis=1)
    peak = margins.max(axis=1, keepdims=True)
    logs = np.log(np.exp(margins - peak).sum(axis=1)) + peak[:, 0]
    own = margins[np.arange(len(training)), labels[training]]
    return (logs - own).sum() + (weights**2).sum() / 2 / penalty


def optimum(features, labels, training, penalty):
    values = StandardScaler().fit_transform(features[training].astype(np.float64))
    model = LogisticRegression(C=penalty, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    model.fit(values, labels[training])
    found = objective(features, labels, training, penalty, model.coef_, model.intercept_)
    return found, model, StandardScaler().fit(features[training].astype(np.float64))


CASES = {
    "binary": {"rows": 600, "width": 40, "classes": 2},
    "three classes": {"rows": 600, "width": 30, "classes": 3},
    "seven classes": {"rows": 700, "width": 20, "classes": 7},
    "fewer rows than features": {"rows": 120, "width": 200, "classes": 2},
    "a spectrum that falls fast": {"rows": 600, "width": 60, "classes": 2, "decay": 3.0},
}


@pytest.mark.parametrize("case", CASES)
def test_every_objective_is_that_of_scikit_learns_exact_optimum(case):
    features, labels = make_rows(**CASES[case])
    parts = make_parts(len(labels), 3)
    fits = fit_grid(
        features,
        labels,
        [one for one, _ in parts],
        PENALTIES,
        max_iterations=500,
        kind="multiclass",
        device="cpu",
    )
    assert fits.certified.all()
    for split, (training, others) in enumerate(parts):
        for number, penalty in enumerate(PENALTIES):
            best, model, scaler = optimum(features, labels, training, penalty)
            weights = fits.weights[split, number] * scaler.scale_
            intercepts = fits.intercepts[split, number] + fits.weights[split, number] @ scaler.mean_
            ours = objective(features, labels, training, penalty, weights, intercepts)
            assert -1e-9 <= ours / best - 1 <= MAX_CERTIFIED_GAP
            # The certificate is a bound (up to the optimum's own rounding).
            assert ours / best - 1 <= fits.gaps[split, number] + 1e-9
            theirs = model.predict_proba(scaler.transform(features[others].astype(np.float64)))
            given = fits.outputs(features[others], split)[number]
            np.testing.assert_allclose(given, theirs, atol=3e-3)


@pytest.mark.parametrize("classes", [2, 3])
def test_an_optimum_is_certified_and_what_lies_beside_it_is_refused(classes):
    features, labels = make_rows(400, 12, classes)
    training = make_parts(400, 2)[0][0]
    best, model, _ = optimum(features, labels, training, 1.0)
    masks = np.isin(np.arange(400), training)[None]
    grid = ProblemGrid(labels, masks, [1.0], "multiclass", "cpu")
    shared = SharedFeatures(features, masks, "cpu", torch.float64)

    def bound(weights, intercepts):
        solution = grid.start(12)
        solution.weights[0], solution.intercepts[0] = map(torch.tensor, (weights, intercepts))
        (gap,) = certify(shared, grid.problems(torch.tensor([0]), torch.float64), solution)
        found = solution.weights[0].numpy(), solution.intercepts[0].numpy()
        return float(gap), objective(features, labels, training, 1.0, *found) / best - 1

    # scikit-learn's own optimum, and the same with intercepts that are brought to theirs first.
    for intercepts in (model.intercept_, model.intercept_ + np.arange(len(model.intercept_)) + 1):
        gap, excess = bound(model.coef_, intercepts)
        assert abs(excess) < 1e-9
        assert gap < 1e-9
    # Numbers that are none count as 0, from where a fit can start again.
    for factor in (0, -1, 1.01, np.nan):
        gap, excess = bound(factor * model.coef_, model.intercept_)
        assert excess > MAX_CERTIFIED_GAP
        assert gap >= excess


@pytest.mark.parametrize("classes", [2, 3])
def test_splits_that_overlap_or_see_a_constant_feature_are_fitted_as_by_scikit_learn(classes):
    features, labels = make_rows(400, 15, classes)
    generator = np.random.default_rng(5)
    parts = []
    for split in range(4):
        others = generator.choice(400, 40, replace=False)
        parts.append((np.setdiff1d(np.arange(400), others), others))
        features[:, split] = 7.0  # constant but on the rows that this split does not train on
        features[others, split] = generator.normal(size=40)
    features[:, 6] = 3.0
    features[:, 7] = features[:, 8]
    for config in (BATCHED, SolverConfig(solver="lbfgs", max_iterations=9999, device="cpu")):
        outcomes = fit(features, labels, parts, [1e-2, 1.0], "multiclass", classes, config)
        assert all((one.gap is not None) == (config is BATCHED) for row in outcomes for one in row)
        for (training, others), path in zip(parts, outcomes, strict=True):
            for penalty, outcome in zip([1e-2, 1.0], path, strict=True):
                _, model, scaler = optimum(features, labels, training, penalty)
                theirs = model.predict_proba(scaler.transform(features[others].astype(np.float64)))
                np.testing.assert_allclose(outcome.outputs, theirs, atol=3e-3)
                assert outcome.converged


def test_a_split_in_which_a_feature_is_nearly_constant_is_left_to_scikit_learn(caplog):
    features, labels = make_rows(400, 15, 2)
    parts = make_parts(400, 2)
    training, others = parts[0]
    # What this split learns from lies in the seventh decimal place of what its validation rows are.
    features[training, 3] = 1 + 3e-7 * (
        labels[training] + np.random.default_rng(1).normal(size=200)
    )
    features[others, 3] = 1e4 * np.random.default_rng(2).normal(size=200)
    outcomes = fit(features, labels, parts, [1e-2, 1.0], "binary", 2, BATCHED)
    assert [[one.gap is None for one in path] for path in outcomes] == [[True] * 2, [False] * 2]
    assert "2 of 4 fits are left to scikit-learn" in caplog.text
    _, model, scaler = optimum(features, labels, training, 1.0)
    theirs = model.predict_proba(scaler.transform(features[others].astype(np.float64)))
    np.testing.assert_allclose(outcomes[0][1].outputs, theirs, atol=1e-6)


def test_one_row_in_a_hundred_and_a_penalty_too_weak_for_float32_are_fitted_too():
    features, labels = make_rows(2000, 30, 2)
    labels = np.where(np.arange(2000) % 100 == 0, labels, 0)
    parts = make_parts(2000, 3)
    fits = fit_grid(
        features,
        labels,
        [one for one, _ in parts],
        [1.0, 1e6],
        max_iterations=500,
        kind="multiclass",
        device="cpu",
    )
    assert fits.certified.all()
    for split, (training, _) in enumerate(parts):
        best, _, scaler = optimum(features, labels, training, 1e6)
        weights = fits.weights[split, 1] * scaler.scale_
        intercepts = fits.intercepts[split, 1] + fits.weights[split, 1] @ scaler.mean_
        ours = objective(features, labels, training, 1e6, weights, intercepts)
        assert abs(ours / best - 1) <= MAX_CERTIFIED_GAP


def test_a_split_that_lacks_a_class_is_left_to_scikit_learn(caplog):
    features, labels = make_rows(300, 10, 3)
    whole, others = make_parts(300, 3)[0]
    lacking = whole[labels[whole] != 2]
    parts = [(whole, others), (lacking, others)]
    outcomes = fit(features, labels, parts, PENALTIES, "multiclass", 3, BATCHED)
    assert [one.gap is None for one in outcomes[0]] == [False] * 4
    assert [one.gap is None for one in outcomes[1]] == [True] * 4
    assert "4 of 8 fits are left to scikit-learn" in caplog.text
    _, model, scaler = optimum(features, labels, lacking, 1.0)
    theirs = model.predict_proba(scaler.transform(features[others].astype(np.float64)))
    np.testing.assert_allclose(outcomes[1][2].outputs[:, :2], theirs, atol=1e-6)
    assert (outcomes[1][2].outputs[:, 2] == 0).all()


def test_what_is_not_certified_is_fitted_again_and_what_fails_twice_is_reported():
    features, labels = make_rows(600, 40, 2)
    parts = make_parts(600, 2)
    few = SolverConfig(solver="batched", max_iterations=6, device="cpu")
    outcomes = [
        one for path in fit(features, labels, parts, PENALTIES, "binary", 2, few) for one in path
    ]
    certified = [one.gap is not None for one in outcomes]
    assert any(certified)
    assert not all(certified)
    assert all(one.converged for one in outcomes if one.gap is not None)
    assert not all(one.converged for one in outcomes)
    assert all(one.iterations <= 12 for one in outcomes)


def test_fits_that_are_made_again_come_back_in_their_places_though_penalties_repeat():
    features, labels = make_rows(600, 40, 2)
    few = SolverConfig(solver="batched", max_iterations=6, device="cpu")
    ((sound, *again),) = fit(
        features, labels, make_parts(600, 2)[:1], [1e-4, 100.0, 100.0], "binary", 2, few
    )
    assert sound.gap is not None
    assert [one.gap for one in again] == [None, None]


def test_a_device_that_is_not_there_is_an_error_of_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    features, labels = make_rows(60, 4, 2)
    config = SolverConfig(solver="batched", max_iterations=9, device="cuda")
    with pytest.raises(InputError, match=r"probe\.device is 'cuda', but torch sees no CUDA device"):
        fit(features, labels, make_parts(60, 2), [1.0], "binary", 2, config)


def test_auto_takes_the_batched_solver_where_there_is_work_for_it(monkeypatch):
    features, labels = make_rows(300, 30, 2)
    parts = make_parts(300, 2)
    auto = SolverConfig(solver="auto", max_iterations=500, device="cpu")
    (few, _), _ = fit(features, labels, parts, [0.1, 1.0], "binary", 2, auto)
    monkeypatch.setattr(solvers, "MIN_BATCHED_PRODUCTS", 1e3)
    (many, _), _ = fit(features, labels, parts, [0.1, 1.0], "binary", 2, auto)
    assert few.gap is None
    assert many.gap <= MAX_CERTIFIED_GAP
    np.testing.assert_allclose(few.outputs, many.outputs, atol=3e-3)


def test_features_too_wide_for_the_batched_solver_are_left_to_scikit_learn(monkeypatch, caplog):
    features, labels = make_rows(300, 30, 2)
    parts = make_parts(300, 2)
    monkeypatch.setattr(solvers, "MAX_BATCHED_FEATURES", 29)
    monkeypatch.setattr(solvers, "MIN_BATCHED_PRODUCTS", 0)
    for name in ("auto", "batched"):
        assert not caplog.text
        config = SolverConfig(solver=name, max_iterations=500, device="cpu")
        outcomes = fit(features, labels, parts, [0.1, 1.0], "binary", 2, config)
        assert all(one.gap is None for path in outcomes for one in path)
    assert "features of 30 numbers are left to scikit-learn" in caplog.text


def test_every_label_of_several_is_a_logistic_regression_of_its_own():
    features, _ = make_rows(500, 25, 2)
    generator = np.random.default_rng(3)
    scores = StandardScaler().fit_transform(features) @ generator.normal(size=(25, 4))
    labels = (scores + generator.logistic(size=scores.shape) > [0, 0, 4, 1]).astype(int)
    parts = make_parts(500, 3)
    labels[parts[1][0], 3] = 0  # in one training part this label is never given
    reference = SolverConfig(solver="newton-cholesky", max_iterations=500, device="cpu")
    batched, single = (
        fit(features, labels, parts, PENALTIES, "multilabel", 4, config)
        for config in (BATCHED, reference)
    )
    for split, (training, others) in enumerate(parts):
        scaler = StandardScaler().fit(features[training].astype(np.float64))
        fitted, predicted = (
            scaler.transform(features[rows].astype(np.float64)) for rows in (training, others)
        )
        for number, penalty in enumerate(PENALTIES):
            model = OneVsRestClassifier(
                LogisticRegression(C=penalty, solver="newton-cholesky", tol=1e-10, max_iter=500)
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of the label that is never given
                expected = model.fit(fitted, labels[training]).predict_proba(predicted)
            assert batched[split][number].gap <= MAX_CERTIFIED_GAP
            assert single[split][number].gap is None
            np.testing.assert_allclose(batched[split][number].outputs, expected, atol=3e-3)
            np.testing.assert_allclose(single[split][number].outputs, expected, atol=1e-5)


@pytest.mark.parametrize("targets", [1, 3])
def test_numbers_are_fitted_as_by_ridge_on_standardised_targets(targets):
    features, _ = make_rows(400, 30, 2)
    generator = np.random.default_rng(4)
    signal = StandardScaler().fit_transform(features) @ generator.normal(size=(30, targets))
    labels = 1e3 * signal + 1e3 * generator.normal(size=signal.shape) + [5e4]
    parts = make_parts(400, 3)
    reference = SolverConfig(solver="auto", max_iterations=500, device="cpu")
    batched, single = (
        fit(features, labels, parts, PENALTIES, "regression", targets, config)
        for config in (BATCHED, reference)
    )
    for split, (training, others) in enumerate(parts):
        for number, penalty in enumerate(PENALTIES):
            model = TransformedTargetRegressor(
                make_pipeline(StandardScaler(), Ridge(alpha=1 / penalty)),
                transformer=StandardScaler(),
            ).fit(features[training].astype(np.float64), labels[training])
            expected = model.predict(features[others].astype(np.float64))
            assert batched[split][number].gap <= MAX_CERTIFIED_GAP
            assert single[split][number].gap is None
            for outcomes in (batched, single):
                assert outcomes[split][number].outputs.shape == (len(others), targets)
            spread = labels.std()
            np.testing.assert_allclose(batched[split][number].outputs, expected, atol=3e-3 * spread)
            np.testing.assert_allclose(single[split][number].outputs, expected, atol=1e-8 * spread)
