"""Matched negatives: common variants near each positive one, by class and distance as asked for.

The paper drew common variants (minor allele frequency above 5 %) within 100 kb [unverified].
"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dnalm.errors import InputError
from dnalm.variants.prioritisation.allele_tables import key_of, plain_contig, to_numbers

RANDOM, NEAREST, TSS_DISTANCE = "random", "nearest", "tss_distance"

DISTANCE = "tss_distance"  # column, in bases

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MatchConfig:
    """How negatives are drawn from the variants of the file `common`.

    `frequency` is its INFO field of allele frequencies; the rarer allele has at least
    `min_frequency`. Each positive gets up to `ratio` negatives that lie at most `within` bases
    away, of its own consequence class where `same_consequence` says so: by `choose` random ones,
    the nearest, or (tss_distance) those that are about as far from the nearest start site of the
    file `tss` as the positive is.
    """

    common: str
    tss: str | None
    frequency: str
    min_frequency: float
    within: int
    same_consequence: bool
    choose: str
    ratio: int
    seed: int


def select_common(table: pd.DataFrame, config: MatchConfig) -> np.ndarray:
    """Return a bool mask of the single-base variants that are common, from texts of frequencies.

    Raises InputError where a frequency is no number or none is common.
    """
    what = f"{config.common}, INFO field {config.frequency}"
    frequencies = to_numbers(table[config.frequency], what)
    rarer = np.minimum(frequencies, 1 - frequencies)
    single = (table["ref"].str.len() == 1) & (table["alt"].str.len() == 1)
    letters = table["alt"].isin(list("ACGT")).to_numpy()
    # In float32, as files hold it, 0.05 may be a little less.
    common = (rarer >= config.min_frequency - 1e-9) & single.to_numpy() & letters
    if not common.any():
        raise InputError(
            f"{what}: no single-base variant has a minor allele frequency of "
            f"{config.min_frequency:g} or more; name the field of frequencies or lower "
            "match.min_frequency."
        )
    return common


def match_negatives(
    positives: pd.DataFrame, candidates: pd.DataFrame, config: MatchConfig
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Return rows of `candidates`, for each the row of its positive, and counts.

    Both have chrom, pos, ref and alt, and where they are asked for, consequence and tss_distance:
    a positive or a candidate that is on no contig with start sites has no match. A candidate is
    drawn once; one that is itself positive is none. The positives with fewest candidates choose
    first, in random order among equals, so that as few as possible go short. The same `seed` gives
    the same negatives.
    """
    random = np.random.default_rng(config.seed)
    usable = ~key_of(candidates).isin(key_of(positives))
    near = _find_near(positives, candidates, usable, config)
    order = np.lexsort([random.random(len(near)), [len(rows) for rows in near]])
    taken = np.zeros(len(candidates), dtype=bool)
    chosen: list[np.ndarray] = []
    groups: list[np.ndarray] = []
    short = 0
    for row in order:
        free = near[row][~taken[near[row]]]
        picked = _pick(positives.iloc[row], candidates, free, config, random)
        taken[picked] = True
        short += len(picked) < config.ratio
        chosen.append(picked)
        groups.append(np.full(len(picked), row))
    counts = {
        "positives_with_too_few_negatives": int(short),
        "matched_negatives": int(taken.sum()),
        "common_variants": len(candidates),
    }
    empty = np.empty(0, dtype=np.int64)
    rows, of = np.concatenate([empty, *chosen]), np.concatenate([empty, *groups])
    if config.choose == TSS_DISTANCE and len(rows):
        far = candidates[DISTANCE].to_numpy()[rows] - positives[DISTANCE].to_numpy()[of]
        counts["tss_distance_median_difference"] = float(np.median(np.abs(far)))
        counts["tss_distance_largest_difference"] = float(np.abs(far).max())
    if short:
        log.warning(
            "%d of %d positives have fewer than %d matched negatives",
            short,
            len(near),
            config.ratio,
        )
    if not taken.any():
        raise InputError(
            f"{config.common}: not one common variant lies within {config.within:,} bases of a "
            f"positive{' and has its consequence' if config.same_consequence else ''}; widen "
            "match.within or name the file of the same genome."
        )
    return rows, of, counts


def _find_near(
    positives: pd.DataFrame, candidates: pd.DataFrame, usable: np.ndarray, config: MatchConfig
) -> list[np.ndarray]:
    """Return, for each positive, the rows of the candidates that may be its negatives."""
    contigs = candidates["chrom"].map(plain_contig).to_numpy()
    places = candidates["pos"].to_numpy()
    by_contig = {}
    for contig in np.unique(contigs):
        rows = np.flatnonzero((contigs == contig) & usable)
        rows = rows[np.argsort(places[rows], kind="stable")]
        by_contig[contig] = rows, places[rows]
    classes = candidates["consequence"].to_numpy() if config.same_consequence else None
    near = []
    for positive in positives.itertuples(index=False):
        rows, sites = by_contig.get(plain_contig(positive.chrom), (np.empty(0, int), np.empty(0)))
        first = np.searchsorted(sites, positive.pos - config.within, side="left")
        last = np.searchsorted(sites, positive.pos + config.within, side="right")
        found = rows[first:last]
        if config.choose == TSS_DISTANCE:
            far = candidates[DISTANCE].to_numpy()[found]
            found = found[np.isfinite(far) & np.isfinite(positive.tss_distance)]
        if classes is not None:
            found = found[classes[found] == positive.consequence]
        near.append(found)
    return near


def _pick(
    positive: pd.Series,
    candidates: pd.DataFrame,
    free: np.ndarray,
    config: MatchConfig,
    random: np.random.Generator,
) -> np.ndarray:
    if len(free) <= config.ratio:
        return free
    if config.choose == RANDOM:
        return random.choice(free, config.ratio, replace=False)
    measured = "pos" if config.choose == NEAREST else DISTANCE
    distances = np.abs(candidates[measured].to_numpy()[free] - positive[measured])
    ties = random.random(len(free))
    return free[np.lexsort([ties, distances])[: config.ratio]]
