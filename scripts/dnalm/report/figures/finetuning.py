"""Figures of fine-tuning: beside probing, and validation scores while it is trained."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from dnalm.report.figures.chart import MUTED, finish, styles
from dnalm.report.method_names import Series
from dnalm.report.metric_names import shared_name

MARGIN = 0.02  # of a score, between the outermost interval and the frame


def probing_figure(pairs: pd.DataFrame, plan: Sequence[Series], note: str) -> dict[str, Any]:
    """Draw fine-tuned over probed test scores, a point for each model, task and method.

    Both intervals cover the choice of test rows. `pairs` are those of `pair_methods`, of one
    metric; the axes are alike, so that the diagonal is where both score the same.
    """
    metric = shared_name(pairs["metric"])
    own = [series for series in plan if series.label in set(pairs["series"])]
    bounds = ["low", "high", "probe_low", "probe_high"]
    columns = ["task", "series", "probe_series", "score", "probe_score", *bounds]
    data = pairs.loc[pairs["series"].isin([series.label for series in own]), columns]
    scores = data[["score", "probe_score", *bounds]]
    limits = [float(scores.min().min()) - MARGIN, float(scores.max().max()) + MARGIN]
    scale = alt.Scale(domain=limits, nice=False)
    x = alt.X("probe_score:Q", title=f"Probing, {metric} on test rows", scale=scale)
    y = alt.Y("score:Q", title=f"Fine-tuning, {metric} on test rows", scale=scale)
    channels = styles(own)
    base = alt.Chart(data)
    ends = pd.DataFrame({"probe_score": limits, "score": limits})
    diagonal = alt.Chart(ends).mark_line(color=MUTED, strokeDash=[5, 4]).encode(x=x, y=y)
    bars = base.mark_rule(strokeWidth=1, opacity=0.6)
    points = base.mark_point(size=80, opacity=1).encode(
        x=x,
        y=y,
        **channels,
        tooltip=[
            alt.Tooltip("task:N"),
            alt.Tooltip("series:N", title="fine-tuned"),
            alt.Tooltip("score:Q", title=f"{metric}, fine-tuned", format=".3f"),
            alt.Tooltip("probe_series:N", title="probed"),
            alt.Tooltip("probe_score:Q", title=f"{metric}, probed", format=".3f"),
        ],
    )
    layers = [
        diagonal,
        bars.encode(x=alt.X("probe_low:Q", scale=scale), x2="probe_high:Q", y=y),
        bars.encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        points,
    ]
    text = "Above the dashed line fine-tuning scores higher than probing."
    return finish(alt.layer(*layers), "Fine-tuning against probing", note, 380, text, 1)


def tuning_figure(
    curves: pd.DataFrame, plan: Sequence[Series], task: str, note: str
) -> dict[str, Any]:
    """Draw validation scores over the steps of one task, a line for each method, no legend.

    `curves` has series, step, validation_score, validation_score_sd and splits.
    """
    own = [series for series in plan if series.label in set(curves["series"])]
    columns = ["series", "step", "validation_score", "validation_score_sd", "splits"]
    data = curves.loc[curves["series"].isin([series.label for series in own]), columns]
    channels = styles(own, legend=False)
    title = f"Validation {shared_name(curves['metric'])}"
    base = alt.Chart(data).encode(
        x=alt.X("step:Q", title="Step").axis(format="~s", grid=False, tickCount=5),
        y=alt.Y("validation_score:Q", title=title).scale(zero=False),
    )
    lines = base.mark_line(strokeWidth=2).encode(color=channels["color"], detail="series:N")
    points = base.mark_point(size=50, opacity=1).encode(
        **channels,
        tooltip=[
            *["series:N", "step:Q"],
            alt.Tooltip("validation_score:Q", format=".3f"),
            alt.Tooltip("validation_score_sd:Q", title="SD", format=".3f"),
            "splits:Q",
        ],
    )
    text = "One line per method, the mean over the splits that are still trained."
    return finish(alt.layer(lines, points), task, note, 210, text, 1)
