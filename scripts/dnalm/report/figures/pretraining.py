"""The figures of the page on pretraining: curves of all runs, one line per model or group."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from dnalm.report.figures.chart import INK, MUTED, finish
from dnalm.report.method_names import MODEL_COLOURS, OTHER_GREY
from dnalm.report.tables.pretraining import ALL_WINDOWS

MAX_POINTS = 400
MIN_RATIO_FOR_LOGS = 20  # runs whose lengths differ more than this are drawn on a logarithmic axis
NATS = "Nats per masked token"


def colours_of(names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each model or group; beyond the palette all are grey."""
    spare = [OTHER_GREY] * max(0, len(names) - len(MODEL_COLOURS))
    return dict(zip(names, [*MODEL_COLOURS, *spare], strict=False))


def losses_figure(held_out: pd.DataFrame, note: str) -> dict[str, Any]:
    """Draw the validation loss of all runs, and what k-mer frequencies alone leave (dashed)."""
    data = held_out[(held_out["split"] == "validation") & (held_out["group"] == ALL_WINDOWS)]
    data = data[["model", "tokens", "loss", "unigram_loss", "window_perplexity", "accuracy"]]
    names = list(data["model"].unique())
    x = _tokens_axis(data, "model")
    base = alt.Chart(data).encode(x=x, color=_colour("model", names))
    y = alt.Y("loss:Q", title="Loss at <mask>, nats").scale(zero=False)
    lines = base.mark_line(strokeWidth=2).encode(y=y)
    points = base.mark_point(filled=True, size=35, opacity=1).encode(
        y=y,
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("tokens:Q", format=",.4s"),
            alt.Tooltip("loss:Q", format=".4f"),
            alt.Tooltip("unigram_loss:Q", title="k-mer frequencies only", format=".4f"),
            alt.Tooltip("window_perplexity:Q", title="median perplexity", format=".1f"),
            alt.Tooltip("accuracy:Q", format=".2%"),
        ],
    )
    plain = base.mark_line(strokeWidth=1.5, strokeDash=[5, 4]).encode(y="unigram_loss:Q")
    text = "One line per model, lower is better; dashed: k-mer frequencies alone."
    title = "Loss on validation windows"
    return finish(alt.layer(plain, lines, points), title, note, 320, text, 2)


def groups_figure(held_out: pd.DataFrame, model: str, note: str) -> dict[str, Any]:
    """Draw how many nats per masked token a model saves over k-mer frequencies, by group."""
    grouped = held_out[held_out["group"] != ALL_WINDOWS]
    names = sorted(grouped["group"].unique())  # of all models: a group has one colour everywhere
    data = grouped[(grouped["model"] == model) & (grouped["split"] == "validation")]
    data = data.assign(saved=data["unigram_loss"] - data["loss"])
    data = data[["group", "tokens", "loss", "saved", "genomes", "windows"]]
    base = alt.Chart(data).encode(
        x=_tokens_axis(data, "group"),
        y=alt.Y("saved:Q", title=NATS),
        color=_colour("group", names),
        tooltip=[
            alt.Tooltip("group:N"),
            *[alt.Tooltip(f"{name}:Q", format=",") for name in ("genomes", "windows")],
            alt.Tooltip("tokens:Q", format=",.4s"),
            alt.Tooltip("saved:Q", format="+.4f"),
            alt.Tooltip("loss:Q", format=".4f"),
        ],
    )
    zero = alt.Chart(pd.DataFrame({"y": [0]})).mark_rule(color=MUTED).encode(y="y:Q")
    text = "Above zero the model uses more than the frequencies of k-mers."
    layers = (zero, base.mark_line(strokeWidth=2), base.mark_point(filled=True, size=30))
    return finish(alt.layer(*layers), model, note, 220, text, 2)


def rates_figure(
    progress: pd.DataFrame,
    quantity: str,
    title: str,
    scale: Mapping[str, Any],
    numbers: str,
    note: str,
) -> dict[str, Any]:
    """Draw one column of the table progress over the tokens seen, one line per model.

    `scale` are properties of Vega-Lite's scale, `numbers` is the format of the labels.
    """
    data = progress[["model", "tokens", quantity]].dropna()
    if scale.get("type") == "log":
        data = data[data[quantity] > 0]  # steps of empty batches have no gradient
    names = list(data["model"].unique())
    thinned = [_thin(part, quantity).assign(model=name) for name, part in data.groupby("model")]
    base = alt.Chart(pd.concat(thinned)).encode(
        x=_tokens_axis(data, "model"),
        y=alt.Y(f"{quantity}:Q", title=None).scale(**scale).axis(format=numbers, tickCount=5),
        color=_colour("model", names),
        tooltip=["model:N", alt.Tooltip("tokens:Q", format=",.4s"), f"{quantity}:Q"],
    )
    text = "One line per model."
    return finish(alt.layer(base.mark_line(strokeWidth=1.5)), title, note, 200, text, 2)


def _tokens_axis(data: pd.DataFrame, line: str) -> alt.X:
    """Return the axis of tokens seen, close to logarithmic where some lines are far longer."""
    ends = data.groupby(line)["tokens"].max()
    axis = alt.X("tokens:Q", title="Tokens seen").axis(format="~s", grid=False, tickCount=5)
    if len(ends) and ends.min() > 0 and ends.max() > MIN_RATIO_FOR_LOGS * ends.min():
        return axis.scale(
            type="symlog", constant=float(ends.min()) / MIN_RATIO_FOR_LOGS, nice=False
        )
    return axis.scale(nice=False)


def _colour(field: str, names: Sequence[str]) -> alt.Color:
    colours = colours_of(names)
    legend = alt.Legend(title=None, symbolType="stroke", symbolStrokeWidth=3, labelColor=INK)
    return alt.Color(f"{field}:N", legend=legend).scale(
        domain=list(colours), range=list(colours.values())
    )


def _thin(part: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return at most MAX_POINTS rows: means over runs of neighbouring steps."""
    group = [i * MAX_POINTS // max(len(part), MAX_POINTS) for i in range(len(part))]
    return part.groupby(group)[["tokens", quantity]].mean()
