"""Prioritisation by a probe: logistic regression on vectors of both alleles, by chromosome.

Every variant is scored by a model that has seen no variant of its chromosome.
Letters in shapes: V variants, D dimensions.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnalm.errors import InputError
from dnalm.jobs.progress import progress

MAX_ITERATIONS = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig:
    """Groups of chromosomes, and the inverse strengths C among which inner groups choose."""

    groups: int
    inner_groups: int
    penalties: Sequence[float]


def group_chromosomes(counts: Mapping[str, int], groups: int) -> dict[str, int]:
    """Return the group of each chromosome, so that groups hold about as many variants each.

    The largest chromosome first, each to the group that holds least so far. Raises InputError for
    fewer chromosomes than groups.
    """
    if len(counts) < groups:
        raise InputError(
            f"supervised: variants lie on {len(counts)} chromosome(s), but {groups} groups of "
            "chromosomes are asked for; lower supervised.groups, or drop `supervised`."
        )
    held = np.zeros(groups, dtype=np.int64)
    found = {}
    for contig in sorted(counts, key=lambda name: (-counts[name], name)):
        found[contig] = int(held.argmin())
        held[found[contig]] += counts[contig]
    return found


def deal_to_groups(contigs: np.ndarray, groups: int) -> np.ndarray:
    """Return the group of each variant, int [V], by the chromosomes `contigs`, text [V]."""
    names, counts = np.unique(contigs, return_counts=True)
    group_of = group_chromosomes(dict(zip(names.tolist(), counts.tolist(), strict=True)), groups)
    return np.array([group_of[contig] for contig in contigs.tolist()])


def check_held_out(labels: np.ndarray, contigs: np.ndarray, held_out: np.ndarray) -> None:
    """Raise InputError where the variants beside those that are `held_out` have one label."""
    if len(np.unique(labels[~held_out])) < 2:
        raise InputError(
            "supervised: outside of the chromosomes "
            f"{', '.join(sorted(set(contigs[held_out])))} all variants have one label; lower "
            "supervised.groups."
        )


def join_vectors(reference: np.ndarray, alternative: np.ndarray) -> np.ndarray:
    """Return [V, 3 D]: the vectors of the reference, of the alternative, and their difference."""
    reference, alternative = reference.astype(np.float64), alternative.astype(np.float64)
    return np.concatenate([reference, alternative, alternative - reference], axis=1)


def score_supervised(
    features: np.ndarray,
    labels: np.ndarray,
    contigs: np.ndarray,
    config: SupervisedConfig,
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Return log-odds [V] by models that have not seen a variant's chromosome, and their choices.

    `features` float [V, F], `labels` bool [V], `contigs` text [V]. Features are standardised by
    training rows, classes weigh the same, and C is chosen by average precision on inner groups of
    whole chromosomes. Raises InputError where the variants beside a group have labels of one class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    groups = deal_to_groups(contigs, config.groups)
    scored, chosen = np.full(len(labels), np.nan), []
    for group in progress(range(config.groups), "train", "groups of chromosomes"):
        held_out = groups == group
        check_held_out(labels, contigs, held_out)
        inner = min(config.inner_groups, len(np.unique(contigs[~held_out])))
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(class_weight="balanced", max_iter=MAX_ITERATIONS),
        )
        if inner > 1:
            search = GridSearchCV(
                model,
                {"logisticregression__C": list(config.penalties)},
                scoring="average_precision",
                cv=GroupKFold(inner),
            )
            fitted = search.fit(features[~held_out], labels[~held_out], groups=contigs[~held_out])
            penalty = fitted.best_params_["logisticregression__C"]
        else:  # no chromosome is left to choose on: the middle one of those asked for
            penalty = sorted(config.penalties)[len(config.penalties) // 2]
            fitted = model.set_params(logisticregression__C=penalty)
            fitted.fit(features[~held_out], labels[~held_out])
        scored[held_out] = fitted.decision_function(features[held_out])
        chosen.append(
            {
                "group": group,
                "chromosomes": sorted(set(contigs[held_out].tolist())),
                "variants": int(held_out.sum()),
                "positives": int(labels[held_out].sum()),
                "penalty": float(penalty),
            }
        )
    return scored, chosen
