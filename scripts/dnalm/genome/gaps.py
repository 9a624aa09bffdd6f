"""Runs of N in stored bases."""

import numpy as np

from dnalm.genome.bases import GenomeBases
from dnalm.genome.intervals import Spans
from dnalm.genome.kmers import to_codes

N = int(to_codes("N")[0])
BLOCK = 1 << 26  # bases in memory at a time


def find_gaps(genome: GenomeBases, contig: str) -> Spans:
    """Return the starts and ends of the runs of N of a contig, in its own coordinates, sorted.

    A run that reaches over the end of a block of reading is given as two that touch.
    """
    starts, ends = [], []
    for row in genome.contigs[genome.contigs["contig"] == contig].itertuples():
        for first in range(0, int(row.length), BLOCK):
            length = min(BLOCK, int(row.length) - first)
            is_n = genome.read_at(int(row.offset) + first, length) == N
            edges = np.flatnonzero(np.diff(is_n, prepend=False, append=False))
            starts.append(edges[0::2] + int(row.start) + first)
            ends.append(edges[1::2] + int(row.start) + first)
    order = np.argsort(np.concatenate(starts), kind="stable")
    return np.concatenate(starts)[order], np.concatenate(ends)[order]
