"""How well scores of variants tell positive ones from negative ones, with bootstrap intervals.

Letters in shapes: V variants, N bootstrap draws.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from dnalm.benchmark.scoring.bootstrap import (
    BootstrapConfig,
    Resampled,
    stratified_draws,
    subtract,
)
from dnalm.benchmark.scoring.correction import adjust
from dnalm.benchmark.scoring.resampled_metrics import area, average_precision, rank_correlation
from dnalm.jobs.progress import progress

ALL, COMMON = "all", "common to all scores"
METRICS = {"auroc": (area, roc_auc_score), "auprc": (average_precision, average_precision_score)}
MAX_CURVE_POINTS = 200
EXTERNAL = "external"

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Bootstrap of the variants, the smallest class that is scored alone, and corrections.

    `min_class` is the least number of positives and of negatives of a consequence class;
    `chromosome_draws` the number of bootstraps over chromosomes.
    """

    bootstrap: BootstrapConfig
    correction: str
    min_class: int
    chromosome_draws: int


@dataclass(frozen=True, kw_only=True)
class ScoreColumn:
    """One score of V variants: the model or `external`, its name, sign and values, nan for none.

    The sign is fixed before any label is seen: 1 where the score rises with the effect of a
    variant, -1 where it falls.
    """

    model: str
    name: str
    sign: int
    values: np.ndarray

    @cached_property
    def known(self) -> np.ndarray:
        """The variants that have the score, bool [V]."""
        return np.isfinite(self.values)

    @property
    def oriented(self) -> np.ndarray:
        """The score, turned so that it rises with the effect, float64 [V]."""
        return self.sign * self.values.astype(np.float64)


@dataclass(kw_only=True)
class Evaluation:
    """Labels bool [V] and scores of the same V variants, and what was drawn of them so far."""

    labels: np.ndarray
    scores: Sequence[ScoreColumn]
    config: EvaluationConfig

    def __post_init__(self) -> None:
        self._drawn: dict[tuple[int, str, bytes], Resampled] = {}

    def measure(self, number: int, metric: str, rows: np.ndarray) -> Resampled:
        """Return a metric of a score on `rows`, bool [V], and its bootstrap draws.

        Scores of the same rows are scored on the same draws, so that they can be subtracted.
        """
        key = (number, metric, np.packbits(rows).tobytes())
        if key not in self._drawn:
            labels, values = self.labels[rows], self.scores[number].oriented[rows]
            resampled, exact = METRICS[metric]
            found = resampled(labels, values)
            drawn = [found(times) for times in stratified_draws(labels, self.config.bootstrap)]
            self._drawn[key] = Resampled(
                score=float(exact(labels, values)), drawn=np.concatenate(drawn), rows=len(labels)
            )
        return self._drawn[key]

    def has_both(self, rows: np.ndarray, least: int = 1) -> bool:
        """Return whether rows hold at least so many positives, and so many negatives."""
        positives = int(self.labels[rows].sum())
        return min(positives, int(rows.sum()) - positives) >= least


def evaluate(
    labels: np.ndarray,
    scores: Sequence[ScoreColumn],
    classes: Sequence[np.ndarray],
    contigs: np.ndarray,
    config: EvaluationConfig,
) -> dict[str, list[dict[str, Any]]]:
    """Return rows of `metrics`, `differences` and `curves` of V labelled variants.

    `labels` bool [V], `classes` several classifications of them, text [V], empty for none,
    `contigs` their contigs. A score that no variant has gives a row without numbers.
    """
    evaluation = Evaluation(labels=labels, scores=scores, config=config)
    subsets = dict(_list_subsets(evaluation, classes))
    metrics = []
    for number in progress(range(len(scores)), "evaluate", "scores"):
        metrics += [
            _describe(evaluation, number, name, rows, contigs if name == ALL else None)
            for name, rows in subsets.items()
            if name == ALL or (rows & scores[number].known).any()
        ]
    return {
        "metrics": metrics,
        "differences": _compare(evaluation),
        "curves": [
            row for number in range(len(scores)) for row in _draw_curves(evaluation, number)
        ],
    }


def _list_subsets(
    evaluation: Evaluation, classes: Sequence[np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    yield ALL, np.ones(len(evaluation.labels), dtype=bool)
    common = find_common(evaluation.scores)
    if common is not None:
        log.info("%d of %d variants have every score", common.sum(), len(common))
    if common is not None and not common.all() and evaluation.has_both(common):
        yield COMMON, common
    for own in classes:
        names = sorted(set(own) - {""})
        # One class that all belong to would say once more what is said of all.
        for name in names if len(names) > 1 or (own == "").any() else ():
            if evaluation.has_both(own == name, evaluation.config.min_class):
                yield name, own == name


def find_common(scores: Sequence[ScoreColumn]) -> np.ndarray | None:
    """Return the variants that have every score that any of them has; None without a score."""
    held = [score.known for score in scores if score.known.any()]
    return np.logical_and.reduce(held) if held else None


def _describe(
    evaluation: Evaluation, number: int, subset: str, rows: np.ndarray, contigs: np.ndarray | None
) -> dict[str, Any]:
    score, level = evaluation.scores[number], evaluation.config.bootstrap.level
    own = rows & score.known
    described = {
        "model": score.model,
        "score": score.name,
        "sign": score.sign,
        "subset": subset,
        "variants": int(own.sum()),
        "positives": int(evaluation.labels[own].sum()),
        "missing": int((rows & ~score.known).sum()),
    }
    defined = evaluation.has_both(own)
    for metric in METRICS:
        value, low, high = math.nan, math.nan, math.nan
        if defined:
            resampled = evaluation.measure(number, metric, own)
            value, (low, high) = resampled.score, resampled.interval(level)
        described |= {metric: value, f"{metric}_low": low, f"{metric}_high": high}
    if contigs is not None:
        described |= score_chromosomes(
            evaluation.labels[own],
            score.oriented[own],
            contigs[own],
            evaluation.config.chromosome_draws,
            evaluation.config.bootstrap.seed,
        )
    return described


def score_chromosomes(
    labels: np.ndarray, values: np.ndarray, contigs: np.ndarray, draws: int, seed: int
) -> dict[str, Any]:
    """Return the AUPRC by chromosome, averaged with numbers of variants as weights, and its SE.

    The standard error is that of bootstraps over chromosomes. This is TraitGym's measure; a
    chromosome with labels of one class alone has no AUPRC and is left out, and with one chromosome
    there is no standard error.
    """
    areas, weights = [], []
    for contig in np.unique(contigs):
        own = contigs == contig
        if len(np.unique(labels[own])) == 2:
            areas.append(average_precision_score(labels[own], values[own]))
            weights.append(own.sum())
    found = {"chromosomes": len(areas), "chromosome_auprc": math.nan, "chromosome_se": math.nan}
    if not areas:
        return found
    areas, weights = np.array(areas), np.array(weights, dtype=np.float64)
    found["chromosome_auprc"] = float(np.average(areas, weights=weights))
    if len(areas) > 1:
        generator = np.random.default_rng(seed)
        drawn = generator.integers(len(areas), size=(draws, len(areas)))
        means = (areas[drawn] * weights[drawn]).sum(axis=1) / weights[drawn].sum(axis=1)
        found["chromosome_se"] = float(means.std(ddof=1))
    return found


def list_pairs(scores: Sequence[ScoreColumn]) -> list[tuple[int, int]]:
    """Return the pairs that are compared: within a model, of one score, and with external ones."""
    return [
        (i, j)
        for i, j in combinations(range(len(scores)), 2)
        if scores[i].model == scores[j].model
        or scores[i].name == scores[j].name
        or EXTERNAL in (scores[i].model, scores[j].model)
    ]


def _compare(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return paired differences of each metric on the variants that have both scores."""
    config, scores = evaluation.config, evaluation.scores
    compared = []
    for i, j in progress(list_pairs(scores), "compare", "pairs"):
        rows = scores[i].known & scores[j].known
        if not evaluation.has_both(rows):
            continue
        for metric in METRICS:
            both = evaluation.measure(i, metric, rows), evaluation.measure(j, metric, rows)
            found = subtract(*both, config.bootstrap.level)
            compared.append(
                {
                    "metric": metric,
                    "model": scores[i].model,
                    "score": scores[i].name,
                    "reference_model": scores[j].model,
                    "reference_score": scores[j].name,
                    "value": found.first,
                    "reference_value": found.second,
                    "difference": found.difference,
                    "low": found.low,
                    "high": found.high,
                    "p_value": found.p_value,
                    "variants": found.rows,
                }
            )
    adjusted = adjust(np.array([row["p_value"] for row in compared]), config.correction)
    return [{**row, "p_adjusted": float(p)} for row, p in zip(compared, adjusted, strict=True)]


def _draw_curves(evaluation: Evaluation, number: int) -> Iterator[dict[str, Any]]:
    """Yield points of the ROC and the precision-recall curve of a score on all its variants."""
    score = evaluation.scores[number]
    if not evaluation.has_both(score.known):
        return
    labels, values = evaluation.labels[score.known], score.oriented[score.known]
    false, true, _ = roc_curve(labels, values)
    precision, recall, _ = precision_recall_curve(labels, values)
    # scikit-learn adds a precision of 1 at recall 0, which no threshold gives.
    given = slice(-2, None, -1)
    for curve, x, y in (("roc", false, true), ("pr", recall[given], precision[given])):
        shown = np.unique(np.linspace(0, len(x) - 1, MAX_CURVE_POINTS).round().astype(int))
        for place in shown:
            yield {
                "model": score.model,
                "score": score.name,
                "curve": curve,
                "x": float(x[place]),
                "y": float(y[place]),
            }


def correlate_severity(
    scores: Sequence[ScoreColumn], ranks: np.ndarray, config: BootstrapConfig
) -> list[dict[str, Any]]:
    """Return Spearman's correlation of each score, as it is, with the severity of V variants.

    `ranks` float [V] are nan for variants whose consequence has no rank. Variants are drawn within
    their consequence class. The sign is the score's own: a cosine that falls with severity
    correlates negatively, as in the paper.
    """
    rows = []
    for score in progress(scores, "correlate", "scores"):
        known = score.known & np.isfinite(ranks)
        values, own = score.values[known].astype(np.float64), ranks[known]
        found = Resampled(score=math.nan, drawn=np.empty(0), rows=int(known.sum()))
        if len(np.unique(own)) > 1 and len(np.unique(values)) > 1:
            spearman = rank_correlation(values, own)
            drawn = [spearman(times) for times in stratified_draws(own, config)]
            everything = np.ones((1, len(own)), dtype=np.float32)
            found = Resampled(
                score=float(spearman(everything)[0]), drawn=np.concatenate(drawn), rows=len(own)
            )
        low, high = found.interval(config.level)
        rows.append(
            {
                "model": score.model,
                "score": score.name,
                "variants": found.rows,
                "classes": len(np.unique(own)),
                "spearman": found.score,
                "low": low,
                "high": high,
            }
        )
    return rows
