"""The elements of a genome's annotation with their labels and windows, by whatever recipe.

Coordinates are absolute (those of the annotation), 0-based and half-open.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.tasks.recipes.element_labels import UNLABELLED
from dnalm.benchmark.tasks.recipes.recipe import Files
from dnalm.benchmark.tasks.recipes.table import find_recipe
from dnalm.errors import InputError
from dnalm.genome.intervals import NO_SUMMIT

WINDOW = ["contig", "start", "end", "strand"]
STRANDS = 1  # number of the random stream of strands, beside that of windows and negatives


@dataclass(frozen=True, kw_only=True)
class Elements:
    """What a recipe found.

    `records` are all elements: contig, start, end, fate. `windows` are the labelled windows around
    them, each once: contig, start, end, strand, label. `avoided` is what no negative may touch:
    contig, start, end. The `fate` of a record is `window`, or why it gave none: `without_label`;
    `longer`, it does not fit into its window; `contradicting`, another with this window has another
    label; `repeated`, an earlier one has this window.
    """

    records: pd.DataFrame
    windows: pd.DataFrame
    avoided: pd.DataFrame


def find_elements(
    build: Mapping[str, Any], name: str, files: Files, random: np.random.Generator
) -> Elements:
    """Return the elements of the files that a recipe reads.

    Raises InputError for a promoter without a strand, when no element gets a label, and when none
    of those has a window.
    """
    elements = find_recipe(build["recipe"]).read(build, name, files)
    unstranded = elements.pop("unstranded") if "unstranded" in elements else None
    starts = elements.pop("window") if "window" in elements else _place(elements, build, random)
    lengths = build["length"] or elements["end"] - elements["start"]
    windows = elements[["contig", "strand", "label"]].assign(start=starts, end=starts + lengths)
    if unstranded is not None and build["unstranded"] == "random":
        windows.loc[unstranded, "strand"] = _draw_strands(windows[unstranded], build["seed"])
    longer = pd.Series(False, index=elements.index)
    if build["length"] and build["longer"] == "drop" and build["placement"] != "tss":
        longer = elements["end"] - elements["start"] > build["length"]
    labelled = elements["label"] != UNLABELLED
    if not labelled.any():
        raise InputError(
            f"Task {name}: the file of its recipe {build['recipe']} names no element that "
            f"gets a label, among {len(elements):,} records: correct its path or what gives the "
            "labels in `build`."
        )
    fates = pd.Series("without_label", index=elements.index).where(~labelled, "longer")
    usable = windows[labelled & ~longer]
    fates[usable.index] = _fates_of_windows(usable)
    if usable.empty:
        raise InputError(
            f"Task {name}: all {int(labelled.sum()):,} elements are longer than the windows of "
            f"{build['length']} bases: raise build.length or set build.longer: centre."
        )
    found = windows[fates == "window"].sort_values(WINDOW)
    if found.empty:
        raise InputError(
            f"Task {name}: all {len(usable):,} elements have the window of one with another label: "
            "correct what gives the labels in `build`."
        )
    avoided = elements if build["unlabelled"] == "avoid" else elements[labelled]
    spans = [avoided[["contig", "start", "end"]]]
    if build["avoid"] == "windows":
        spans.append(windows.loc[avoided.index, ["contig", "start", "end"]])
    return Elements(
        records=elements[["contig", "start", "end"]].assign(fate=fates)[~elements["reversed"]],
        windows=found[[*WINDOW, "label"]].reset_index(drop=True),
        avoided=pd.concat(spans, ignore_index=True),
    )


def _fates_of_windows(windows: pd.DataFrame) -> NDArray[np.str_]:
    labels = windows.groupby(WINDOW, sort=False)["label"]
    contradicting = labels.transform("min") != labels.transform("max")
    repeated = windows.duplicated(WINDOW)
    return np.select([contradicting, repeated], ["contradicting", "repeated"], "window")


def _draw_strands(windows: pd.DataFrame, seed: int) -> NDArray[np.str_]:
    """Return a random strand for each window, the same for those of one place.

    It is drawn apart, so that no other draw depends on it.
    """
    places = windows.groupby(["contig", "start", "end"]).ngroup().to_numpy()
    drawn = np.random.default_rng([seed, STRANDS]).integers(2, size=len(windows))
    return np.array(["+", "-"])[drawn[places]]


def _place(
    elements: pd.DataFrame, build: Mapping[str, Any], random: np.random.Generator
) -> NDArray[np.int64]:
    """Return where the window of each element begins.

    All but `tss` hold the element, or lie within one that is longer. On the minus strand the rule
    is that of the plus strand in the mirror.
    """
    start, end = elements["start"].to_numpy(), elements["end"].to_numpy()
    minus = (elements["strand"] == "-").to_numpy()
    if not build["length"]:
        return start
    left, right = np.where(minus, -end, start), np.where(minus, -start, end)
    length = build["length"]
    first = (left + right) // 2 - length // 2
    ends = np.sort([left, right - length], axis=0)
    match build["placement"]:
        case "tss":
            first = left + build["tss_offset"] - build["upstream"]
        case "summit":
            summit = elements["summit"].to_numpy()
            base = np.where(minus, -(start + summit) - 1, start + summit) - length // 2
            first = np.where(summit == NO_SUMMIT, first, np.clip(base, *ends))
        case "random":
            first = random.integers(ends[0], ends[1] + 1)
    return np.where(minus, -(first + length), first)
