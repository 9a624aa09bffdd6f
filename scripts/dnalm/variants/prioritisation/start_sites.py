"""Transcription start sites (TSS), and how far variants are from the nearest one.

Positions are 0-based, intervals half-open, but for `pos` of a table of variants.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dnalm.errors import InputError
from dnalm.genome.annotation import read_gtf
from dnalm.genome.intervals import read_bed
from dnalm.suggestions import listing
from dnalm.variants.prioritisation.allele_tables import plain_contig

BED = re.compile(r"\.(bed|narrowpeak|broadpeak)(\.b?gz)?$", re.IGNORECASE)
REVERSE = "-"
NO_SITE = np.inf


def read_start_sites(path: str | Path) -> dict[str, np.ndarray]:
    """Return the start sites {contig without chr: positions, ascending, each once} of a file.

    Of a GTF or GFF3 file the first base of each transcript, by its exons and strand; of a BED file
    the first base of each interval, where its strand is - the last. Raises InputError for a file
    that is neither, or has no transcript.
    """
    found: dict[str, set[int]] = {}
    if BED.search(str(path)):
        table = read_bed(path)
        reverse = (table["strand"] == REVERSE).to_numpy()
        first, last = table["start"].to_numpy(), table["end"].to_numpy() - 1
        places = zip(table["contig"], np.where(reverse, last, first).tolist(), strict=True)
    else:
        places = (
            (one.contig, one.exons[-1][1] - 1 if one.strand == REVERSE else one.exons[0][0])
            for one in read_gtf(path)
        )
    for contig, place in places:
        found.setdefault(plain_contig(contig), set()).add(place)
    return {contig: np.array(sorted(own), dtype=np.int64) for contig, own in found.items()}


def measure_distances(variants: pd.DataFrame, sites: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the bases from each variant's REF to the nearest start site, float64 [V].

    0 where REF holds one, 1 beside it; infinite on a contig without any.
    """
    distances = np.full(len(variants), NO_SITE)
    contigs = variants["chrom"].map(plain_contig).to_numpy()
    starts = variants["pos"].to_numpy(dtype=np.int64) - 1
    ends = starts + variants["ref"].str.len().to_numpy(dtype=np.int64)
    for contig, own in sites.items():
        rows = np.flatnonzero(contigs == contig)
        padded = np.concatenate([[-NO_SITE], own, [NO_SITE]])
        # The first site at or behind the start of REF, and the one before it.
        behind = np.searchsorted(own, starts[rows], side="left")
        after = np.maximum(padded[behind + 1] - (ends[rows] - 1), 0)
        distances[rows] = np.minimum(after, starts[rows] - padded[behind])
    return distances


def check_contigs(variants: pd.DataFrame, sites: Mapping[str, np.ndarray], path: str) -> None:
    """Raise InputError where no variant is on a contig that has start sites."""
    ours = {plain_contig(name) for name in variants["chrom"].unique()}
    if not ours & sites.keys():
        raise InputError(
            f"{path}: its start sites are on the contigs {listing(sorted(sites))}, the variants on "
            f"{listing(sorted(ours))}; give annotation of the same genome."
        )
