"""The elements of a genome's annotation with their labels and windows, one function per recipe.

Coordinates are absolute (those of the annotation), 0-based and half-open.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.tasks.recipes.element_labels import (
    UNLABELLED,
    label_by_motif,
    label_by_overlap,
)
from dnalm.errors import InputError
from dnalm.genome.annotation import read_gtf, splice_sites
from dnalm.genome.intervals import NO_SUMMIT, read_bed

WINDOW = ["contig", "start", "end", "strand"]

Files = Mapping[str, Sequence[str]]


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
    read = _read_sites if build["recipe"] == "splice_sites" else _read_intervals
    elements = read(build, name, files)
    starts = elements.pop("window") if "window" in elements else _place(elements, build, random)
    lengths = build["length"] or elements["end"] - elements["start"]
    windows = elements[["contig", "strand", "label"]].assign(start=starts, end=starts + lengths)
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
        records=elements[["contig", "start", "end"]].assign(fate=fates)[~elements["turned"]],
        windows=found[[*WINDOW, "label"]].reset_index(drop=True),
        avoided=pd.concat(spans, ignore_index=True),
    )


def _fates_of_windows(windows: pd.DataFrame) -> NDArray[np.str_]:
    labels = windows.groupby(WINDOW, sort=False)["label"]
    contradicting = labels.transform("min") != labels.transform("max")
    repeated = windows.duplicated(WINDOW)
    return np.select([contradicting, repeated], ["contradicting", "repeated"], "window")


def _read_intervals(build: Mapping[str, Any], name: str, files: Files) -> pd.DataFrame:
    """Return the intervals of BED files: contig, start, end, strand, summit and label.

    A promoter without a strand and without a label is there in both directions, `turned` the second
    time.
    """
    columns = {
        "name": build["name_column"],
        "strand": build["strand_column"],
        "summit": build["summit_column"] if build["placement"] == "summit" else None,
    }
    read = [read_bed(path, **columns) for path in files["intervals"]]
    elements = pd.concat(read, ignore_index=True)
    elements["label"] = _label_by_name(elements["name"], build["labels_by_name"])
    if "motifs" in files:
        label_by_motif(elements, build, files["motifs"][0], name)
    if "types" in files:
        label_by_overlap(elements, build, files["types"])
    without = elements["strand"] == "."
    if build["recipe"] != "promoters":
        return elements.assign(strand=elements["strand"].where(~without, "+"), turned=False)
    if (wrong := elements[without & (elements["label"] != UNLABELLED)]).size:
        first = wrong.iloc[0]
        raise InputError(
            f"{', '.join(map(str, files['intervals']))}: {len(wrong):,} of {len(elements):,} "
            f"intervals have no strand, the first is {first['contig']}:{first['start']}-"
            f"{first['end']}, and promoters are read in the direction of their gene: write '+' or "
            "'-' into the strand column (build.strand_column, 6 in BED) or remove the lines."
        )
    twins = [elements[without].assign(strand=strand, turned=strand == "-") for strand in "+-"]
    return pd.concat([elements[~without].assign(turned=False), *twins], ignore_index=True)


def _label_by_name(names: pd.Series, labels_by_name: Mapping[str, int]) -> NDArray[np.int64]:
    """Return the label of the first pattern found in each name, UNLABELLED where none is."""
    known = {
        name: next(
            (label for pattern, label in labels_by_name.items() if re.search(pattern, name)),
            UNLABELLED,
        )
        for name in names.unique()
    }
    return names.map(known).to_numpy(np.int64)


def _read_sites(build: Mapping[str, Any], name: str, files: Files) -> pd.DataFrame:
    """Return the splice sites of GTF or GFF3 files as the two intron bases of each.

    The middle of their windows is the border of exon and intron: a donor's GT begins at offset
    length / 2, an acceptor's AG ends there. `labels_by_kind` gives the classes of `donor` and
    `acceptor`. Sites of transcripts whose level is among `exclude_levels` alone have no label.
    """
    if build["length"] % 2:
        raise InputError(
            f"Task {name} has build.length {build['length']}; splice sites need an even length, "
            "so that the border lies in the middle on both strands."
        )
    transcripts = [found for path in files["annotation"] for found in read_gtf(path)]
    kept = [found for found in transcripts if found.level not in build["exclude_levels"]]
    sites = splice_sites(transcripts)
    found = sites.merge(splice_sites(kept), how="left", indicator=True)["_merge"] == "both"
    labels = sites["kind"].map(build["labels_by_kind"]).where(found)
    sites["label"] = labels.fillna(UNLABELLED).astype(np.int64)
    # The base right of the border: the site itself, or its right neighbour where the intron lies
    # to the left (acceptor on plus, donor on minus).
    left_intron = (sites["kind"] == "acceptor") == (sites["strand"] == "+")
    sites["start"] = sites["position"] - left_intron
    sites["end"] = sites["start"] + 2
    sites["window"] = sites["position"] + left_intron - build["length"] // 2
    return sites.assign(turned=False)


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
