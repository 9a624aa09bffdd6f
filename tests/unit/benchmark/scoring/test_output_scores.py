"""Scores of single labels and targets, held against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from dnalm.benchmark.scoring.metrics import score
from dnalm.benchmark.scoring.output_scores import output_scores


def test_each_label_has_the_scores_of_scikit_learn_and_the_undefined_one_has_none():
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, (200, 4), dtype=np.int8)
    labels[:, 2] = 0
    splits = [random.random((200, 4)) for _ in range(3)]
    found = output_scores([(labels, (p > 0.5).astype(int), p) for p in splits], "multilabel")
    assert found["positives"] == labels.sum(axis=0).tolist()
    assert found["auc"]["mean"][2] is None
    assert found["auc"]["sd"][2] is None
    for c in (0, 1, 3):
        for metric, peer in (
            ("auc", roc_auc_score),
            ("average_precision", average_precision_score),
        ):
            peers = [peer(labels[:, c], p[:, c]) for p in splits]
            assert found[metric]["mean"][c] == pytest.approx(np.mean(peers))
            assert found[metric]["sd"][c] == pytest.approx(np.std(peers, ddof=1))
    # The headline is the mean over those that are defined.
    first = output_scores([(labels, splits[0] > 0.5, splits[0])], "multilabel")["auc"]["mean"]
    whole = score(labels, (splits[0] > 0.5).astype(int), splits[0], "multilabel")["auc_mean"]
    assert np.mean([value for value in first if value is not None]) == pytest.approx(whole)


def test_each_target_has_both_correlations_of_scipy():
    random = np.random.default_rng(4)
    truth, predicted = random.random((50, 2)), random.random((50, 2))
    found = output_scores([(truth, predicted, None)], "regression")
    assert found["positives"] is None
    for c in range(2):
        assert found["pearson"]["mean"][c] == pytest.approx(
            pearsonr(truth[:, c], predicted[:, c])[0]
        )
        assert found["spearman"]["mean"][c] == pytest.approx(
            spearmanr(truth[:, c], predicted[:, c])[0]
        )
    assert found["pearson"]["sd"] == [None, None]
