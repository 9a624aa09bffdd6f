"""The look that all charts share."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from dnalm.report.method_names import Series

FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
INK, MUTED, GRID, PALE = "#1f2933", "#616e7c", "#e4e7eb", "#b8c0c8"
WARNING = "#b54708"


def finish(
    chart: alt.LayerChart, title: str, note: str, height: float, text: str, columns: int
) -> dict[str, Any]:
    """Return the chart's specification; `note` (that data are simulated, or '') is its subtitle."""
    heading = alt.TitleParams(
        title,
        subtitle=note or alt.Undefined,
        anchor="start",
        frame="bounds",
        fontSize=15,
        subtitleFontSize=12,
        subtitleColor=WARNING,
        subtitleFontWeight="bold",
        offset=10,
    )
    chart = chart.properties(
        title=heading, width="container", height=height, description=f"{title}. {text}"
    )
    chart = chart.configure(font=FONT, background="#ffffff")
    chart = chart.configure_view(stroke=None)
    chart = chart.configure_title(color=INK)
    chart = chart.configure_axis(
        labelColor=INK,
        labelFontSize=12,
        labelPadding=6,
        titleColor=MUTED,
        titleFontSize=12,
        titleFontWeight="normal",
        gridColor=GRID,
        domain=False,
        ticks=False,
    )
    chart = chart.configure_legend(
        orient="bottom",
        columns=columns,
        labelColor=INK,
        labelFontSize=12,
        labelLimit=320,
        symbolSize=80,
        title=None,
    )
    return chart.to_dict()


def styles(plan: Sequence[Series], legend: bool = True) -> dict[str, Any]:
    """Return the channels colour, fill and shape of the field `series`, in the plan's order."""
    names = [series.label for series in plan]
    key = alt.Legend(title=None) if legend else None

    def scale(attribute: str) -> alt.Scale:
        return alt.Scale(domain=names, range=[getattr(series, attribute) for series in plan])

    return {
        "color": alt.Color("series:N", scale=scale("colour"), legend=key),
        "fill": alt.Fill("series:N", scale=scale("fill"), legend=key),
        "shape": alt.Shape("series:N", scale=scale("shape"), legend=key),
    }
