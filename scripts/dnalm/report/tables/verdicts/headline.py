"""Mean scores over the tasks of a set, with bootstrap intervals and ranks: the headline of a run.

What is averaged is settled before any score is seen: the plain mean over all tasks of a set that
share a metric, the mean within each category, and the mean of these category means. Letters in
shapes: N bootstrap draws.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.scoring.bootstrap import interval
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.draws import Draws
from dnalm.report.tables.records import Identities, Record

ALL, OF_CATEGORIES = "all tasks", "mean of categories"
RANKED_BY = 9  # decimals of a mean: what lies behind these is rounding


@dataclass(frozen=True, kw_only=True)
class _Mean:
    """A mean score of one method, its draws [N], and of how many tasks it is."""

    score: float
    drawn: np.ndarray
    tasks: int


def headline_table(
    results: Sequence[Record],
    identities: Identities,
    tasks: Mapping[str, Mapping[str, Any]],
    draws: Mapping[tuple[str, str, str], Draws],
    level: float,
) -> pd.DataFrame:
    """Return the mean test score of every method by set, category and metric, and its rank.

    Tasks are grouped by the part of their name before the dot; controls with shuffled labels count
    nowhere. Intervals of coverage `level` are percentiles of mean draws: the test rows of each task
    are drawn apart, those of one task alike for all methods, so that `best_share`, the share of
    draws in which a method has the best mean, is paired. A method that was not run on every task of
    its row has neither rank nor share: means over different tasks do not compare.
    """
    by_set: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for result in results:
        if not tasks[result.task]["shuffled_labels"]:
            by_set[result.task.partition(".")[0], result.metric].append(result)
    rows = []
    for (name, metric), own in by_set.items():
        groups = _group(own, identities)
        means = {category: _means(members, draws) for category, members in groups.items()}
        if len(groups) > 2:
            means[OF_CATEGORIES] = _means_of(
                [means[category] for category in groups if category != ALL]
            )
        for category, found in means.items():
            named = {"set": name, "category": category, "metric": metric}
            rows += [named | row for row in _rank(found, level)]
    return pd.DataFrame(rows, columns=list_columns("headline")).astype({"rank": "Int64"})


def _group(results: Sequence[Record], identities: Identities) -> dict[str, list[Record]]:
    """Return all results of a set, and those of each category; of one category it says no more."""
    groups: dict[str, list[Record]] = {ALL: list(results)}
    for result in results:
        groups.setdefault(identities.category(result.task), []).append(result)
    named = {category: own for category, own in groups.items() if category}
    # A mean of category means would leave out the tasks that have none.
    return named if "" not in groups and len(named) > 2 else {ALL: groups[ALL]}


def _means(
    results: Sequence[Record], draws: Mapping[tuple[str, str, str], Draws]
) -> dict[tuple[str, str], _Mean]:
    by_method: dict[tuple[str, str], list[Draws]] = defaultdict(list)
    for result in results:
        by_method[result.method, result.model].append(draws[result.key])
    return {
        method: _Mean(
            score=float(np.mean([one.whole.score for one in own])),
            drawn=np.mean([one.whole.drawn for one in own], axis=0),
            tasks=len(own),
        )
        for method, own in by_method.items()
    }


def _means_of(
    categories: Sequence[Mapping[tuple[str, str], _Mean]],
) -> dict[tuple[str, str], _Mean]:
    """Return the mean of the category means, of the methods that have results in every category."""
    everywhere = [
        method for method in categories[0] if all(method in category for category in categories)
    ]
    return {
        method: _Mean(
            score=float(np.mean([category[method].score for category in categories])),
            drawn=np.mean([category[method].drawn for category in categories], axis=0),
            tasks=sum(category[method].tasks for category in categories),
        )
        for method in everywhere
    }


def _rank(means: Mapping[tuple[str, str], _Mean], level: float) -> list[dict[str, Any]]:
    tasks = max((mean.tasks for mean in means.values()), default=0)
    complete = [method for method, mean in means.items() if mean.tasks == tasks]
    scores = [round(means[method].score, RANKED_BY) for method in complete]
    shares = _best_shares([means[method].drawn for method in complete])
    placed = {
        method: {"rank": 1 + sum(other > score for other in scores), "best_share": share}
        for method, score, share in zip(complete, scores, shares, strict=True)
    }
    rows = []
    for (method, model), mean in means.items():
        low, high = interval(mean.drawn, level)
        row = {"method": method, "model": model, "tasks": tasks, "tasks_scored": mean.tasks}
        row |= {"score": mean.score, "low": low, "high": high}
        rows.append(row | placed.get((method, model), {"rank": None, "best_share": None}))
    return rows


def _best_shares(drawn: Sequence[np.ndarray]) -> np.ndarray:
    """Return the share of draws in which each is the best; of equal ones each has its part."""
    table = np.stack(drawn)
    table = table[:, ~np.isnan(table).any(axis=0)]
    if not table.size:
        return np.full(len(drawn), np.nan)
    best = table >= table.max(axis=0)
    return (best / best.sum(axis=0)).mean(axis=1)
