"""Figures of the probabilities of masked tokens: SNPs by frequency, scores against effects."""

from typing import Any

import altair as alt
import pandas as pd

from dnalm.report.figures.chart import finish
from dnalm.report.figures.pretraining import colours_of

DASHES = {"ref": [1, 0], "alt": [5, 3]}


def snps_figure(table: pd.DataFrame, title: str, note: str) -> dict[str, Any]:
    """Draw perplexity against the frequency of ALT, a colour for people, dashed for ALT."""
    columns = ["bin", "group", "allele", "perplexity", "haplotypes", "accuracy"]
    data = table[columns].dropna()
    groups = colours_of(list(data["group"].unique()))
    base = alt.Chart(data).encode(
        x=alt.X("bin:Q", title="frequency of ALT", axis=alt.Axis(format="%")).scale(type="log"),
        y=alt.Y("perplexity:Q", title="perplexity of the k-mer").scale(zero=False),
        color=alt.Color("group:N", legend=alt.Legend(title=None)).scale(
            domain=list(groups), range=list(groups.values())
        ),
        tooltip=[
            "allele:N",
            "group:N",
            alt.Tooltip("bin:Q", title="frequency", format=".1%"),
            alt.Tooltip("perplexity:Q", format=",.1f"),
            alt.Tooltip("accuracy:Q", format=".1%"),
            alt.Tooltip("haplotypes:Q", format=","),
        ],
    )
    alleles = list(DASHES)
    # One legend of both: with none of the dashes Vega-Lite draws none of the shapes either.
    key = alt.Legend(title=None, labelExpr="upper(datum.label)", symbolSize=60)
    dashes = alt.StrokeDash("allele:N", legend=key)
    dashes = dashes.scale(domain=alleles, range=list(DASHES.values()))
    shapes = alt.Shape("allele:N", legend=key)
    shapes = shapes.scale(domain=alleles, range=["circle", "triangle-up"])
    lines = base.mark_line(strokeWidth=2).encode(strokeDash=dashes)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(shape=shapes)
    return finish(alt.layer(lines, points), title, note, 220, "One line per allele and people.", 3)


def assay_figure(variants: pd.DataFrame, score: str, title: str, note: str) -> dict[str, Any]:
    """Draw measured effects against a score, a dot for each variant."""
    data = variants[["contig", "position", "ref", "alt", "effect", score]].dropna()
    points = (
        alt.Chart(data)
        .mark_circle(size=30, opacity=0.6)
        .encode(
            x=alt.X(f"{score}:Q", title=score).scale(zero=False),
            y=alt.Y("effect:Q", title="measured effect").scale(zero=False),
            tooltip=[
                "contig:N",
                alt.Tooltip("position:Q", format=","),
                "ref:N",
                "alt:N",
                alt.Tooltip("effect:Q", format=".3g"),
                alt.Tooltip(f"{score}:Q", format=".3g"),
            ],
        )
    )
    return finish(alt.layer(points), title, note, 260, "One dot per variant.", 3)
