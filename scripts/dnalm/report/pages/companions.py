"""The other pages of a run, each with a sentence on what it found."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dnalm.report.pages.grids import percent
from dnalm.report.pages.interpretation import read_interpretation
from dnalm.report.pages.variants import grids
from dnalm.report.tables.files import read_tables

MAX_SENTENCES = 6  # of one page


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A page beside the report: its file, its name and what it found."""

    file: str
    name: str
    sentences: Sequence[str]


def read_companions(variants: Sequence[str], interpretation: Sequence[str]) -> list[Companion]:
    """Return the pages on variants and on interpretation, whose tables are given, with findings."""
    pages = []
    if variants:
        found = grids.findings(read_tables({Path(path).stem: path for path in variants}))
        pages.append(Companion(file="variants.html", name="Variants", sentences=_few(found)))
    if interpretation:
        found = list(interpretation_findings(read_interpretation(interpretation)))
        page = {"file": "interpretation.html", "name": "Interpretation"}
        pages.append(Companion(**page, sentences=_few(found)))
    return pages


def _few(sentences: Sequence[str]) -> list[str]:
    left = len(sentences) - MAX_SENTENCES
    return [*sentences[:MAX_SENTENCES], *([f"And {left} more."] if left > 0 else [])]


def interpretation_findings(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Yield a sentence for each model and analysis of the tables of `read_interpretation`."""
    keys = ["annotation", "model"]
    heads = tables["attention"]
    for (name, model), own in heads.groupby(keys, sort=False) if len(heads) else ():
        each = own.groupby(["layer", "attention_head"])["significant_shift"].any()
        yield (
            f"{model} on {name}: {int(each.sum())} of {len(each)} heads look at an element more "
            f"often than by shifted masks."
        )
    masked = tables["reconstruction"]
    for row in masked.to_dict("records"):
        if row["element"] == "all":
            yield (
                f"{row['model']} on {row['annotation']}, {row['mask']} tokens masked: "
                f"{percent(row['accuracy'])} are guessed right, by a Markov chain "
                f"{percent(row['markov_accuracy'])}."
            )
    maps = tables["map_facts"]
    for (name, model), own in maps.groupby(keys, sort=False) if len(maps) else ():
        best = own.loc[own["neighbour_accuracy"].idxmax()]
        yield (
            f"{model} on {name}: the nearest windows of other contigs are of the same element in "
            f"{percent(best['neighbour_accuracy'])} of the cases at most (layer "
            f"{best['layer']:.0f}), by GC content alone in {percent(best['gc_accuracy'])}, by "
            f"chance in {percent(best['chance'])}."
        )
