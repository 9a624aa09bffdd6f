"""Scores of variants against measured effects: Pearson and Spearman correlations with intervals.

Variants of one position share their window and much of what decides an effect: the bootstrap draws
positions. Shapes: A variants.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from dnalm.benchmark.parquet import write_parquet
from dnalm.benchmark.scoring.bootstrap import interval
from dnalm.devices import find_precision, visible_devices
from dnalm.errors import InputError
from dnalm.files import atomic_path
from dnalm.interpretation.likelihoods.assay_table import CONTIG, list_alleles, read_assay
from dnalm.jobs.progress import Progress, progress
from dnalm.variants.passes import score_alleles
from dnalm.variants.readings import collect_windows, count_passes
from dnalm.variants.score_table import BY_NAME
from dnalm.variants.scoring import make_scoring

SIGNED, ABSOLUTE = "signed", "absolute"
VARIANT, POSITION = "variant", "position"
# −ln p of the reference k-mer under a mask: what the other two say of it.
REFERENCE_LOSS, OF_REFERENCE_LOSS = "masked_loss_ref", ("llr", "masked_loss_alt")
LEAST = 3  # points of a correlation

log = logging.getLogger(__name__)


def score_assay(
    files: Mapping[str, str], settings: Mapping[str, Any], outputs: Mapping[str, str | Path]
) -> None:
    """Write correlations (`summary`) and the variants with effects and scores (`variants`).

    `files` are table, run, weights, bases, contigs and manifest, `settings` those of an entry of
    `assays:` with those of `variant:` below them; of a model that is not ours they are as
    `make_scoring` has them. Raises InputError for whatever `read_assay` and
    `make_scoring` refuse, and where fewer than three variants have a window.
    """
    device = visible_devices()[0]
    precision = find_precision(settings["precision"], "variant.precision", [device])
    given = {**files, "variants": files["table"]}
    scoring = make_scoring(given, {**settings, "precision": precision}, threads=1)
    windows = scoring.open_windows()
    table = read_assay(files["table"], settings, windows)
    alleles = list_alleles(table)
    readable = {
        row: allele for row, allele in enumerate(alleles) if windows.find_unreadable(allele) is None
    }
    if len(readable) < len(alleles):
        log.warning(
            "%s: the windows of %d of %d variants hold N and are left out",
            *(files["table"], len(alleles) - len(readable), len(alleles)),
        )
    if len(readable) < LEAST:
        raise InputError(
            f"{files['table']}: {len(readable)} variants have a window without N; a correlation"
            f" takes {LEAST}."
        )
    passes = count_passes(collect_windows(windows, readable, scoring.plan), scoring.plan)
    with Progress("score variants", "windows", passes) as bar:
        scored = score_alleles(
            scoring.open_model(device),
            windows,
            readable,
            len(alleles),
            scoring.plan,
            scoring.batch_tokens,
            bar.advance,
        )
    names = {key: settings[key] for key in ("assay", "model")}
    table = table.join(pd.DataFrame(scored.scores, columns=list(scoring.plan.scores)))
    scores = list(scoring.plan.scores)
    if set(OF_REFERENCE_LOSS) <= set(scores):
        table[REFERENCE_LOSS] = table["llr"] + table["masked_loss_alt"]
        scores.append(REFERENCE_LOSS)
    rows = [
        {**names, **row, "published_as": settings["published_as"] or ""}
        for row in correlate(table, scores, settings["bootstrap"])
    ]
    write_parquet(table.assign(**names)[[*names, *table.columns]], outputs["variants"], names)
    with atomic_path(outputs["summary"]) as temporary:
        pd.DataFrame(rows).to_csv(temporary, sep="\t", index=False)
    log.info("%s: %d of %d variants are scored", outputs["summary"], len(readable), len(table))


def correlate(
    table: pd.DataFrame, scores: list[str], bootstrap: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield correlations of every score with the effect, as it is and without its sign.

    Of variants, and of positions: means over the variants of each. Scores of which smaller values
    mean more effect are turned, so that a positive correlation with the absolute effect is what
    one hopes for.
    """
    for name in progress(scores, "bootstrap correlations", "scores"):
        own = table[table[name].notna()]
        # A reference that is expected is one that matters.
        sign = -1 if name == REFERENCE_LOSS else BY_NAME[name].sign
        for level in (VARIANT, POSITION):
            for effect in (SIGNED, ABSOLUTE):
                points = pd.DataFrame(
                    {
                        "place": own.groupby([CONTIG, "position"], sort=False).ngroup(),
                        "score": sign * own[name],
                        "effect": own["effect"].abs() if effect == ABSOLUTE else own["effect"],
                    }
                )
                if level == POSITION:
                    points = points.groupby("place", sort=False).mean().reset_index()
                yield {
                    "score": name,
                    "level": level,
                    "effect": effect,
                    "points": len(points),
                    "positions": int(points["place"].nunique()),
                    **_describe(points, bootstrap),
                }


def _describe(points: pd.DataFrame, bootstrap: Mapping[str, Any]) -> dict[str, float]:
    place, score, effect = (points[name].to_numpy() for name in ("place", "score", "effect"))
    found = {"pearson": pearson(score, effect), "spearman": spearman(score, effect)}
    drawn: dict[str, list[float]] = {name: [] for name in found}
    random = np.random.default_rng(bootstrap["seed"])
    places = int(place.max()) + 1
    for _ in range(bootstrap["draws"]):
        counts = np.bincount(random.integers(0, places, places), minlength=places)[place]
        chosen = np.repeat(np.arange(len(place)), counts)
        drawn["pearson"].append(pearson(score[chosen], effect[chosen]))
        drawn["spearman"].append(spearman(score[chosen], effect[chosen]))
    described: dict[str, float] = {}
    for name, value in found.items():
        low, high = interval(np.array(drawn[name]), bootstrap["level"])
        described |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return described


def pearson(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return Pearson's r, nan where either does not vary."""
    if len(first) < LEAST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def spearman(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return Spearman's rho, nan where either does not vary; ties have their mean rank."""
    return pearson(rankdata(first), rankdata(second)) if len(first) else float("nan")
