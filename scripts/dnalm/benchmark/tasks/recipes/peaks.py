"""Peaks: windows on the intervals of narrowPeak files, such as histone marks."""

from dnalm.benchmark.tasks.recipes.bed_elements import read_unstranded
from dnalm.benchmark.tasks.recipes.recipe import (
    GENOME_DECOYS,
    INTERVAL_PLACEMENTS,
    UNSTRANDED_KEYS,
    Recipe,
)

PEAKS = Recipe(
    name="peaks",
    source="intervals",
    format="BED",
    extra_files=("types",),
    keys=UNSTRANDED_KEYS,
    labels_by="labels_by_name",
    placements=INTERVAL_PLACEMENTS,
    decoys=GENOME_DECOYS,
    read=read_unstranded,
)
