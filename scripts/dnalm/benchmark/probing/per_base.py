"""Baselines of per-base tasks without a language model: class shares, position weight matrices.

Shapes: N rows of the task table, L bases of the longest, C classes, O offsets, A letters.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from dnalm.benchmark.probing.baselines import Settings
from dnalm.benchmark.probing.choice import best_of, mean_and_sd, score_test_rows
from dnalm.benchmark.scoring.metrics import headline, single_score
from dnalm.benchmark.scoring.results import Result
from dnalm.benchmark.scoring.stored_outputs import (
    Outputs,
    decide,
    new_outputs,
    put_rows,
    row_blocks,
)
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.benchmark.tasks.labels import NO_LABEL, count_classes, pad
from dnalm.benchmark.tasks.splits import Splits
from dnalm.genome.kmers import ALPHABET, N, to_codes
from dnalm.methods import find_baseline, find_function

Codes = NDArray[np.uint8]  # [N, L]: 0 to 3, else N, which is also what lies outside of a sequence
Predict = Callable[[Codes], NDArray[np.float32]]  # probabilities [N, L, C]
Fit = Callable[[Codes, np.ndarray, int], Predict]  # of training bases, their labels, and C


def score_bases(
    name: str,
    config: Mapping[str, Settings],
    table: pd.DataFrame,
    kind: str,
    folder: str | Path | None = None,
) -> Result:
    """Return a baseline's test scores on a per-base task; its candidate is chosen on validation.

    `config` is the section `baselines`. Each split's model is made from its training rows alone;
    the candidate with the best mean validation score over splits is scored on the test rows once.
    Outputs lie in files without a name in `folder`, None: in memory.
    Raises InputError for a baseline that says nothing of single bases.
    """
    started = time.monotonic()
    splits, metric = Splits(table, kind), headline(kind)
    codes = pad(map(to_codes, table["sequence"]), np.uint8, N)
    candidates = find_function(find_baseline(name).bases)(config.get(name) or {})
    grid = []
    for candidate, fit in candidates.items():
        scores = []
        for split in splits:
            predict = _fit(fit, codes, splits, split.training)
            outputs = _predict(predict, codes, split.validation, splits.classes, folder)
            truth = splits.labels[split.validation]
            decided = decide(outputs, find_kind(kind))
            scores.append(single_score(metric, truth, decided, outputs, kind))
        mean, deviation = mean_and_sd(scores)
        grid.append(
            {
                "feature": candidate,
                f"validation_{metric}_mean": mean,
                f"validation_{metric}_sd": deviation,
                "unscored": int(np.isnan(scores).sum()),
            }
        )
    best = best_of(grid, metric, "candidates", "lower cross_validation.splits")
    chosen = candidates[best["feature"]]
    outputs = [
        _predict(
            _fit(chosen, codes, splits, split.training), codes, splits.test, splits.classes, folder
        )
        for split in splits
    ]
    scores, predictions = score_test_rows(table, splits, kind, outputs)
    return Result(
        selected={"feature": best["feature"]},
        edge=len(grid) > 1 and best in (grid[0], grid[-1]),
        grid=grid,
        scores=scores,
        predictions=predictions,
        seconds=time.monotonic() - started,
        not_converged=0,
        fitted={},
        computed={},
    )


def _fit(fit: Fit, codes: Codes, splits: Splits, rows: np.ndarray) -> Predict:
    return fit(codes[rows], splits.labels[rows], splits.classes)


def _predict(
    predict: Predict, codes: Codes, rows: np.ndarray, classes: int, folder: str | Path | None
) -> Outputs:
    """Return the probabilities [R, L, C] of some rows, computed and written in blocks."""
    outputs = new_outputs(folder, (len(rows), codes.shape[1], classes))
    for block in row_blocks(len(rows), codes.shape[1]):
        put_rows(outputs, np.arange(block.start, block.stop), predict(codes[rows[block]]))
    return outputs


def class_shares(settings: Settings) -> dict[str, Fit]:
    """Return the constant: every base gets the shares of the classes among training bases."""
    return {"constant": _fit_shares}


def position_weights(settings: Settings) -> dict[str, Fit]:
    """Return position weight matrices of `settings["flanks"]` bases on either side of a base.

    Of each class the frequencies of bases at every offset, with add-one smoothing; a base has the
    probabilities of the classes by Bayes' rule with independent offsets. An N, or what lies
    outside of the sequence, counts for no class.
    """
    return {f"flank={flank}": partial(_fit_weights, flank=flank) for flank in settings["flanks"]}


def _fit_shares(codes: Codes, labels: np.ndarray, classes: int) -> Predict:
    shares = np.array(count_classes(labels, classes))
    shares = (shares / shares.sum()).astype(np.float32)
    return lambda codes: np.broadcast_to(shares, (*codes.shape, classes)).copy()


def _fit_weights(codes: Codes, labels: np.ndarray, classes: int, *, flank: int) -> Predict:
    offsets, letters = range(-flank, flank + 1), len(ALPHABET)
    weights = np.zeros((len(offsets), N + 1, classes), dtype=np.float32)  # 0 for N
    for row, offset in zip(weights, offsets, strict=True):
        counts = np.ones(classes * letters, dtype=np.int64)
        for block in row_blocks(*codes.shape):
            seen, own = _shift(codes[block], offset), labels[block]
            known = (own != NO_LABEL) & (seen != N)
            pairs = own[known].astype(np.int64) * letters + seen[known]
            counts += np.bincount(pairs, minlength=len(counts))
        shares = counts.reshape(classes, letters)
        row[:letters] = np.log(shares / shares.sum(1, keepdims=True)).T
    # A class that no training base has keeps the smallest share, so that its logarithm is defined.
    shares = np.array(count_classes(labels, classes)) + 1
    prior = np.log(shares / shares.sum()).astype(np.float32)

    def predict(codes: Codes) -> NDArray[np.float32]:
        outputs = np.broadcast_to(prior, (*codes.shape, classes)).copy()
        for row, offset in zip(weights, offsets, strict=True):
            outputs += row[_shift(codes, offset)]
        return softmax(outputs, axis=-1)

    return predict


def _shift(codes: Codes, offset: int) -> Codes:
    """Return the letter that lies `offset` bases to the right of each base, N outside."""
    shifted = np.full_like(codes, N)
    length = codes.shape[1]
    first, last = max(0, -offset), min(length, length - offset)
    if first < last:
        shifted[:, first:last] = codes[:, first + offset : last + offset]
    return shifted
