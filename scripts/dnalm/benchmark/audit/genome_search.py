"""Search of a task's sequences in genomes, by seed-and-extend: what pretraining has seen of them.

All coordinates are absolute on their contig, 0-based and half-open.
"""

import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.audit.genome_alignment import MAX_SHIFT, Alignment, align
from dnalm.benchmark.audit.overlaps import overlaps_other_fold, overlaps_train
from dnalm.benchmark.audit.rolling_hash import MULTIPLIER, PrefixHashes, polynomial_hash
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import reverse_complement, to_codes
from dnalm.jobs.progress import Progress

SEED_BASES = 24  # 48 bits, so that chance hits in a whole human genome are rare
SEED_SPACING = 48  # bases from one seed of a sequence to its next
# Places tried for one seed, and these times the sequences that share it: seeds of repeats have a
# million places in a human genome, and thousands of sequences. For exact places neither counts.
MAX_HITS = 1_000
MAX_TRIES = 10_000
CHUNK_BASES = 1 << 20
FILTER_BITS = 22
N_CODE = 4
COLUMNS = ["id", "genome", "contig", "start", "end", "strand", "identity"]

log = logging.getLogger(__name__)


def locate(sequences: Mapping[str, str], genomes: Mapping[str, str | Path]) -> pd.DataFrame:
    """Return the alignment of each sequence to either strand of the genomes, the best one found.

    `sequences` maps id to sequence, `genomes` a name to the folder with its bases and contigs.
    A place has one of the sequence's seeds (24 bases, every 48) and agrees in at least 90 % of the
    bases, with one insertion or deletion of up to ten bases between (`align`): task files were cut
    from other assemblies than one has. `identity` is the share that agrees. The first exact place
    wins, else the first among those with the highest identity; "first" follows the genomes' order,
    their contigs' and the position, '+' before '-'. Every exact place is looked at; of others only
    so many as `MAX_HITS` and `MAX_TRIES` allow for a seed.

    The table has one row per id, in order, with id, genome, contig, start, end, strand, identity;
    all but id are missing where there is no place. Memory does not grow with the genomes.
    """
    queries, stores = _Queries(sequences), {n: GenomeBases.of(f) for n, f in genomes.items()}
    total = sum(genome.bases for genome in stores.values())
    with Progress(f"search {len(stores)} genomes", "bases", total) as progress:
        for name, store in stores.items():
            with closing(store) as genome:
                for contig in genome.contigs.itertuples():
                    for first in range(0, contig.length, CHUNK_BASES):
                        # Sequences reach over the chunk to both sides of their seed.
                        begin = max(0, first - queries.reach)
                        end = min(contig.length, first + CHUNK_BASES + queries.reach)
                        codes, at = genome.read_at(contig.offset + begin, end - begin), contig.start
                        for place, query in queries.search(codes, first - begin):
                            queries.keep(query, place, name, contig.contig, int(at) + begin)
                        progress.advance(min(CHUNK_BASES, contig.length - first))
    return queries.places()


def pack(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return every 24-mer of n codes as a 48-bit number, and whether it is free of N, [n − 23]."""
    packed = (codes & 3).astype(np.int64)
    # Twice as long with each step: 2, 4, 8 and 16 bases, of which the last two make 24.
    size = 1
    parts = {1: packed}
    while size < 16:
        packed = (packed[:-size] << (2 * size)) | packed[size:]
        size *= 2
        parts[size] = packed
    packed = (parts[16][:-8] << 16) | parts[8][16:]
    unknown = np.concatenate(([0], np.cumsum(codes >= N_CODE)))
    return packed, unknown[SEED_BASES:] == unknown[:-SEED_BASES]


@dataclass(frozen=True, kw_only=True)
class _Query:
    """One strand of one sequence; `hashed` is its polynomial hash."""

    number: int
    strand: str
    codes: np.ndarray
    hashed: np.uint64


class _Queries:
    """Seed index of the sequences and their reverse complements, and the best place of each."""

    def __init__(self, sequences: Mapping[str, str]) -> None:
        self.ids = list(sequences)
        self.best: dict[int, tuple[float, str, str, int, int, str]] = {}
        self.queries: list[_Query] = []
        rows = [np.empty((0, 3), dtype=np.int64)]  # seed, its offset in the query, query
        for number, sequence in enumerate(sequences.values()):
            forward = to_codes(sequence)
            for strand, codes in (("+", forward), ("-", reverse_complement(forward))):
                if len(codes) < SEED_BASES:
                    continue
                packed, known = pack(codes)
                # Of every 48 neighbouring starts, the first that is free of N.
                free = np.flatnonzero(known)
                _, first = np.unique(free // SEED_SPACING, return_index=True)
                offsets = free[first]
                query = np.full(len(offsets), len(self.queries))
                rows.append(np.stack([packed[offsets], offsets, query], axis=1))
                hashed = polynomial_hash(codes)
                self.queries.append(
                    _Query(number=number, strand=strand, codes=codes, hashed=hashed)
                )
        table = np.concatenate(rows)
        table = table[np.argsort(table[:, 0], kind="stable")]
        self.offsets, self.owners = table[:, 1], table[:, 2]
        self.seeds, self.first, self.counts = np.unique(
            table[:, 0], return_index=True, return_counts=True
        )
        self.hits = np.zeros(len(self.seeds), dtype=np.int64)
        self.limits = np.clip(MAX_TRIES // self.counts, 1, MAX_HITS)
        # An exact place has every seed of its sequence; the one that fewest share is looked for.
        ordered = np.lexsort((self.offsets, np.repeat(self.counts, self.counts), self.owners))
        _, chosen = np.unique(self.owners[ordered], return_index=True)
        self.anchors = np.sort(ordered[chosen])
        self.anchored = np.searchsorted(self.first, self.anchors, side="right") - 1
        # A hash filter, one flag per seed: most positions of a genome need no binary search.
        self.filter = np.zeros(1 << FILTER_BITS, dtype=bool)
        self.filter[_filter_keys(self.seeds)] = True
        self.reach = max((len(query.codes) for query in self.queries), default=0) + MAX_SHIFT

    def search(self, codes: np.ndarray, first: int) -> list[tuple[Alignment, _Query]]:
        """Return the alignments in `codes` of what has a seed in the chunk that begins at `first`.

        The list is sorted by start and strand.
        """
        if len(codes) < SEED_BASES or not len(self.seeds):
            return []
        packed, known = (part[first : first + CHUNK_BASES] for part in pack(codes))
        places = np.flatnonzero(self.filter[_filter_keys(packed)] & known)
        seeds = np.minimum(np.searchsorted(self.seeds, packed[places]), len(self.seeds) - 1)
        same = self.seeds[seeds] == packed[places]
        places, seeds = places[same], seeds[same]
        found = self._exact(codes, places + first, seeds)
        exact = {query.number for _, query in found}
        tried = set()
        left = self.hits[seeds] < self.limits[seeds]
        for place, seed in zip((places[left] + first).tolist(), seeds[left].tolist(), strict=True):
            self.hits[seed] += 1
            if self.hits[seed] > self.limits[seed]:
                continue
            for row in range(self.first[seed], self.first[seed] + self.counts[seed]):
                offset, owner = int(self.offsets[row]), int(self.owners[row])
                query, start = self.queries[owner], place - offset
                if query.number in exact or self._is_exact(query) or (start, owner) in tried:
                    continue
                tried.add((start, owner))
                aligned = align(query.codes, codes, start, (offset, offset + SEED_BASES))
                if aligned:
                    found.append((aligned, query))
        return sorted(found, key=lambda hit: (hit[0].start, hit[1].strand))

    def _exact(
        self, codes: np.ndarray, places: np.ndarray, seeds: np.ndarray
    ) -> list[tuple[Alignment, _Query]]:
        """Return the first exact match of every query that has one.

        `places` are those in `codes` of `seeds`. However many, each costs one look at the prefixes'
        hashes.
        """
        order = np.argsort(seeds, kind="stable")
        present, begins = np.unique(seeds[order], return_index=True)
        ends = [*begins[1:].tolist(), len(seeds)]
        ranges = np.searchsorted(self.anchored, [present, present + 1])
        prefixes, found = None, []
        for one in np.flatnonzero(ranges[0] < ranges[1]).tolist():
            own = places[order[begins[one] : ends[one]]]
            for row in self.anchors[ranges[0, one] : ranges[1, one]].tolist():
                query = self.queries[self.owners[row]]
                if self._is_exact(query):
                    continue
                prefixes = prefixes or PrefixHashes(codes)
                starts = own - self.offsets[row]
                start = prefixes.find_first(starts, query.codes, query.hashed)
                if start is not None:
                    end = start + len(query.codes)
                    found.append((Alignment(start, end, 1.0), query))
        return found

    def _is_exact(self, query: _Query) -> bool:
        """Return whether an exact match of the sequence is known."""
        return self.best.get(query.number, (0.0,))[0] == 1

    def keep(self, query: _Query, place: Alignment, genome: str, contig: str, begin: int) -> None:
        """Keep an alignment, counted from `begin` of a contig, if it is the best of its query."""
        if place.identity > self.best.get(query.number, (0.0,))[0]:
            start, end = begin + place.start, begin + place.end
            self.best[query.number] = (place.identity, genome, contig, start, end, query.strand)

    def places(self) -> pd.DataFrame:
        """Return the table that `locate` describes."""
        missing = (float("nan"), None, None, None, None, None)
        rows = [self.best.get(number, missing) for number in range(len(self.ids))]
        table = pd.DataFrame(rows, columns=["identity", *COLUMNS[1:-1]])
        table.insert(0, "id", self.ids)
        return table[COLUMNS].astype({"start": "Int64", "end": "Int64"})


def _filter_keys(packed: np.ndarray) -> np.ndarray:
    """Return FILTER_BITS bits of each packed seed, by multiplicative hashing."""
    return ((packed.astype(np.uint64) * MULTIPLIER) >> np.uint64(64 - FILTER_BITS)).astype(np.int64)


def locate_task(
    table: pd.DataFrame, genomes: Mapping[str, str | Path], manifest: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the alignments of a task's rows and their overlap with pretraining and training data.

    Besides the columns of `locate`: pretraining_split (train, validation or test: the corpus split
    of the contig; None where the row was not found or its contig is shorter than a window),
    overlaps_train (a test row that shares a base with a training row of the task) and
    overlaps_other_fold (a training row that does so with a training row of other folds).
    """
    locations = locate(dict(zip(table["id"], table["sequence"], strict=True)), genomes)
    found = int(locations["genome"].notna().sum())
    log.info("%d of %d rows were found in %s", found, len(locations), ", ".join(genomes))
    splits = {
        (genome["name"], contig["contig"]): contig["split"]
        for genome in manifest["genomes"]
        for contig in genome["contigs"]
    }
    return locations.assign(
        pretraining_split=[
            splits.get(place)
            for place in zip(locations["genome"], locations["contig"], strict=True)
        ],
        overlaps_train=overlaps_train(locations, table["split"]),
        overlaps_other_fold=overlaps_other_fold(locations, table["split"], table["folds"]),
    )
