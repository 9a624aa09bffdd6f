"""Correction of p-values for multiple comparisons."""

import numpy as np

from dnalm.suggestions import check_choice

CORRECTIONS = ("holm", "benjamini_hochberg", "none")


def adjust(p_values: np.ndarray, correction: str) -> np.ndarray:
    """Return adjusted p-values in the order given; nan stays nan and is not counted.

    `holm` bounds the chance that any of the comparisons is called different by mistake (Holm 1979),
    `benjamini_hochberg` the share of mistakes among those called different (1995).
    """
    check_choice("report.correction", correction, CORRECTIONS)
    adjusted = np.array(p_values, dtype=np.float64)
    known = ~np.isnan(adjusted)
    if correction == "holm":
        adjusted[known] = _holm(adjusted[known])
    elif correction == "benjamini_hochberg" and known.any():
        from scipy.stats import false_discovery_control  # which loads for half a second

        adjusted[known] = false_discovery_control(adjusted[known])
    return adjusted


def _holm(p_values: np.ndarray) -> np.ndarray:
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * p_values[order]), 1.0)
    return adjusted
