"""The scores of every label or target of a task, not their mean alone."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dnalm.benchmark.scoring.metrics import FROM_PROBABILITIES, OF_ONE_COLUMN, rank_classes
from dnalm.benchmark.scoring.ranking import MULTIPLES
from dnalm.benchmark.scoring.stored_outputs import Outputs
from dnalm.benchmark.tasks.kinds import BASES, FLAG, find_kind

OF_ALL = "_mean"  # what the name of a metric ends with that is a mean over labels or targets
SCORED = 2  # first metrics of a kind: AUC and average precision; Pearson's and Spearman's r


def output_scores(
    splits: Iterable[tuple[np.ndarray, Outputs, Outputs | None]], kind: str
) -> dict[str, Any]:
    """Return {metric: {mean, sd}} over splits, lists by label, target or class of bases above 0.

    `splits` are labels, predictions and probabilities of the test rows, as `metrics.score` takes
    them. None stands where a score is undefined, because no test row differs there, and where one
    split alone has no deviation. `positives` are the rows that have each label, None of targets.
    """
    traits = find_kind(kind)
    if traits.shape == BASES:
        return _of_bases(splits)
    metrics = [metric for metric in traits.metrics if metric in OF_ONE_COLUMN][:SCORED]
    scores: dict[str, list[list[float]]] = {metric: [] for metric in metrics}
    for labels, predicted, probabilities in splits:
        varying = np.broadcast_to(traits.varying(labels), labels.shape[1])
        for metric in metrics:
            outputs = probabilities if metric in FROM_PROBABILITIES else predicted
            score = OF_ONE_COLUMN[metric]
            scores[metric].append(
                [
                    float(score(labels[:, c], outputs[:, c])) if varying[c] else math.nan
                    for c in range(labels.shape[1])
                ]
            )
    positives = (labels == 1).sum(axis=0).tolist() if traits.value == FLAG else None
    means = {metric.removesuffix(OF_ALL): _over_splits(found) for metric, found in scores.items()}
    return means | {"positives": positives}


def _of_bases(
    splits: Iterable[tuple[np.ndarray, Outputs, Outputs]],
) -> dict[str, Any]:
    """Return the scores of each class of bases above 0, top-k accuracy by multiple of its bases."""
    names = {multiple: f"top_{multiple:g}k_accuracy" for multiple in MULTIPLES}
    scores: dict[str, list[list[float]]] = {name: [] for name in names.values()}
    precisions: list[list[float]] = []
    for labels, _, probabilities in splits:
        classes = range(1, probabilities.shape[-1])
        ranked = rank_classes(labels, probabilities, classes)
        for multiple, name in names.items():
            scores[name].append([one.top_k[multiple] if one else math.nan for one in ranked])
        precisions.append([one.average_precision if one else math.nan for one in ranked])
        positives = [int((labels == label).sum()) for label in classes]
    found = {**scores, "average_precision": precisions}
    return {name: _over_splits(values) for name, values in found.items()} | {"positives": positives}


def _over_splits(scores: list[list[float]]) -> Mapping[str, list[float | None]]:
    array = np.array(scores)
    deviation = array.std(axis=0, ddof=1) if len(array) > 1 else np.full(array.shape[1], math.nan)
    return {"mean": _defined(array.mean(axis=0)), "sd": _defined(deviation)}


def _defined(values: np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]
