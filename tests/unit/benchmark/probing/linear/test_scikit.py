"""When a fit of scikit-learn's counts as converged, and what fits without a feature say."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dnalm.benchmark.probing.linear.scikit import fit_path, is_optimal

PENALTIES = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10]
ROWS = np.arange(1080)
# A tenth of the rows is of class 1, and the feature says nothing at all about them: the optimum is
# the same at every penalty, so that all fits but the first begin there.
LABELS = (ROWS % 20 < 2).astype(int)
FEATURE = np.where(ROWS // 20 % 2, 1.0, -1.0)[:, None]


def fit(features, labels, *, max_iterations=1000, classes=2):
    return list(
        fit_path(
            features,
            labels,
            features[:3],
            PENALTIES,
            kind="binary" if classes == 2 else "multiclass",
            classes=classes,
            solver="newton-cholesky",
            max_iterations=max_iterations,
        )
    )


def test_fits_that_begin_at_their_optimum_have_converged():
    model = LogisticRegression(solver="newton-cholesky", tol=1e-8, max_iter=1000, warm_start=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for penalty in PENALTIES:
            model.set_params(C=penalty).fit(FEATURE, LABELS)
    assert caught, "scikit-learn does not complain any more: this needs no rule of its own"
    fits = fit(FEATURE, LABELS)
    assert all(one.converged for one in fits)
    for one in fits:
        np.testing.assert_allclose(one.outputs[:, 1], 0.1, atol=1e-8)


def test_fits_that_meet_their_limit_have_not_converged():
    labels = (np.random.default_rng(0).random(1080) < 0.5 + 0.4 * FEATURE[:, 0]).astype(int)
    assert all(one.converged for one in fit(FEATURE, labels))
    assert not all(one.converged for one in fit(FEATURE, labels, max_iterations=1))


@pytest.mark.parametrize("classes", [2, 3])
def test_only_a_model_at_its_optimum_is_taken_for_one(classes):
    random = np.random.default_rng(0)
    features = random.normal(size=(300, 6))
    labels = (features[:, 0] + random.normal(size=300) > 0).astype(int)
    if classes == 3:
        labels[features[:, 1] > 1] = 2
    model = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(features, labels)
    assert is_optimal(model, features, labels)
    for attribute, change in (("coef_", 0.01), ("intercept_", 0.01)):
        moved = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(features, labels)
        getattr(moved, attribute)[0] += change
        assert not is_optimal(moved, features, labels)
    rough = LogisticRegression(C=0.1, tol=1, max_iter=2).fit(features, labels)
    assert not is_optimal(rough, features, labels)


@pytest.mark.parametrize("classes", [2, 3])
def test_without_a_feature_that_varies_the_shares_of_the_classes_are_predicted(classes):
    labels = LABELS + (ROWS % 3 == 0 if classes == 3 else 0)
    fits = fit(np.zeros((1080, 4)), labels, classes=classes)
    shares = np.bincount(labels) / 1080
    for one in fits:
        assert (one.converged, one.iterations) == (True, 0)
        assert one.outputs.tolist() == [shares.tolist()] * 3
