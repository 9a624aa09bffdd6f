"""The figures of a corpus card: groups of genomes, k-mer spectrum, variants per haplotype."""

import math
from typing import Any

import altair as alt
import pandas as pd

from dnalm.report.figures.chart import INK, MUTED, finish
from dnalm.report.tables.kmer_spectrum import Spectrum, histogram_of

PLAIN, CPG = "#0072B2", "#D55E00"
BAR_PIXELS = 26
LABEL_ROOM = 1.3  # the shares stand right of the bars
MAX_DECADES_WITH_THIRDS = 3  # decades; on a longer axis only whole ones are labelled
WITHOUT, WITH = "without CG", "with CG"
SPACED = "replace(format(datum.value, '~s'), regexp('([kMGT])'), ' $1')"
COUNTS = f"datum.value < 1e4 ? format(datum.value, ',') : {SPACED}"
BASES = f"datum.value ? {SPACED} + 'b' : '0'"


def groups_figure(groups: pd.DataFrame, note: str) -> dict[str, Any]:
    """Draw the bases of each group of genomes as a bar with its share; columns group, bases."""
    whole = groups["bases"].sum()
    data = groups[["group", "genome_count", "bases"]].assign(
        share=[f"{bases / whole:.1%}" for bases in groups["bases"]]
    )
    y = alt.Y("group:N", sort=list(data["group"]), title=None)
    limits = [0, float(data["bases"].max()) * LABEL_ROOM]
    base = alt.Chart(data).encode(
        y=y.axis(labelLimit=170),
        x=alt.X("bases:Q", title="Bases")
        .scale(domain=limits, nice=False)
        .axis(tickCount=4, labelExpr=BASES),
        tooltip=[
            alt.Tooltip("group:N"),
            alt.Tooltip("genome_count:Q", title="genomes", format=","),
            alt.Tooltip("bases:Q", format=","),
            alt.Tooltip("share:N", title="share of bases"),
        ],
    )
    bars = base.mark_bar(color=PLAIN, height={"band": 0.7})
    shares = base.mark_text(align="left", dx=5, color=INK, fontSize=12).encode(text="share:N")
    text = "One bar per group; its share of all bases stands beside it."
    height = BAR_PIXELS * len(data)
    return finish(alt.layer(bars, shares), "Bases by group of genomes", note, height, text, 1)


def spectrum_figure(kmers: pd.DataFrame, spectrum: Spectrum, note: str) -> dict[str, Any]:
    """Draw how many k-mers occur how often, those with CG apart; columns kmer, count."""
    k = spectrum.k
    steps = histogram_of(kmers)
    data = steps.assign(
        part=[WITH if cpg else WITHOUT for cpg in steps["cpg"]],
        counts=[f"{math.ceil(low):,} – {math.floor(high):,}" for low, high in _bounds(steps)],
    ).drop(columns="cpg")
    # The mean is drawn too, so it has to lie on the axis.
    limits = [
        min(float(data["low"].min()), spectrum.mean * 0.9),
        max(float(data["high"].max()), spectrum.mean * 1.1),
    ]
    x = alt.X("low:Q", title="Occurrences in training (log scale)")
    x = x.scale(type="log", domain=limits, nice=False)
    x = x.axis(values=_ticks(*limits), labelExpr=SPACED, grid=False)
    legend = alt.Legend(title=None)
    bars = (
        alt.Chart(data)
        .mark_bar(stroke="#ffffff", strokeWidth=0.5)
        .encode(
            x=x,
            x2="high:Q",
            y=alt.Y("bottom:Q", title=f"Number of {k}-mers").axis(tickCount=5, format=",d"),
            y2="top:Q",
            color=alt.Color("part:N", legend=legend).scale(
                domain=[WITHOUT, WITH], range=[PLAIN, CPG]
            ),
            tooltip=[
                alt.Tooltip("part:N", title=f"{k}-mers"),
                alt.Tooltip("counts:N", title="occurring"),
                alt.Tooltip("kmers:Q", title=f"different {k}-mers", format=","),
            ],
        )
    )
    mean = alt.Chart(pd.DataFrame({"mean": [spectrum.mean], "text": ["mean"]})).encode(x="mean:Q")
    left = spectrum.mean > math.sqrt(limits[0] * limits[1])
    rule = mean.mark_rule(strokeDash=[5, 4], color=INK)
    word = mean.mark_text(
        align="right" if left else "left", dx=-5 if left else 5, dy=-6, y=0, color=INK
    ).encode(text="text:N")
    text = "The narrower the hump, the more alike the frequencies; dashed: the mean."
    return finish(alt.layer(bars, rule, word), f"Spectrum of {k}-mers", note, 280, text, 2)


def variants_figure(spread: pd.DataFrame, kind: str, note: str) -> dict[str, Any]:
    """Draw how many variants of a kind the haplotypes of each part carry (see `spread_of`)."""
    data = spread[spread["kind"] == kind]
    base = alt.Chart(data).encode(
        y=alt.Y("part:N", title=None).axis(grid=False, labelLimit=120),
        tooltip=[
            alt.Tooltip("part:N", title="haplotypes of"),
            alt.Tooltip("haplotypes:Q", title="how many", format=","),
            *[
                alt.Tooltip(f"{name}:Q", title=title, format=",")
                for name, title in (
                    ("least", "fewest"),
                    ("low", "25 %"),
                    ("median", "median"),
                    ("high", "75 %"),
                    ("most", "most"),
                )
            ],
        ],
    )
    title = f"{kind[0].upper()}{kind[1:]} per haplotype"
    whole = base.mark_rule(color=MUTED, strokeWidth=1.5).encode(
        x=alt.X("least:Q", title=title)
        .scale(zero=False, padding=8)
        .axis(tickCount=4, labelExpr=COUNTS, labelOverlap=True, labelSeparation=16),
        x2="most:Q",
    )
    half = base.mark_bar(color=PLAIN, height=12).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    middle = base.mark_tick(color="#ffffff", thickness=2.5, size=12).encode(
        x=alt.X("median:Q", title=title)
    )
    text = "Line: fewest to most; bar: the middle half; notch: the median."
    height = 12 + BAR_PIXELS * data["part"].nunique()
    name = f"{kind[0].upper()}{kind[1:]}"
    return finish(alt.layer(whole, half, middle), name, note, height, text, 1)


def _bounds(steps: pd.DataFrame) -> zip:
    return zip(steps["low"], steps["high"], strict=True)


def _ticks(low: float, high: float) -> list[float]:
    """Return the labelled counts of a log axis: whole decades, thirds too where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 3) if last - first <= MAX_DECADES_WITH_THIRDS + 1 else (1,)
    ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]
