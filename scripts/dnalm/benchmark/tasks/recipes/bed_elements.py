"""Elements of BED files and the like, labelled by their names or by a second file."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.tasks.recipes.element_labels import (
    UNLABELLED,
    label_by_motif,
    label_by_overlap,
)
from dnalm.benchmark.tasks.recipes.recipe import Files
from dnalm.genome.intervals import read_bed


def read_unstranded(build: Mapping[str, Any], name: str, files: Files) -> pd.DataFrame:
    """Return the elements of BED files; windows of those without a strand are placed forward.

    Columns: contig, start, end, strand, summit, label, reversed and unstranded, as of
    `Recipe.read`.
    """
    elements = read_intervals(build, name, files)
    unstranded = elements["strand"] == "."
    strand = elements["strand"].where(~unstranded, "+")
    return elements.assign(strand=strand, reversed=False, unstranded=unstranded)


def read_intervals(build: Mapping[str, Any], name: str, files: Files) -> pd.DataFrame:
    """Return the intervals of BED files: contig, start, end, name, strand, summit and label."""
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
    return elements


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
