"""Headline metrics on bootstrap draws of the rows, many draws at a time.

Equal to `dnalm.benchmark.scoring.metrics` on rows repeated as often as they were drawn.
Shapes: N draws, F folds, R rows, C classes (multilabel: labels, regression: targets). Tasks
of bases have a module of their own, `top_bases`.
"""

from collections.abc import Callable, Iterable

import numpy as np

from dnalm.benchmark.tasks.kinds import find_kind

# How often each row was drawn, float [N, R] -> the mean over folds of the metric, float64 [N].
Resampled = Callable[[np.ndarray], np.ndarray]
# A variance this far below that of all rows is rounding.
ROUNDING = 1e-12


def resampled_metric(
    labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray | None, kind: str
) -> Resampled:
    """Return a function of bootstrap draws that gives `headline(kind)`, averaged over folds.

    `labels` are those of R rows as `label_array` gives them, `predictions` and `probabilities` as
    in `metrics.score` with the folds before. A draw gives nan where the metric is not defined.
    """
    traits = find_kind(kind)
    return RESAMPLED[traits.headline](labels, probabilities if traits.ranked else predictions)


def _mean_over_parts(
    parts_of: Callable[[np.ndarray, np.ndarray], list[Resampled]],
) -> Callable[[np.ndarray, np.ndarray], Resampled]:
    """Return a function of labels and outputs: the mean over folds of means over labels."""

    def resampled(labels: np.ndarray, outputs: np.ndarray) -> Resampled:
        folds = [parts_of(labels, fold) for fold in outputs]
        return lambda draws: np.mean(
            [mean_of_known(part(draws) for part in fold) for fold in folds], axis=0
        )

    return resampled


def _matthews(right: np.ndarray, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Return the multi-class Matthews correlation [N], 0 if undefined, from what is counted.

    `right` [N] are hits, `labels` and `predictions` [N, C] how often each class is true and said.
    """
    total = labels.sum(-1)
    covariance = right * total - (labels * predictions).sum(-1)
    spread = (total**2 - (labels**2).sum(-1)) * (total**2 - (predictions**2).sum(-1))
    return np.divide(covariance, np.sqrt(spread), out=np.zeros_like(covariance), where=spread > 0)


def _matthews_of_folds(labels: np.ndarray, predictions: np.ndarray) -> Resampled:
    classes = np.arange(1 + int(max(labels.max(), predictions.max())))
    # Not the whole confusion matrix, whose size is the square of the number of classes.
    right = (predictions == labels).T.astype(np.float32)  # [R, F]
    truth = (labels[:, None] == classes).astype(np.float32)  # [R, C]
    guesses = [(fold[:, None] == classes).astype(np.float32) for fold in predictions]

    def mean_mcc(draws: np.ndarray) -> np.ndarray:
        draws = draws.astype(np.float32)
        hits, true = (draws @ right).astype(np.float64), (draws @ truth).astype(np.float64)
        folds = [
            _matthews(own, true, (draws @ guess).astype(np.float64))
            for own, guess in zip(hits.T, guesses, strict=True)
        ]
        return np.mean(folds, axis=0)

    return mean_mcc


def mean_of_known(values: Iterable[np.ndarray]) -> np.ndarray:
    """Return the mean [N] over what is not nan, nan where nothing is left."""
    stacked = np.stack(list(values))
    known = ~np.isnan(stacked)
    count = known.sum(axis=0)
    total = np.where(known, stacked, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _correlations(labels: np.ndarray, predictions: np.ndarray) -> list[Resampled]:
    pairs = zip(labels.T, predictions.T, strict=True)
    return [_correlation(truth - truth.mean(), found - found.mean()) for truth, found in pairs]


def _correlation(truth: np.ndarray, found: np.ndarray) -> Resampled:
    """Return the Pearson correlation; 0 with a constant prediction, nan with a constant truth."""
    products = np.stack([truth, found, truth * truth, found * found, truth * found], axis=1)
    least = ROUNDING * products[:, 2:4].mean(axis=0)

    def correlation(draws: np.ndarray) -> np.ndarray:
        moments = draws @ products / draws.sum(axis=1, keepdims=True)
        x, y, xx, yy, xy = moments.T
        spreads = np.stack([xx - x * x, yy - y * y], axis=1)
        varies = spreads > least
        spread = np.sqrt(np.where(varies, spreads, 0.0).prod(axis=1))
        values = np.divide(xy - x * y, spread, out=np.zeros(len(draws)), where=spread > 0)
        return np.where(varies[:, 0], values, np.nan)

    return correlation


def _areas_of_folds(labels: np.ndarray, probabilities: np.ndarray) -> Resampled:
    folds = [
        [_area(*pair) for pair in zip(labels.T, fold.T, strict=True)] for fold in probabilities
    ]

    def mean_area(draws: np.ndarray) -> np.ndarray:
        times = _by_row(draws)  # once for all labels, which may be a thousand
        return np.mean([mean_of_known(part(times) for part in fold) for fold in folds], axis=0)

    return mean_area


def area(truth: np.ndarray, probability: np.ndarray) -> Resampled:
    """Return the area under the ROC curve; nan where one of both classes was not drawn."""
    found = _area(truth, probability)
    return lambda draws: found(_by_row(draws))


def _by_row(draws: np.ndarray) -> np.ndarray:
    """Return draws [N, R] as uint16 [R, N]: small, with the numbers of a row side by side."""
    return np.ascontiguousarray(draws.T, dtype=np.uint16)


def _area(truth: np.ndarray, probability: np.ndarray) -> Resampled:
    """Return the same as `area`, of draws [R, N]."""
    from dnalm.benchmark.scoring.drawn_areas import drawn_areas  # numba

    order = np.argsort(probability, kind="stable").astype(np.int32)
    ranked, positive = probability[order], truth[order] == 1
    last = np.append(ranked[1:] != ranked[:-1], np.ones(min(len(ranked), 1), dtype=bool))
    return lambda times: drawn_areas(times, order, positive, last)


def average_precision(truth: np.ndarray, values: np.ndarray) -> Resampled:
    """Return the area under the precision-recall curve, in steps; nan where no positive was drawn.

    Equal values are one step, so that their order says nothing.
    """
    order = np.argsort(-values, kind="stable")
    ranked, positive = values[order], truth[order] == 1
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)

    def precisions(draws: np.ndarray) -> np.ndarray:
        drawn = draws[:, order].astype(np.float64)
        counted = np.cumsum(drawn, axis=1)[:, ends]
        drawn[:, ~positive] = 0.0
        true = np.cumsum(drawn, axis=1, out=drawn)[:, ends]
        precision = np.divide(true, counted, out=np.zeros_like(true), where=counted > 0)
        found = (np.diff(true, axis=1, prepend=0.0) * precision).sum(axis=1)
        total = true[:, -1]
        return np.divide(found, total, out=np.full(len(draws), np.nan), where=total > 0)

    return precisions


def rank_correlation(first: np.ndarray, second: np.ndarray) -> Resampled:
    """Return Spearman's correlation of two values [R]; nan where one of them does not vary."""
    rankings = [_ranking(first), _ranking(second)]

    def correlations(draws: np.ndarray) -> np.ndarray:
        draws = draws.astype(np.float64)
        total = draws.sum(axis=1, keepdims=True)
        # The mean of ranks is known, and without it the products lose no digits.
        x, y = (ranked(draws) - (total + 1) / 2 for ranked in rankings)
        spread = np.sqrt((draws * x * x).sum(axis=1) * (draws * y * y).sum(axis=1))
        return np.divide(
            (draws * x * y).sum(axis=1), spread, out=np.full(len(draws), np.nan), where=spread > 0
        )

    return correlations


def _ranking(values: np.ndarray) -> Resampled:
    """Return a function of draws that gives the rank of each row among those drawn, [N, R].

    Equal rows share their mean rank.
    """
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]])[: len(ranked)])
    group = np.empty(len(values), dtype=np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(ranked))))

    def ranks(draws: np.ndarray) -> np.ndarray:
        sizes = np.add.reduceat(draws[:, order], starts, axis=1)
        return (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group]

    return ranks


# By headline: (labels, outputs of all folds) -> function of draws.
RESAMPLED: dict[str, Callable[[np.ndarray, np.ndarray], Resampled]] = {
    "mcc": _matthews_of_folds,
    "pearson_mean": _mean_over_parts(_correlations),
    "auc_mean": _areas_of_folds,
}
