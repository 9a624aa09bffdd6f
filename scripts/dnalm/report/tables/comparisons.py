"""Paired bootstrap differences of methods on the same test rows, on all and by region."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.scoring.bootstrap import (
    BootstrapConfig,
    Difference,
    region_masks,
    subtract,
    verdict,
)
from dnalm.benchmark.scoring.correction import adjust
from dnalm.jobs.progress import progress
from dnalm.methods import ANOTHER, BASELINE, SEQUENCE_BASELINES, STRONGEST, UNTRAINED
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.draws import Draws, Statistics, draw_in_turn
from dnalm.report.tables.records import Identities, Record
from dnalm.report.tables.scores import best_on_validation

MIN_ROWS = 20  # of fewer test rows no score is given: an interval over two says nothing


def comparisons_table(
    results: Sequence[Record],
    identities: Identities,
    draws: Mapping[tuple[str, str, str], Draws],
    statistics: Statistics,
) -> pd.DataFrame:
    """Return paired differences of trained models from untrained ones, baselines and each other.

    Of baselines these are k-mers and the strongest of each task: that with the best validation
    score, so that test rows choose none. Baselines without validation scores cannot be it.
    p-values are corrected for all comparisons of one sort, `against`, over tasks and methods; the
    verdict is that of the corrected ones. Intervals are not corrected.
    """
    level, rows = statistics.bootstrap.level, []
    for result, reference, against in _pairs(results, identities):
        found = subtract(draws[result.key].whole, draws[reference.key].whole, level)
        rows.append(
            {
                "method": result.method,
                "model": result.model,
                "task": result.task,
                "against": against,
                "reference": reference.model,
                "reference_method": reference.method,
                "metric": result.metric,
                "score": found.first,
                "reference_score": found.second,
                "difference": found.difference,
                "low": found.low,
                "high": found.high,
                "p_value": found.p_value,
                "rows": found.rows,
            }
        )
    table = pd.DataFrame(rows, columns=list_columns("comparisons"))
    for _, own in table.groupby("against"):
        adjusted = adjust(own["p_value"].to_numpy(np.float64), statistics.correction)
        table.loc[own.index, "p_adjusted"] = adjusted
    pairs = zip(table["difference"], table["p_adjusted"], strict=True)
    return table.assign(verdict=[verdict(*pair, level) for pair in pairs])


def _pairs(
    results: Sequence[Record], identities: Identities
) -> Iterator[tuple[Record, Record, str]]:
    """Yield (a trained model's result, what it is compared with on that task, in which sense)."""
    by_name = {result.key: result for result in results}
    trained = [
        result
        for result in results
        if not result.is_baseline and identities.untrained_of(result.model) is None
    ]
    strongest = _strongest(results)
    for result in trained:
        if reference := strongest.get(result.task):
            yield result, reference, STRONGEST
        untrained = identities.untrained(result.model)
        if reference := by_name.get((result.method, untrained, result.task)):
            yield result, reference, UNTRAINED.against
        for baseline in SEQUENCE_BASELINES.values():
            reference = by_name.get((BASELINE, baseline.name, result.task))
            if baseline.against and reference:
                yield result, reference, baseline.against
    for result, reference in combinations(trained, 2):
        if result.task == reference.task:
            yield result, reference, ANOTHER


def _strongest(results: Sequence[Record]) -> dict[str, Record]:
    """Return the baseline of each task that is best on validation rows; of equal ones the first."""
    best: dict[str, tuple[tuple[float, float], Record]] = {}
    for result in results:
        place = best_on_validation(result) if result.is_baseline else None
        if place is not None and (result.task not in best or place < best[result.task][0]):
            best[result.task] = place, result
    return {task: result for task, (_, result) in best.items()}


def lift_table(
    results: Sequence[Record],
    identities: Identities,
    locations: Mapping[tuple[str, str], str],
    corpora: Mapping[str, str | None],
    config: BootstrapConfig,
) -> pd.DataFrame:
    """Return paired differences, trained − untrained, by region of the pretraining genomes.

    `locations` are the files by corpus and task; `corpora` names each model's. Numbers of fewer
    than `MIN_ROWS` rows are nan.
    """
    pairs = [pair for *pair, against in _pairs(results, identities) if against == UNTRAINED.against]
    rows = []
    searches = list(locations.items())
    for (corpus, task), path in progress(searches, "draw located test rows again", "searches"):
        own = [
            pair for pair in pairs if (corpora.get(pair[0].model), pair[0].task) == (corpus, task)
        ]
        if not own:
            continue
        regions = partial(region_masks, locations=pd.read_parquet(path))
        different = {result.key: result for pair in own for result in pair}
        found = draw_in_turn(list(different.values()), regions, config, lambda _: None)
        drawn = {result.key: parts for result, parts, _ in found}
        for region in next(iter(drawn.values())):
            for result, untrained in own:
                two = (drawn[of.key][region] for of in (result, untrained))
                rows.append(_lift_row(result, corpus, region, subtract(*two, config.level)))
    return pd.DataFrame(rows, columns=list_columns("lift"))


def _lift_row(result: Record, corpus: str, region: str, found: Difference) -> dict[str, Any]:
    values = {
        "score": found.first,
        "untrained_score": found.second,
        "lift": found.difference,
        "low": found.low,
        "high": found.high,
    }
    return {
        "method": result.method,
        "model": result.model,
        "task": result.task,
        "corpus": corpus,
        "region": region,
        "rows": found.rows,
        "metric": result.metric,
        **(values if found.rows >= MIN_ROWS else dict.fromkeys(values, math.nan)),
    }
