"""Scores against labels: scikit-learn's values, fixed signs, chance where there is nothing."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.variants.prioritisation.evaluation import (
    ALL,
    COMMON,
    EXTERNAL,
    EvaluationConfig,
    ScoreColumn,
    correlate_severity,
    evaluate,
    score_chromosomes,
)

BOOTSTRAP = BootstrapConfig(draws=400, seed=3, level=0.95)
CONFIG = EvaluationConfig(bootstrap=BOOTSTRAP, correction="holm", min_class=5, chromosome_draws=100)
VARIANTS = 240


def planted(seed=0, effect=1.0):
    random = np.random.default_rng(seed)
    labels = random.random(VARIANTS) < 0.3
    values = random.normal(size=VARIANTS) + effect * labels
    return labels, values, random


def scored(values, name="l2", sign=1, model="m"):
    return ScoreColumn(model=model, name=name, sign=sign, values=np.asarray(values, dtype=float))


def run(labels, scores, classes=None, contigs=None, config=CONFIG):
    classes = [] if classes is None else classes
    contigs = np.full(len(labels), "1") if contigs is None else contigs
    return evaluate(labels, scores, classes, contigs, config)


def rows_of(found, **wanted):
    return [row for row in found if all(row[key] == value for key, value in wanted.items())]


def test_areas_are_scikit_learns_and_a_falling_score_is_turned_once_and_for_all():
    labels, values, _ = planted()
    right, wrong = scored(-values, "cosine", -1), scored(values, "dot", -1)
    found = run(labels, [right, wrong])["metrics"]
    assert found[0]["auroc"] == roc_auc_score(labels, values)
    assert found[0]["auprc"] == average_precision_score(labels, values)
    assert found[0]["auroc_low"] < found[0]["auroc"] < found[0]["auroc_high"]
    # A score that goes the other way than it should is bad, not good.
    assert found[1]["auroc"] == pytest.approx(1 - found[0]["auroc"])
    assert found[1]["auroc"] < 0.5


def test_intervals_hold_the_true_area_as_often_as_they_say():
    # Two normals one standard deviation apart: the area is Φ(1 / √2).
    truth = 0.5 * (1 + math.erf(0.5))
    held = []
    for seed in range(100):
        labels, values, _ = planted(seed)
        row = run(labels, [scored(values)])["metrics"][0]
        held.append(row["auroc_low"] <= truth <= row["auroc_high"])
    assert binomtest(sum(held), 100, 0.95).pvalue > 0.01


def test_shuffled_labels_are_within_chance_over_many_seeds():
    rejected = []
    for seed in range(100):
        labels, values, random = planted(seed)
        row = run(random.permutation(labels), [scored(values)])["metrics"][0]
        rejected.append(not row["auroc_low"] <= 0.5 <= row["auroc_high"])
    assert binomtest(sum(rejected), 100, 0.05).pvalue > 0.01


def test_differences_are_paired_on_the_variants_that_have_both_scores():
    labels, values, random = planted(effect=1.5)
    noise = random.normal(size=VARIANTS)
    partial = np.where(np.arange(VARIANTS) % 4 == 0, np.nan, noise)
    found = run(labels, [scored(values), scored(values, "l1"), scored(partial, "llr", -1)])
    same = rows_of(found["differences"], metric="auroc", score="l2", reference_score="l1")[0]
    assert (same["difference"], same["p_value"]) == (0, 1)
    other = rows_of(found["differences"], metric="auroc", score="l2", reference_score="llr")[0]
    known = np.isfinite(partial)
    assert other["variants"] == known.sum()
    expected = roc_auc_score(labels[known], values[known])
    assert other["value"] == expected
    assert other["difference"] == pytest.approx(
        expected - roc_auc_score(labels[known], -partial[known])
    )
    assert 0 < other["low"] < other["difference"] < other["high"]
    assert other["p_adjusted"] >= other["p_value"]


def test_scores_of_others_are_compared_on_the_common_variants_alone():
    labels, values, random = planted()
    few = np.where(random.random(VARIANTS) < 0.5, values, np.nan)
    nothing = np.full(VARIANTS, np.nan)
    scores = [
        scored(values),
        scored(few, "cadd", 1, EXTERNAL),
        scored(nothing, "gerp", 1, EXTERNAL),
    ]
    found = run(labels, scores)["metrics"]
    common = rows_of(found, subset=COMMON)
    # What no variant has leaves the others' common ones alone, and is said.
    assert [row["score"] for row in common] == ["l2", "cadd"]
    assert {row["variants"] for row in common} == {int(np.isfinite(few).sum())}
    assert common[0]["auroc"] == common[1]["auroc"]
    empty = rows_of(found, subset=ALL, score="gerp")[0]
    assert empty["missing"] == VARIANTS
    assert math.isnan(empty["auroc"])


def test_classes_with_enough_of_both_labels_are_scored_alone():
    labels, values, random = planted()
    classes = random.choice(
        ["missense_variant", "intron_variant", "rare"], VARIANTS, p=[0.5, 0.48, 0.02]
    )
    found = run(labels, [scored(values)], [classes])["metrics"]
    assert [row["subset"] for row in found] == [ALL, "intron_variant", "missense_variant"]
    own = classes == "missense_variant"
    assert found[2]["auroc"] == roc_auc_score(labels[own], values[own])
    assert (found[2]["variants"], found[2]["positives"]) == (own.sum(), labels[own].sum())


def test_areas_by_chromosome_weigh_variants_and_leave_out_chromosomes_of_one_label():
    random = np.random.default_rng(2)
    contigs = np.repeat(["1", "2", "3", "X"], [100, 60, 40, 10])
    labels = random.random(210) < 0.3
    labels[-10:] = False
    values = random.normal(size=210) + labels
    found = score_chromosomes(labels, values, contigs, 100, seed=1)
    parts = [average_precision_score(labels[contigs == c], values[contigs == c]) for c in "123"]
    assert found["chromosome_auprc"] == pytest.approx(np.average(parts, weights=[100, 60, 40]))
    assert found["chromosomes"] == 3
    # The standard error of a weighted mean of three, resampled: of the order of their spread / √3.
    assert 0.3 * np.std(parts) < found["chromosome_se"] < 1.5 * np.std(parts)
    alone = score_chromosomes(labels[:100], values[:100], contigs[:100], 100, seed=1)
    assert math.isnan(alone["chromosome_se"])


def test_severity_is_spearmans_correlation_with_the_score_as_it_is():
    random = np.random.default_rng(5)
    ranks = random.integers(10, size=300).astype(float)
    ranks[:20] = np.nan
    cosine = 1 - 0.01 * np.nan_to_num(ranks) + random.normal(0, 0.03, 300)
    row = correlate_severity([scored(cosine, "cosine", -1)], ranks, BOOTSTRAP)[0]
    assert row["spearman"] == pytest.approx(spearmanr(cosine[20:], ranks[20:])[0], abs=1e-12)
    assert row["low"] < row["spearman"] < row["high"] < 0
    assert (row["variants"], row["classes"]) == (280, 10)


def test_curves_run_from_corner_to_corner_and_enclose_the_area():
    labels, values, _ = planted()
    found = run(labels, [scored(values)])
    points = np.array([(row["x"], row["y"]) for row in found["curves"] if row["curve"] == "roc"])
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    others = np.array([(row["x"], row["y"]) for row in found["curves"] if row["curve"] == "pr"])
    assert others[-1].tolist() == [1, labels.mean()]
    assert (np.diff(others[:, 0]) >= 0).all()
    assert others[0, 0] > 0 or others[0, 1] == 0
    area = np.trapezoid(points[:, 1], points[:, 0])
    assert area == pytest.approx(found["metrics"][0]["auroc"], abs=0.01)
