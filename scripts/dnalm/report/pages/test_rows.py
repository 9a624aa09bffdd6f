"""What was predicted for test rows: confusion, curves, and the scores of each label or target."""

from collections.abc import Collection
from typing import Any

import pandas as pd

from dnalm.report.figures.test_rows import published_outputs_figure, test_curves_figure
from dnalm.report.method_names import label
from dnalm.report.metric_names import name_of
from dnalm.report.pages.grids import MISSING, Grid, count, make_grid, percent, score
from dnalm.report.tables.test_rows.errors import ALL, PR, ROC
from dnalm.report.tables.verdicts.outputs import ALL as OF_ALL

MAX_CLASSES = 6  # of tasks with more of them the matrix stands in the tables alone
MAX_OUTPUTS = 40  # of tasks with more labels or targets their groups alone are shown
TITLES = {ROC: "ROC", PR: "PR"}  # short, so that the names of tasks find room


def confusion_grid(confusion: pd.DataFrame, controls: Collection[str]) -> Grid:
    """Return a row for each class of each shown entry: where its test rows went."""
    shown = confusion[~confusion["task"].isin(list(controls))]
    classes = shown.groupby("task")["label"].nunique()
    shown = shown[shown["task"].map(classes) <= MAX_CLASSES]
    width = max(classes[classes <= MAX_CLASSES], default=0)
    rows = []
    keys = ["task", "role", "method", "model", "label"]
    for (task, role, method, model, name), own in shown.groupby(keys, sort=False):
        total = own["predictions"].sum()
        cells = [_share(row["predictions"], row["splits"], total) for row in own.to_dict("records")]
        rows.append(
            [
                *[task, f"{label(method, model)}, {role}", str(name)],
                count(own["label_rows"].iloc[0]),
                *cells,
                *[MISSING] * (width - len(cells)),
            ]
        )
    headings = ["task", "method", "true class", "rows"]
    headings += [f"predicted class {number + 1} of {width}" for number in range(width)]
    return make_grid(headings, rows, first=3)


def _share(predictions: int, splits: int, total: int) -> str:
    """Return how many rows of a class a split predicts so, on average, and their share."""
    return f"{count(round(predictions / splits))} ({percent(predictions, total, digits=0)})"


def curve_figures(
    curves: pd.DataFrame, controls: Collection[str], note: str
) -> list[dict[str, Any]]:
    """Return two panels for each task, of the mean curve or that of class 1."""
    shown = curves[~curves["task"].isin(list(controls))]
    drawn = []
    for task, own in shown.groupby("task", sort=True):
        means = own[own["label"] == ALL]
        own = own[own["label"] == own["label"].iloc[0]] if means.empty else means
        names = [label(*pair) for pair in zip(own["method"], own["model"], strict=True)]
        own = own.assign(series=names)
        guess = (own["positives"] / own["test_rows"]).iloc[0]
        for curve in (ROC, PR):
            panel = own[own["curve"] == curve]
            chance = None if pd.isna(guess) else float(guess)
            title = f"{task}: {TITLES[curve]}"
            drawn.append(test_curves_figure(panel, curve, chance, title, note))
    return drawn


def without_curves(confusion: pd.DataFrame, curves: pd.DataFrame) -> str:
    """Return which tasks of classes have no curve, and why; '' where all have."""
    missing = sorted(set(confusion["task"]) - set(curves["task"]))
    if not missing:
        return ""
    return (
        f"No curves of {', '.join(missing)}: the test rows are of one class, or the results were "
        f"made before probabilities were kept; delete these results and run again to have them."
    )


def outputs_grid(outputs: pd.DataFrame) -> Grid:
    """Return the score of each label or target of the tasks that have not too many."""
    sizes = outputs.groupby("task")["output"].nunique()
    rows = [
        [
            *[row["task"], str(row["name"]), row["group"] or MISSING],
            *[label(row["method"], row["model"]), name_of(row["metric"])],
            *[count(row["positives"]), score(row["score_mean"]), score(row["score_sd"])],
            score(row["published"]),
        ]
        for row in outputs[outputs["task"].map(sizes) <= MAX_OUTPUTS].to_dict("records")
    ]
    headings = ["task", "label or target", "group", "method", "metric", "positive test rows"]
    return make_grid([*headings, "score", "SD", "published"], rows, first=5)


def output_groups_grid(groups: pd.DataFrame) -> Grid:
    """Return mean and median over the labels or targets of each task and group."""
    rows = [
        [
            *[row["task"], row["group"], label(row["method"], row["model"])],
            *[name_of(row["metric"]), f"{row['defined']} of {row['outputs']}"],
            *[score(row[key]) for key in ("score_mean", "score_median")],
            *[score(row[key]) for key in ("published_mean", "published_median")],
        ]
        for row in groups.to_dict("records")
    ]
    headings = ["task", "group", "method", "metric", "scored", "mean", "median"]
    return make_grid([*headings, "published mean", "published median"], rows, first=4)


def published_outputs_figures(outputs: pd.DataFrame, note: str) -> list[dict[str, Any]]:
    """Return a figure for each result whose labels or targets have published scores beside them."""
    shown = outputs.dropna(subset=["score_mean", "published"])
    keys = ["task", "metric", "method", "model"]
    return [
        published_outputs_figure(
            own, name_of(metric), f"{task}: {label(method, model)}, {len(own):,} outputs", note
        )
        for (task, metric, method, model), own in shown.groupby(keys, sort=False)
    ]


def undefined_outputs(groups: pd.DataFrame) -> list[str]:
    """Return a line for each task on the labels or targets that no score is defined of."""
    whole = groups[(groups["group"] == OF_ALL) & (groups["undefined"].fillna("") != "")]
    lines = {
        row["task"]: f"{row['task']}: {row['outputs'] - row['defined']} of {row['outputs']} have "
        f"no score, as their test rows are all alike: {row['undefined']}."
        for row in whole.to_dict("records")
    }
    return list(lines.values())
