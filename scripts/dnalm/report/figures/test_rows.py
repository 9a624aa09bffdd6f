"""Figures of the predictions for test rows: curves, and single outputs beside published ones."""

from typing import Any

import altair as alt
import pandas as pd

from dnalm.report.figures.chart import MUTED, finish
from dnalm.report.tables.test_rows.entries import CHOSEN, REFERENCE
from dnalm.report.tables.test_rows.errors import ROC

COLOURS = {CHOSEN: "#0b63a5", REFERENCE: "#b54708"}
AXES = {
    ROC: ("False positive rate", "True positive rate"),
    "pr": ("Recall", "Precision"),
}
UNIT = [0.0, 1.0]
MARGIN = 0.02  # of the range of scores, so that no dot lies on the frame


def test_curves_figure(
    curves: pd.DataFrame, curve: str, chance: float | None, title: str, note: str
) -> dict[str, Any]:
    """Draw one curve of a task for its entries.

    `curves` has the columns role, series, x and y. What guessing gives is dashed: the diagonal of
    ROC, of precision the share `chance` of positives, where there is one.
    """
    entries = curves.drop_duplicates("role")
    colour = alt.Color("series:N", legend=alt.Legend(title=None)).scale(
        domain=list(entries["series"]), range=[COLOURS[role] for role in entries["role"]]
    )
    scale = alt.Scale(domain=UNIT, nice=False)
    across, up = AXES[curve]
    lines = (
        alt.Chart(curves[["series", "x", "y"]])
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("x:Q", title=across, scale=scale).axis(tickCount=5, grid=False),
            y=alt.Y("y:Q", title=up, scale=scale).axis(tickCount=5),
            color=colour,
            tooltip=["series:N", *[alt.Tooltip(f"{name}:Q", format=".2f") for name in "xy"]],
        )
    )
    layers = [lines]
    ends = UNIT if curve == ROC else [chance, chance]
    if None not in ends:
        guess = alt.Chart(pd.DataFrame({"x": UNIT, "y": ends}))
        guess = guess.mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1)
        layers.insert(0, guess.encode(x="x:Q", y="y:Q"))
    text = f"{up} by {across.lower()}; dashed is guessing."
    return finish(alt.layer(*layers), title, note, 230, text, 1)


def published_outputs_figure(
    outputs: pd.DataFrame, metric: str, title: str, note: str
) -> dict[str, Any]:
    """Draw a dot for each label or target of one result: its score by the published one.

    `outputs` has the columns name, group, published and score_mean, both scores of every row; on
    the diagonal they are equal. Groups have a colour and a shape each.
    """
    both = outputs[["published", "score_mean"]].astype(float)
    low, high = both.min().min(), both.max().max()
    room = MARGIN * max(high - low, MARGIN)
    ends = [float(low - room), float(high + room)]
    scale = alt.Scale(domain=ends, nice=False)
    x = alt.X("published:Q", title=f"{metric}, published", scale=scale).axis(tickCount=5)
    y = alt.Y("score_mean:Q", title=f"{metric}, here", scale=scale).axis(tickCount=5)
    key = alt.Legend(title=None) if outputs["group"].nunique() > 1 else None
    dots = (
        alt.Chart(outputs[["name", "group", "published", "score_mean"]])
        .mark_point(size=24, strokeWidth=1, opacity=0.7)
        .encode(
            x=x,
            y=y,
            color=alt.Color("group:N", legend=key),
            shape=alt.Shape("group:N", legend=key),
            tooltip=[
                *[alt.Tooltip(f"{field}:N") for field in ("name", "group")],
                alt.Tooltip("published:Q", format=".3f"),
                alt.Tooltip("score_mean:Q", title="here", format=".3f"),
            ],
        )
    )
    equal = alt.Chart(pd.DataFrame({"published": ends, "score_mean": ends}))
    equal = equal.mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1).encode(x=x, y=y)
    text = "A dot is a label or target; above the dashed diagonal it scores higher here."
    return finish(alt.layer(equal, dots), title, note, 300, text, 3)
