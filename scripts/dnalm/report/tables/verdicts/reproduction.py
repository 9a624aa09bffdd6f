"""The verdict on every published value that a run speaks to.

Ours has an interval over test rows; a published spread is one over folds, which share training and
test rows, so it is no sampling error. The two are never mixed: the interval of the difference is
that of our score, the published value taken as it stands.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dnalm.methods import BASELINE, BY_NAME, SEQUENCE_BASELINES
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.records import Identities
from dnalm.report.tables.verdicts.headline import ALL, OF_CATEGORIES
from dnalm.report.tables.verdicts.published_scores import other_rows, rows_mismatch

# The tables of published values that speak of a set's tasks, and those of means over them.
TASK_TABLES = {
    "original": ("original", "original_figure", "original_v1", "probing_summary"),
    "revised": ("revised",),
}
MEAN_TABLES = {"original": "original_summary", "revised": "revised_summary"}
# A published mean, and the means of ours that it may be: of one no source says how it was made.
READINGS = {
    "mean_of_18": (ALL,),
    "compound_of_18": (ALL, OF_CATEGORIES),
    "average": (ALL, OF_CATEGORIES),
}
TASKS_OF_MEAN = 18
METRICS = {"MCC": "mcc", "F1": "f1", "accuracy": "accuracy"}
EQUAL, WITHIN, ABOVE, BELOW = "equal", "within the published spread", "above", "below"
NOT_COMPARABLE, UNKNOWN = "not comparable", "unknown"
VERDICTS = (EQUAL, WITHIN, ABOVE, BELOW, UNKNOWN, NOT_COMPARABLE)
SPREAD_SDS = 2  # within so many published standard deviations is within the spread
UNVERIFIED = "unverified"


@dataclass(frozen=True, kw_only=True)
class Ours:
    """A score of ours that a published one is held against.

    `metrics` holds (score, low, high) by metric; an interval is nan where none was drawn. `reason`
    says why the rows are not the published ones, '' where nothing does.
    """

    method: str
    model: str
    task: str
    rows: int | None
    metrics: Mapping[str, tuple[float, float, float]]
    reason: str


def reproduction_table(
    summary: pd.DataFrame,
    headline: pd.DataFrame,
    published: pd.DataFrame,
    tasks: Mapping[str, Mapping[str, Any]],
    identities: Identities,
    tolerance: float,
) -> pd.DataFrame:
    """Return one row for each published value that a result of the run stands beside.

    That is a value of the same task, or mean over a set's tasks, of the model as which ours is
    declared (`published_as`) and of the same sort of method; of baselines that of their name.
    `tolerance` is the greatest difference that still counts as equal.
    """
    by_task = [_of_summary(row, tasks, identities) for row in summary.to_dict("records")]
    reasons = {(one.method, one.model, one.task): one.reason for one in by_task}
    rows = []
    for value in published.to_dict("records"):
        if one_of := _of_task(value, identities):
            rows += [_judge(one, value, "", tolerance) for one in by_task if one_of(one)]
        elif value["benchmark"] in MEAN_TABLES.values() and value["task"] in READINGS:
            for reading in READINGS[value["task"]]:
                found = _of_headline(value, reading, headline, reasons, identities)
                rows += [_judge(one, value, reading, tolerance) for one in found]
    return pd.DataFrame(rows, columns=list_columns("reproduction")).astype({"rows": "Int64"})


def judge(
    difference: float, low: float, high: float, sd: float, tolerance: float
) -> tuple[str, str]:
    """Return the verdict on a difference from a published value, and its reason.

    `low` and `high` are the ends of its interval, `sd` the published standard deviation, nan where
    it is not known.
    """
    if pd.isna(low) or pd.isna(high):
        return UNKNOWN, "our score by this metric has no interval"
    if -tolerance <= low and high <= tolerance:
        return EQUAL, f"the interval of the difference lies within ± {tolerance:g}"
    if abs(difference) <= SPREAD_SDS * sd:
        return WITHIN, f"the difference is within {SPREAD_SDS} published standard deviations"
    if low > 0:
        return ABOVE, "the interval of the difference lies above 0"
    if high < 0:
        return BELOW, "the interval of the difference lies below 0"
    return UNKNOWN, "the test rows are too few to tell: the interval of the difference holds 0"


def _of_summary(
    row: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]], identities: Identities
) -> Ours:
    task = tasks[row["task"]]
    mismatch = rows_mismatch(task["rows"], task.get("published_rows"))
    metrics = {
        name: (row[f"{name}_mean"], float("nan"), float("nan"))
        for name in METRICS.values()
        if not pd.isna(row.get(f"{name}_mean"))
    }
    metrics[row["metric"]] = (row["score_mean"], row["low"], row["high"])
    return Ours(
        method=row["method"],
        model=row["model"],
        task=row["task"],
        rows=int(row["rows"]),
        metrics=metrics,
        reason="; ".join(filter(None, [other_rows(task), mismatch])),
    )


def _of_task(value: Mapping[str, Any], identities: Identities) -> Callable[[Ours], bool] | None:
    """Return what tells the results that a value of a task stands beside; None for other values."""
    sets = [name for name, tables in TASK_TABLES.items() if value["benchmark"] in tables]
    if not sets:
        return None
    key = f"{sets[0]}.{value['task']}"
    return lambda one: (
        identities.published_task(one.task) == key
        and _is_of(value, one.method, one.model, identities)
    )


def _is_of(value: Mapping[str, Any], method: str, model: str, identities: Identities) -> bool:
    """Return whether a published value is of this model and of this sort of method."""
    if method == BASELINE:
        row = SEQUENCE_BASELINES.get(model)
        return row is not None and row.published == value["model"]
    row = BY_NAME.get(identities.adapter(method))
    if row is None or row.published is None or identities.untrained_of(model) is not None:
        return False
    named = identities.published_model(model)
    return named == value["model"] and value["method"].startswith(row.published)


def _of_headline(
    value: Mapping[str, Any],
    reading: str,
    headline: pd.DataFrame,
    reasons: Mapping[tuple[str, str, str], str],
    identities: Identities,
) -> list[Ours]:
    """Return our means over the tasks of the value's set that it stands beside."""
    name = next(name for name, table in MEAN_TABLES.items() if table == value["benchmark"])
    own = headline[(headline["set"] == name) & (headline["category"] == reading)]
    found = []
    for row in own.to_dict("records"):
        if not _is_of(value, row["method"], row["model"], identities):
            continue
        said = [
            reason
            for (method, model, task), reason in reasons.items()
            if (method, model, task.partition(".")[0]) == (row["method"], row["model"], name)
        ]
        missing = TASKS_OF_MEAN - row["tasks_scored"]
        reason = f"{missing} of the {TASKS_OF_MEAN} tasks were not run" if missing else ""
        other = sum(map(bool, said))
        if other and not reason:
            reason = f"{other} of the {TASKS_OF_MEAN} tasks have other rows than the published ones"
        found.append(
            Ours(
                method=row["method"],
                model=row["model"],
                task=name,
                rows=None,
                metrics={row["metric"]: (row["score"], row["low"], row["high"])},
                reason=reason,
            )
        )
    return found


def _judge(one: Ours, value: Mapping[str, Any], reading: str, tolerance: float) -> dict[str, Any]:
    row = {
        "method": one.method,
        "model": one.model,
        "task": one.task,
        "reading": reading,
        "rows": one.rows,
        "published_task": value["task"],
        "published_model": value["model"],
        "published_method": value["method"],
        "published_data_set": value["benchmark"],
        "published_metric": value["metric"],
        "published": value["value"],
        "published_sd": value["sd"],
        "source": value["source"],
        "confidence": value["confidence"],
    }
    metric = METRICS.get(value["metric"])
    if metric not in one.metrics:
        reason = f"we have no {value['metric']} of it"
        return row | {"verdict": NOT_COMPARABLE, "reason": reason}
    score, low, high = one.metrics[metric]
    ends = low - value["value"], high - value["value"]
    row |= {"score": score, "low": low, "high": high, "difference": score - value["value"]}
    row |= {"difference_low": ends[0], "difference_high": ends[1]}
    if one.reason:
        return row | {"verdict": NOT_COMPARABLE, "reason": one.reason}
    if value["confidence"] == UNVERIFIED:
        return row | {"verdict": UNKNOWN, "reason": "the published value is not verified"}
    verdict, reason = judge(row["difference"], *ends, value["sd"], tolerance)
    return row | {"verdict": verdict, "reason": reason}
