"""Scores of every label or target, and of groups of them, beside published ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from dnalm.benchmark.tasks.kinds import BASES, find_kind
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.records import Record

ALL = "all"  # the group of all outputs


def outputs_table(results: Sequence[Record], tasks: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    """Return the test score of every label or target of every result, means and SD over splits.

    `tasks` are the contents of the tasks' JSON by name, which may hold names, groups and published
    scores of the outputs. Older results have no such scores.
    """
    rows = [row for result in results for row in _rows(result, tasks[result.task])]
    return pd.DataFrame(rows, columns=list_columns("outputs"))


def _rows(result: Record, task: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    scores = dict(result.summary.get("outputs") or {})
    positives = scores.pop("positives", None)
    for metric, found in scores.items():
        number = len(found["mean"])
        first = 1 if find_kind(result.kind).shape == BASES else 0  # no score is of their class 0
        names = task.get("names") or [str(output) for output in range(first + number)]
        groups = task.get("groups") or [""] * number
        published = (task.get("published_outputs") or {}).get(metric) or [None] * number
        for output in range(number):
            yield {
                "method": result.method,
                "model": result.model,
                "task": result.task,
                "output": first + output,
                "name": names[first + output],
                "group": groups[output],
                "metric": metric,
                "score_mean": found["mean"][output],
                "score_sd": found["sd"][output],
                "positives": positives and positives[output],
                "published": published[output],
            }


def output_groups_table(outputs: pd.DataFrame) -> pd.DataFrame:
    """Return mean and median over the outputs of each group, and over all, of `outputs_table`.

    Outputs whose score is undefined are left out, and named. Published means and medians are of the
    outputs that have a score there.
    """
    keys = ["method", "model", "task", "metric"]
    rows = []
    for names, own in outputs.groupby(keys, sort=False):
        groups = [(ALL, own)]
        if own["group"].any():
            groups += list(own.groupby("group", sort=False))
        rows += [dict(zip(keys, names, strict=True)) | _over(*group) for group in groups]
    return pd.DataFrame(rows, columns=list_columns("output_groups"))


def _over(group: str, outputs: pd.DataFrame) -> dict[str, Any]:
    scores = outputs["score_mean"].astype(float)
    published = outputs["published"].astype(float)
    undefined = outputs.loc[scores.isna(), "name"]
    return {
        "group": group,
        "outputs": len(outputs),
        "defined": int(scores.notna().sum()),
        "undefined": "; ".join(undefined),
        "score_mean": scores.mean(),
        "score_median": scores.median(),
        "published_mean": published.mean(),
        "published_median": published.median(),
    }
