"""The figures of the page on what models have learned: heads on elements, maps of elements."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from dnalm.report.figures.chart import finish
from dnalm.report.method_names import MODEL_COLOURS

LIMIT = 3.0  # log2 of an enrichment beyond which colours no longer change
MARKS = ["circle", "triangle-up", "square", "diamond"]  # each in all colours, one after the other
LESS, EVEN, MORE = "#542788", "#f7f7f7", "#b35806"  # purple to orange; as the page says in words


def heads_figure(heads: pd.DataFrame, title: str, axis: str, note: str) -> dict[str, Any]:
    """Draw the enrichment of every head as a map of layers and heads; dots are significant ones.

    `heads` is the table of one model, element, direction and threshold; `axis` says whose heads
    they are.
    """
    data = heads[["layer", "attention_head", "log2_enrichment", "share", "natural_share"]].assign(
        significant=heads["significant_shift"].astype(bool), p_shift=heads["p_shift"]
    )
    # A head without a hit has no logarithm, and keeps its place.
    data["log2_enrichment"] = data["log2_enrichment"].clip(-LIMIT, LIMIT)
    base = alt.Chart(data).encode(
        x=alt.X("attention_head:O", title=axis)
        .scale(domain=sorted(map(int, data["attention_head"].unique())))
        .axis(labelAngle=0, labelOverlap=True),
        y=alt.Y("layer:O", title="layer").scale(
            domain=sorted(map(int, data["layer"].unique()), reverse=True)
        ),
        tooltip=[
            alt.Tooltip("layer:O"),
            alt.Tooltip("attention_head:O", title="head"),
            alt.Tooltip("share:Q", format=".2%"),
            alt.Tooltip("natural_share:Q", title="share of tokens", format=".2%"),
            alt.Tooltip("p_shift:Q", title="p, shifted", format=".2g"),
        ],
    )
    squares = base.mark_rect().encode(
        color=alt.Color("log2_enrichment:Q", title="log2").scale(
            domain=[-LIMIT, 0, LIMIT], range=[LESS, EVEN, MORE]
        )
    )
    dots = (
        base.transform_filter("datum.significant")
        .mark_point(filled=True, size=18, color="black", opacity=1)
        .encode()
    )
    text = "Colour: log2 of the share of attention over the share of tokens; dots: significant."
    height = max(90.0, 14.0 * data["layer"].nunique())
    return finish(alt.layer(squares, dots), title, note, height, text, 2)


def map_figure(
    coordinates: pd.DataFrame, names: Sequence[str], title: str, note: str
) -> dict[str, Any]:
    """Draw the map of one layer, a mark for each window: its element is its colour and shape."""
    colours = [MODEL_COLOURS[at % len(MODEL_COLOURS)] for at in range(len(names))]
    shapes = [MARKS[at // len(MODEL_COLOURS) % len(MARKS)] for at in range(len(names))]
    data = coordinates[["x", "y", "element", "gc", "contig", "start"]]
    points = (
        alt.Chart(data)
        .mark_point(filled=True, size=28, opacity=0.7)
        .encode(
            x=alt.X("x:Q", title=None).axis(labels=False, grid=False),
            y=alt.Y("y:Q", title=None).axis(labels=False, grid=False),
            color=alt.Color("element:N", legend=alt.Legend(title=None)).scale(
                domain=list(names), range=colours
            ),
            shape=alt.Shape("element:N", legend=alt.Legend(title=None)).scale(
                domain=list(names), range=shapes
            ),
            tooltip=[
                "element:N",
                "contig:N",
                alt.Tooltip("start:Q", format=","),
                alt.Tooltip("gc:Q", title="GC", format=".0%"),
            ],
        )
    )
    return finish(alt.layer(points), title, note, 260, "One mark per window.", 3)
