"""Figures of the probabilities of masked tokens: SNPs by frequency."""

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
    lines = (
        alt.Chart(data)
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X("bin:Q", title="frequency of ALT", axis=alt.Axis(format="%")).scale(type="log"),
            y=alt.Y("perplexity:Q", title="perplexity of the k-mer").scale(zero=False),
            color=alt.Color("group:N", legend=alt.Legend(title=None)).scale(
                domain=list(groups), range=list(groups.values())
            ),
            strokeDash=alt.StrokeDash("allele:N", legend=alt.Legend(title=None)).scale(
                domain=list(DASHES), range=list(DASHES.values())
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
    )
    return finish(alt.layer(lines), title, note, 220, "One line per allele and people.", 3)
