"""Regions: windows on any intervals of BED files."""

from dnalm.benchmark.tasks.recipes.bed_elements import read_unstranded
from dnalm.benchmark.tasks.recipes.recipe import (
    GENOME_DECOYS,
    INTERVAL_PLACEMENTS,
    UNSTRANDED_KEYS,
    Recipe,
)

REGIONS = Recipe(
    name="regions",
    source="intervals",
    format="BED",
    extra_files=("types",),
    keys=UNSTRANDED_KEYS,
    labels_by="labels_by_name",
    placements=INTERVAL_PLACEMENTS,
    decoys=GENOME_DECOYS,
    read=read_unstranded,
)
