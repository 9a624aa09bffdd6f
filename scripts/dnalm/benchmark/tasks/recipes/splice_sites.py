"""Splice sites: windows with a donor or acceptor of a GTF or GFF3 file in their middle."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.tasks.recipes.element_labels import UNLABELLED
from dnalm.benchmark.tasks.recipes.recipe import GENOME_DECOYS, Files, Recipe
from dnalm.errors import InputError
from dnalm.genome.annotation import read_gtf, splice_sites

logger = logging.getLogger(__name__)


def read_sites(build: Mapping[str, Any], name: str, files: Files) -> pd.DataFrame:
    """Return the splice sites of GTF or GFF3 files as the two intron bases of each.

    The middle of their windows is the border of exon and intron: a donor's GT begins at offset
    length / 2, an acceptor's AG ends there. `labels_by_kind` gives the classes of `donor` and
    `acceptor`. Sites of transcripts whose level is among `exclude_levels` alone have no label, nor
    have those of introns of fewer than `min_intron` bases, which are counted in a warning.
    """
    if build["length"] % 2:
        raise InputError(
            f"Task {name} has build.length {build['length']}; splice sites need an even length, "
            "so that the border lies in the middle on both strands."
        )
    transcripts = [found for path in files["annotation"] for found in read_gtf(path)]
    kept = [found for found in transcripts if found.level not in build["exclude_levels"]]
    sites = splice_sites(transcripts, 1)
    introns = splice_sites(transcripts, build["min_intron"])
    if short := len(sites) - len(introns):
        logger.warning(
            "%s: %d splice sites of gaps between exons of fewer than %d bases (build.min_intron) "
            "get no label.",
            ", ".join(map(str, files["annotation"])),
            short,
            build["min_intron"],
        )
    labelled = splice_sites(kept, build["min_intron"])
    found = sites.merge(labelled, how="left", indicator=True)["_merge"] == "both"
    labels = sites["kind"].map(build["labels_by_kind"]).where(found)
    sites["label"] = labels.fillna(UNLABELLED).astype(np.int64)
    # The base right of the border: the site itself, or its right neighbour where the intron lies
    # to the left (acceptor on plus, donor on minus).
    left_intron = (sites["kind"] == "acceptor") == (sites["strand"] == "+")
    sites["start"] = sites["position"] - left_intron
    sites["end"] = sites["start"] + 2
    sites["window"] = sites["position"] + left_intron - build["length"] // 2
    return sites.assign(reversed=False)


SPLICE_SITES = Recipe(
    name="splice_sites",
    source="annotation",
    format="GTF or GFF3",
    extra_files=(),
    keys=("exclude_levels", "min_intron", "labels_by_kind"),
    labels_by="labels_by_kind",
    placements=(),
    decoys=(*GENOME_DECOYS, "dinucleotide"),
    read=read_sites,
)
