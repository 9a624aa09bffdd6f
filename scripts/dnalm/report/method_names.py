"""How a method and model are named and drawn, the same in every figure.

Colour says which model, shape which method, a hollow mark that the encoder is untrained. Colours
are those of Okabe and Ito, made for colour-blind readers; the shapes carry the same distinction.
"""

from dataclasses import dataclass

import pandas as pd

from dnalm.methods import BASELINE, BY_NAME, LINEAR, SEQUENCE_BASELINES

MODEL_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
OTHER_GREY = "#8c8c8c"
# Letters that look like the marks, for legends that are text.
GLYPHS = {
    "circle": "●",
    "diamond": "◆",
    "square": "■",
    "cross": "✚",
    "triangle-up": "▲",
    "triangle-down": "▼",
    "triangle-right": "▶",
}
BASELINE_SHAPE, OTHER_SHAPE = "triangle-up", "diamond"
LARGEST = 10


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of the legend."""

    label: str
    colour: str
    fill: str
    shape: str

    @property
    def glyph(self) -> str:
        """The mark as a letter."""
        return GLYPHS[self.shape]


def label(method: str, model: str) -> str:
    """Return the name of a series for people."""
    if method == BASELINE:
        row = SEQUENCE_BASELINES.get(model)
        return row.words if row else model.replace("_", " ")
    words = BY_NAME[method].words if method in BY_NAME else method
    return f"{model.replace('.untrained', ', untrained')} · {words}"


def add_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a column `series` made of its method and model.

    Where it names references, with a column `reference_series` too.
    """
    columns = {"series": ("method", "model")}
    if "reference_method" in table:
        columns["reference_series"] = ("reference_method", "reference")
    names = {
        name: [label(*pair) for pair in zip(*(table[key] for key in keys), strict=True)]
        for name, keys in columns.items()
    }
    return table.assign(
        **{name: pd.Series(own, index=table.index, dtype=object) for name, own in names.items()}
    )


def plan(table: pd.DataFrame, untrained: dict[str, str]) -> list[Series]:
    """Return the series of a table with method, model and score_mean: baselines, then models.

    `untrained` names the trained model of each untrained one. Of more than ten series those with
    the best mean are drawn (all stand in the table).
    """
    means = table.groupby(["method", "model"], sort=False)["score_mean"].mean()
    pairs = list(means.sort_values(ascending=False).index[:LARGEST])
    models = sorted({untrained.get(model, model) for method, model in pairs if method != BASELINE})
    colours = dict(zip(models, MODEL_COLOURS, strict=False))

    def place(pair: tuple[str, str]) -> tuple:
        method, model = pair
        greys = list(SEQUENCE_BASELINES)
        if method == BASELINE:
            return (0, greys.index(model) if model in greys else len(greys), model, "")
        base = untrained.get(model, model)
        return (1, models.index(base), method != LINEAR.name, method, model == base)

    return [_series(*pair, colours, untrained) for pair in sorted(pairs, key=place)]


def _series(method: str, model: str, colours: dict[str, str], untrained: dict[str, str]) -> Series:
    shape = BY_NAME[method].shape if method in BY_NAME else OTHER_SHAPE
    if method == BASELINE:
        row, shape = SEQUENCE_BASELINES.get(model), BASELINE_SHAPE
        colour = row.colour if row else OTHER_GREY
    else:
        colour = colours.get(untrained.get(model, model), OTHER_GREY)
    return Series(
        label=label(method, model),
        colour=colour,
        fill="#ffffff" if model in untrained else colour,
        shape=shape,
    )
