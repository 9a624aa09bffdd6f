"""The figures of the report, as Vega-Lite charts that fit the width of the page."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from dnalm.report.figures.chart import INK, MUTED, PALE, finish, styles
from dnalm.report.method_names import Series
from dnalm.report.metric_names import shared_name

TRAIN, VALIDATION, UNIGRAM = "#56B4E9", "#0072B2", "#D55E00"
ROW_PIXELS, GAP = 15, 0.3
MAX_POINTS = 400


def scores_figure(summary: pd.DataFrame, plan: Sequence[Series], note: str) -> dict[str, Any]:
    """Draw the test score of every task and series, mean ± 2 SD over splits; published: a bar.

    `summary` has series, task, score_mean, score_sd, the published columns and one metric.
    """
    metric = shared_name(summary["metric"])
    names = [series.label for series in plan]
    drawn = summary[summary["series"].isin(names)]
    spread = 2 * drawn["score_sd"].fillna(0)
    name = _task_names(summary)
    drawn = drawn.assign(task=drawn["task"].map(name))
    columns = ["task", "series", "score_mean", "score_sd", "n"]
    data = drawn[columns].assign(
        low=drawn["score_mean"] - spread, high=drawn["score_mean"] + spread
    )
    tasks = sorted(data["task"].unique())
    y = alt.Y("task:N", sort=tasks, title=None, scale=alt.Scale(paddingInner=GAP))
    y = y.axis(labelLimit=240, grid=False)
    offset = alt.YOffset("series:N", sort=names)
    limits = [min(-0.1, float(data["low"].min())), 1.0]
    title = f"{metric[0].upper()}{metric[1:]} on test rows, mean ± 2 SD"
    scale = alt.Scale(domain=limits, nice=False)
    axis = alt.Axis(tickCount=8, format=".1f")
    channels = styles(plan)
    base = alt.Chart(data).encode(y=y, yOffset=offset)
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=MUTED).encode(x="x:Q")
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=title, scale=scale, axis=axis), x2="high:Q", color=channels["color"]
    )
    points = base.mark_point(size=70, strokeWidth=1.6, opacity=1).encode(
        x=alt.X("score_mean:Q", title=title),
        **channels,
        tooltip=[
            alt.Tooltip("task:N"),
            alt.Tooltip("series:N", title="method"),
            alt.Tooltip("score_mean:Q", title=f"{metric}, mean", format=".3f"),
            alt.Tooltip("score_sd:Q", title="SD", format=".3f"),
            alt.Tooltip("n:Q", title="splits"),
        ],
    )
    layers = [zero, bars, points]
    published = _published(summary.assign(task=summary["task"].map(name)), tasks)
    if len(published):
        length = len(names) * ROW_PIXELS
        marks = alt.Chart(published).mark_tick(
            orient="vertical", thickness=4, size=length, opacity=1
        )
        layers.insert(
            1,
            marks.encode(
                y=y,
                x=alt.X("published:Q", title=title),
                color=alt.condition("datum.comparable", alt.value(INK), alt.value(PALE)),
                tooltip=[
                    alt.Tooltip("task:N"),
                    alt.Tooltip("name:N", title="published"),
                    alt.Tooltip("published:Q", title=metric, format=".3f"),
                    alt.Tooltip("status:N", title="comparison"),
                ],
            ),
        )
    height = len(tasks) * (len(names) + 1) * ROW_PIXELS
    text = "Every task is a group of rows, one row per method; further right is better."
    return finish(alt.layer(*layers), "Test score by task and method", note, height, text, 2)


def _task_names(table: pd.DataFrame) -> dict[str, str]:
    """Return what stands beside the axis: the name without its set when all share one set.

    With the task's mark, where the table has a column `mark`.
    """
    sets = {task.partition(".")[0] for task in table["task"]}
    marks = dict(zip(table["task"], table["mark"], strict=True)) if "mark" in table else {}
    return {
        task: f"{task.partition('.')[2] if len(sets) == 1 else task} {marks.get(task, '')}".strip()
        for task in table["task"].unique()
    }


def _published(summary: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    rows = summary[summary["published"].notna() & summary["task"].isin(tasks)]
    names = [
        f"{model}, {method} ({data} set)"
        for model, method, data in zip(
            rows["published_model"],
            rows["published_method"],
            rows["published_data_set"],
            strict=True,
        )
    ]
    status = rows["reason"].where(~rows["comparable"].astype(bool), "same model, same row counts")
    rows = rows.assign(name=names, status=status)
    return rows[["task", "published", "comparable", "name", "status"]].drop_duplicates()


def differences_figure(
    comparisons: pd.DataFrame, plan: Sequence[Series], title: str, level: str, note: str
) -> dict[str, Any]:
    """Draw trained − reference per task with its interval of coverage `level`, such as 95 %.

    `comparisons` are of one metric.
    """
    axis = f"Difference in {shared_name(comparisons['metric'])} ({level} interval)"
    names = [s.label for s in plan if s.label in set(comparisons["series"])]
    own = [s for s in plan if s.label in names]
    columns = ["task", "series", "difference", "low", "high", "verdict"]
    data = comparisons.loc[comparisons["series"].isin(names), columns]
    data = data.assign(task=data["task"].map(_task_names(comparisons)))
    tasks = sorted(data["task"].unique())
    y = alt.Y("task:N", sort=tasks, title=None, scale=alt.Scale(paddingInner=GAP))
    base = alt.Chart(data).encode(
        y=y.axis(labelLimit=240, grid=False), yOffset=alt.YOffset("series:N", sort=names)
    )
    channels = styles(own)
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=INK, strokeWidth=1.5).encode(x="x:Q")
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=axis).axis(tickCount=8, format="+.3~f"),
        x2="high:Q",
        color=channels["color"],
    )
    points = base.mark_point(size=80, opacity=1).encode(
        x=alt.X("difference:Q", title=axis),
        **channels,
        tooltip=[
            alt.Tooltip("task:N"),
            alt.Tooltip("series:N", title="method"),
            *[alt.Tooltip(f"{c}:Q", format="+.3f") for c in ("difference", "low", "high")],
            alt.Tooltip("verdict:N"),
        ],
    )
    height = len(tasks) * (len(names) + 1) * (ROW_PIXELS + 3)
    text = "Right of the line the trained model is better; an interval across it decides nothing."
    return finish(alt.layer(zero, bars, points), title, note, height, text, 2)


def layers_figure(
    layers: pd.DataFrame,
    kmers: float | None,
    plan: Sequence[Series],
    limits: tuple[float, float],
    task: str,
    note: str,
) -> dict[str, Any]:
    """Draw validation score by layer for one task, without a legend: the panels share one.

    `kmers` is the value of the k-mer baseline, or None; `limits` of the axis are the same for
    every task of a metric, so that noise does not look like a signal.
    """
    names = set(layers["series"])
    own = [s for s in plan if s.label in names]
    columns = ["series", "layer", "validation_score", "chosen"]
    data = layers.loc[layers["series"].isin([s.label for s in own]), columns]
    channels = styles(own, legend=False)
    base = alt.Chart(data).encode(
        x=alt.X("layer:Q", title="Layer").axis(
            values=sorted(set(data["layer"])), format="d", grid=False
        ),
        y=alt.Y("validation_score:Q", title=f"Validation {shared_name(layers['metric'])}").scale(
            domain=limits
        ),
    )
    lines = base.mark_line(strokeWidth=2).encode(color=channels["color"])
    points = base.mark_point(size=60, opacity=1).encode(
        **channels,
        tooltip=[
            *["series:N", "layer:Q"],
            *[alt.Tooltip("validation_score:Q", format=".3f"), "chosen:N"],
        ],
    )
    layered = [lines, points]
    if kmers is not None:
        frame = pd.DataFrame({"kmers": [kmers], "text": ["k-mer counts"]})
        rule = alt.Chart(frame).encode(y=alt.Y("kmers:Q"))
        layered += [
            rule.mark_rule(strokeDash=[5, 4], color="#000000"),
            rule.mark_text(align="left", dy=-7, dx=4, x=0, color=INK).encode(text="text:N"),
        ]
    text = "One line per model; the dashed line is the best k-mer baseline."
    return finish(alt.layer(*layered), task, note, 210, text, 1)


def curves_figure(curves: pd.DataFrame, model: str, note: str) -> dict[str, Any]:
    """Draw one model's loss at <mask> positions over the tokens seen, with the unigram baseline."""
    names = {"train": "training", "validation": "validation", "unigram": "k-mer frequencies only"}
    data = curves[(curves["model"] == model) & (curves["positions"] == "mask")]
    data = data[data["split"].isin(list(names))]  # the test windows are measured once, no curve
    parts = [_thin(part).assign(split=names[split]) for split, part in data.groupby("split")]
    data = pd.concat(parts)[["tokens", "split", "loss", "accuracy"]]
    legend = alt.Legend(title=None, symbolType="stroke", symbolStrokeWidth=3)
    colour = alt.Color("split:N", legend=legend).scale(
        domain=list(names.values()), range=[TRAIN, VALIDATION, UNIGRAM]
    )
    dash = alt.StrokeDash("split:N", legend=legend).scale(
        domain=list(names.values()), range=[[1, 0], [1, 0], [5, 4]]
    )
    base = alt.Chart(data).encode(
        x=alt.X("tokens:Q", title="Tokens seen")
        .axis(format="~s", grid=False, tickCount=5)
        .scale(nice=False),
        y=alt.Y("loss:Q", title="Loss at masked positions (nats)").scale(zero=False),
        color=colour,
        tooltip=["split:N", "tokens:Q", alt.Tooltip("loss:Q", format=".3f")],
    )
    lines = base.mark_line(strokeWidth=2).encode(strokeDash=dash)
    points = base.mark_point(filled=True, size=35).transform_filter("datum.split == 'validation'")
    text = "Lower is better; below the dashed line the model uses the context of a k-mer."
    return finish(alt.layer(lines, points), model, note, 240, text, 1)


def _thin(part: pd.DataFrame) -> pd.DataFrame:
    """Return at most MAX_POINTS rows: means over runs of neighbouring steps."""
    group = [i * MAX_POINTS // max(len(part), MAX_POINTS) for i in range(len(part))]
    return part.groupby(group)[["tokens", "loss", "accuracy"]].mean()
