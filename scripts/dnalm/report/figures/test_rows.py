"""Figures of the predictions for test rows: ROC and precision-recall curves."""

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
