"""How much of a task's labels follows from GC content or length alone.

Shapes: N rows, C labels of a row.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from dnalm.benchmark.baselines import gc_content
from dnalm.benchmark.labels import CLASSES, label_array


def confounding(table: pd.DataFrame, kind: str) -> dict[str, dict[str, Any]]:
    """Return for `gc` and `length` how strongly they go with the labels of all rows.

    `strength` is 0 where they say nothing and 1 where they decide: for classes and labels that are
    there or not |2 AUC − 1|, the mean over classes (each against the rest) or labels; for numbers
    the mean of |Spearman's ρ| over targets; for labels of bases |ρ| with the number of labelled
    bases.
    """
    values = {
        "gc": gc_content(table["sequence"])[:, 0],
        "length": table["sequence"].str.len().to_numpy(dtype=float),
    }
    targets, ordered = _targets(label_array(table, kind), kind)
    return {
        name: {
            "strength": _strength(value, targets, ordered),
        }
        for name, value in values.items()
    }


def _targets(labels: np.ndarray, kind: str) -> tuple[list[np.ndarray], bool]:
    """Return the labels as C arrays [N], and whether they are numbers instead of yes and no."""
    if kind in CLASSES:
        return [(labels == one).astype(int) for one in np.unique(labels)], False
    if kind == "per_base":
        return [(labels > 0).sum(axis=1)], True
    return list(labels.T), kind == "regression"


def _strength(value: np.ndarray, targets: list[np.ndarray], ordered: bool) -> float | None:
    """Return the mean over targets that vary; None where none does, 0 for a constant value."""
    varying = [target for target in targets if len(np.unique(target)) > 1]
    if not varying:
        return None
    if len(np.unique(value)) < 2:
        return 0.0
    if ordered:
        return float(np.mean([abs(spearmanr(value, target).statistic) for target in varying]))
    return float(np.mean([abs(2 * roc_auc_score(target, value) - 1) for target in varying]))
