"""Promoters: windows on transcription starts or promoters of BED files, as EPDnew's."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dnalm.benchmark.tasks.recipes.bed_elements import read_intervals
from dnalm.benchmark.tasks.recipes.element_labels import UNLABELLED
from dnalm.benchmark.tasks.recipes.recipe import (
    GENOME_DECOYS,
    INTERVAL_KEYS,
    INTERVAL_PLACEMENTS,
    Files,
    Recipe,
)
from dnalm.errors import InputError


def read_promoters(build: Mapping[str, Any], name: str, files: Files) -> pd.DataFrame:
    """Return promoters in the direction of their gene, as `Recipe.read` says.

    One without a strand and without a label is there in both directions. Raises InputError for one
    with a label and without a strand.
    """
    elements = read_intervals(build, name, files)
    without = elements["strand"] == "."
    if (wrong := elements[without & (elements["label"] != UNLABELLED)]).size:
        first = wrong.iloc[0]
        raise InputError(
            f"{', '.join(map(str, files['intervals']))}: {len(wrong):,} of {len(elements):,} "
            f"intervals have no strand, the first is {first['contig']}:{first['start']}-"
            f"{first['end']}, and promoters are read in the direction of their gene: write '+' or "
            "'-' into the strand column (build.strand_column, 6 in BED) or remove the lines."
        )
    twins = [elements[without].assign(strand=strand, reversed=strand == "-") for strand in "+-"]
    return pd.concat([elements[~without].assign(reversed=False), *twins], ignore_index=True)


PROMOTERS = Recipe(
    name="promoters",
    source="intervals",
    format="BED",
    extra_files=("motifs",),
    keys=(*INTERVAL_KEYS, "tss_offset", "upstream", "downstream"),
    labels_by="labels_by_name",
    placements=(*INTERVAL_PLACEMENTS, "tss"),
    decoys=GENOME_DECOYS,
    read=read_promoters,
)
