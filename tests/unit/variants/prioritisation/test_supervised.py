"""Probes on vectors of both alleles: no variant is scored by what has seen its chromosome."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from dnalm.errors import InputError
from dnalm.variants.prioritisation.supervised import (
    SupervisedConfig,
    group_chromosomes,
    join_vectors,
    score_supervised,
)

CONFIG = SupervisedConfig(groups=5, inner_groups=3, penalties=[1e-3, 1e-1])
CONTIGS = [str(number) for number in range(1, 11)]


def planted(random, per_contig=60):
    contigs = np.repeat(CONTIGS, per_contig)
    return contigs, random.random(len(contigs)) < 0.4


def test_groups_of_chromosomes_hold_about_as_many_variants():
    random = np.random.default_rng(0)
    counts = {str(number): int(random.integers(100, 3_000)) for number in range(1, 23)}
    groups = group_chromosomes(counts, 5)
    sizes = [sum(n for contig, n in counts.items() if groups[contig] == g) for g in range(5)]
    assert groups.keys() == counts.keys()
    assert max(sizes) < 1.1 * min(sizes)
    with pytest.raises(InputError, match=r"lie on 2 chromosome\(s\), but 5 groups"):
        group_chromosomes({"1": 9, "2": 9}, 5)


def test_what_only_the_own_chromosome_teaches_is_not_learned():
    random = np.random.default_rng(1)
    contigs, labels = planted(random)
    # Of each chromosome one column tells the label, and on others nothing.
    features = random.normal(size=(len(labels), len(CONTIGS)))
    for column, contig in enumerate(CONTIGS):
        own = contigs == contig
        features[own, column] += 4.0 * labels[own]
        features[~own, column] = random.normal(size=(~own).sum())
    values, _ = score_supervised(features, labels, contigs, CONFIG)
    assert abs(roc_auc_score(labels, values) - 0.5) < 0.1


def test_what_all_chromosomes_teach_is_learned_from_the_difference():
    random = np.random.default_rng(2)
    contigs, labels = planted(random)
    reference = random.normal(size=(len(labels), 6))
    alternative = reference + 0.3 * random.normal(size=reference.shape)
    alternative[:, 2] += 0.5 * labels
    values, chosen = score_supervised(join_vectors(reference, alternative), labels, contigs, CONFIG)
    assert np.isfinite(values).all()
    assert roc_auc_score(labels, values) > 0.85
    assert sorted(c for row in chosen for c in row["chromosomes"]) == sorted(CONTIGS)
    assert sum(row["variants"] for row in chosen) == len(labels)


def test_log_odds_are_scikit_learns_with_the_penalty_that_was_chosen():
    random = np.random.default_rng(3)
    contigs, labels = planted(random, 30)
    features = random.normal(size=(len(labels), 4)) + labels[:, None]
    values, chosen = score_supervised(features, labels, contigs, CONFIG)
    for row in chosen:
        held_out = np.isin(contigs, row["chromosomes"])
        scaler = StandardScaler().fit(features[~held_out])
        model = LogisticRegression(C=row["penalty"], class_weight="balanced", max_iter=1000)
        model.fit(scaler.transform(features[~held_out]), labels[~held_out])
        expected = model.decision_function(scaler.transform(features[held_out]))
        np.testing.assert_allclose(values[held_out], expected, rtol=1e-4, atol=1e-4)


def test_labels_of_one_class_beside_a_group_are_refused():
    contigs, labels = np.repeat(["1", "2"], 20), np.repeat([True, False], 20)
    config = SupervisedConfig(groups=2, inner_groups=2, penalties=[1.0])
    with pytest.raises(InputError, match="all variants have one label"):
        score_supervised(np.zeros((40, 2)), labels, contigs, config)
