"""The figures of the page on variants: scores with intervals, curves, severity, percentiles."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from dnalm.report.figures.chart import INK, MUTED, finish
from dnalm.report.figures.pretraining import colours_of

ROW_PIXELS = 14  # of a model's interval
GAP_PIXELS = 12  # between two scores
CHANCE_DASHES = [4, 4]
# One palette of eight: a model gives twelve scores at most, of which people ask for a few.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8c8c8c", "#000000"]
DASHES = [[1, 0], [6, 2], [2, 2]]  # each in all colours, one after the other


def intervals_figure(
    rows: pd.DataFrame, value: str, title: str, axis: str, chance: float
) -> dict[str, Any]:
    """Draw a value of every score and model with its interval; a dashed line is chance.

    `rows` have model, score, `value`, low and high.
    """
    data = rows[["model", "score", value, "low", "high", "variants"]].dropna()
    models, scores = list(data["model"].unique()), list(data["score"].unique())
    y = alt.Y("score:N", sort=scores, title=None, scale=alt.Scale(paddingInner=0.3))
    y = y.axis(labelLimit=220, grid=False)
    x = alt.X("low:Q", title=axis, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=8))
    base = alt.Chart(data).encode(
        y=y, yOffset=alt.YOffset("model:N", sort=models), color=_colour("model", models)
    )
    bars = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=alt.X(f"{value}:Q", title=axis),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("score:N"),
            *[alt.Tooltip(f"{name}:Q", format=".3f") for name in (value, "low", "high")],
            alt.Tooltip("variants:Q", format=","),
        ],
    )
    line = alt.Chart(pd.DataFrame({"x": [chance]}))
    line = line.mark_rule(color=MUTED, strokeDash=CHANCE_DASHES).encode(x="x:Q")
    height = max(len(scores) * (len(models) * ROW_PIXELS + GAP_PIXELS), 60)
    text = "One row per score, one colour per model; dashed: chance."
    return finish(alt.layer(line, bars, points), title, "", height, text, 3)


def curves_figure(
    points: pd.DataFrame, title: str, axes: tuple[str, str], chance: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """Draw a curve of every score of one model; `chance` is the line of no knowledge."""
    data = points[["score", "x", "y"]].reset_index(names="order")
    scores = list(data["score"].unique())
    colours = [PALETTE[at % len(PALETTE)] for at in range(len(scores))]
    dashes = [DASHES[at // len(PALETTE) % len(DASHES)] for at in range(len(scores))]
    legend = alt.Legend(
        title=None, symbolType="stroke", symbolStrokeWidth=3, symbolSize=400, labelColor=INK
    )
    limits = alt.Scale(domain=[0, 1])
    lines = (
        alt.Chart(data)
        .mark_line(strokeWidth=1.8)
        .encode(
            x=alt.X("x:Q", title=axes[0], scale=limits),
            y=alt.Y("y:Q", title=axes[1], scale=limits),
            order="order:Q",
            color=alt.Color("score:N", legend=legend).scale(domain=scores, range=colours),
            strokeDash=alt.StrokeDash("score:N", legend=legend).scale(domain=scores, range=dashes),
            tooltip=["score:N", *[alt.Tooltip(f"{name}:Q", format=".3f") for name in "xy"]],
        )
    )
    known = alt.Chart(pd.DataFrame(chance, columns=["x", "y"]))
    known = known.mark_line(color=MUTED, strokeDash=CHANCE_DASHES).encode(x="x:Q", y="y:Q")
    return finish(alt.layer(known, lines), title, "", 260, "One line per score.", 2)


def percentiles_figure(rows: pd.DataFrame, title: str) -> dict[str, Any]:
    """Draw, for each class, median and quartiles of the percentiles of one score by model."""
    columns = ["model", "consequence", "lower_quartile", "median", "upper_quartile"]
    data = rows[[*columns, "variants", "above_95"]].replace({"consequence": {"": "no class"}})
    models = list(data["model"].unique())
    scale = alt.Scale(domain=[0, 100])
    y = alt.Y("consequence:N", title=None).axis(labelLimit=220, grid=False)
    base = alt.Chart(data).encode(
        y=y, yOffset=alt.YOffset("model:N", sort=models), color=_colour("model", models)
    )
    axis = "percentile among common variants of the class"
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("lower_quartile:Q", title=axis, scale=scale), x2="upper_quartile:Q"
    )
    points = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=alt.X("median:Q", title=axis),
        tooltip=["model:N", "consequence:N", alt.Tooltip("median:Q", format=".0f"), "variants:Q"],
    )
    line = alt.Chart(pd.DataFrame({"x": [50]}))
    line = line.mark_rule(color=MUTED, strokeDash=CHANCE_DASHES).encode(x="x:Q")
    height = max(data["consequence"].nunique() * (len(models) * ROW_PIXELS + GAP_PIXELS), 60)
    text = "Median and quartiles by class; dashed: the median of common variants."
    return finish(alt.layer(line, bars, points), title, "", height, text, 3)


def _colour(field: str, names: Sequence[str]) -> alt.Color:
    colours = colours_of(names)
    legend = alt.Legend(title=None, labelColor=INK)
    return alt.Color(f"{field}:N", legend=legend).scale(
        domain=list(colours), range=list(colours.values())
    )
