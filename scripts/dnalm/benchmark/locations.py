"""Where a task's sequences lie in the genomes of a corpus: what pretraining has seen of them.

All coordinates are absolute, 0-based and half-open.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import reverse_complement, to_codes

SEED = 24  # bases of a seed: 48 bits, so that chance hits in a whole human genome are rare
SPACING = 48  # bases from one seed of a sequence to its next
# Of letters drawn at random a quarter agree; half of them beside an exact seed is no chance.
MIN_IDENTITY = 0.5
MAX_HITS = 1_000  # places tried for one seed: those of repeats have a million in a human genome
CHUNK = 1 << 20
FILTER_BITS = 22
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
UNKNOWN = 4
COLUMNS = ["id", "genome", "contig", "start", "end", "strand", "identity"]


def locate(sequences: Mapping[str, str], genomes: Mapping[str, str | Path]) -> pd.DataFrame:
    """Return the place of each sequence on either strand of the genomes.

    `sequences` maps id to sequence, `genomes` a name to the folder with its bases and contigs.
    A place is a stretch of the sequence's length with one of its seeds (24 bases, every 48) where
    at least half of the bases agree, `identity` is their share: task files were cut from other
    assemblies than one has, and a single indel moves all that follows. The first exact place wins,
    else the first among those with the highest identity; "first" follows the genomes' order, their
    contigs' and the position, '+' before '-'.

    The table has one row per id, in order, with id, genome, contig, start, end, strand, identity;
    all but id are missing where there is no place. Memory does not grow with the genomes.
    """
    queries = _Queries(sequences)
    for name, folder in genomes.items():
        with closing(GenomeBases.of(folder)) as genome:
            for contig in genome.contigs.itertuples():
                for first in range(0, contig.length, CHUNK):
                    # Sequences reach over the chunk to both sides of their seed.
                    begin = max(0, first - queries.longest)
                    end = min(contig.length, first + CHUNK + queries.longest)
                    codes = genome.read_at(contig.offset + begin, end - begin)
                    for start, query, identity in queries.search(codes, first - begin):
                        absolute = int(contig.start) + begin + start
                        queries.keep(query, identity, (name, contig.contig, absolute))
    return queries.places()


def pack(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return every 24-mer of the codes as a 48-bit number, and whether it is free of N."""
    packed = (codes & 3).astype(np.int64)
    size = 1
    parts = {1: packed}
    while size < 16:
        packed = (packed[:-size] << (2 * size)) | packed[size:]
        size *= 2
        parts[size] = packed
    packed = (parts[16][:-8] << 16) | parts[8][16:]
    unknown = np.concatenate(([0], np.cumsum(codes >= UNKNOWN)))
    return packed, unknown[SEED:] == unknown[:-SEED]


@dataclass(frozen=True, kw_only=True)
class _Query:
    """One strand of one sequence."""

    number: int
    strand: str
    codes: np.ndarray


class _Queries:
    """The sequences and their reverse complements, indexed by their seeds, and their places."""

    def __init__(self, sequences: Mapping[str, str]) -> None:
        self.ids = list(sequences)
        self.best: dict[int, tuple[float, str, str, int, int, str]] = {}
        self.queries: list[_Query] = []
        rows = [np.empty((0, 3), dtype=np.int64)]  # seed, its offset in the query, query
        for number, sequence in enumerate(sequences.values()):
            forward = to_codes(sequence)
            for strand, codes in (("+", forward), ("-", reverse_complement(forward))):
                if len(codes) < SEED:
                    continue
                packed, known = pack(codes)
                # Of every 48 neighbouring starts, the first that is free of N.
                free = np.flatnonzero(known)
                _, first = np.unique(free // SPACING, return_index=True)
                offsets = free[first]
                query = np.full(len(offsets), len(self.queries))
                rows.append(np.stack([packed[offsets], offsets, query], axis=1))
                self.queries.append(_Query(number=number, strand=strand, codes=codes))
        table = np.concatenate(rows)
        table = table[np.argsort(table[:, 0], kind="stable")]
        self.offsets, self.owners = table[:, 1], table[:, 2]
        self.seeds, self.first, self.counts = np.unique(
            table[:, 0], return_index=True, return_counts=True
        )
        self.hits = np.zeros(len(self.seeds), dtype=np.int64)
        # One bit per seed: most positions of a genome are discarded without a binary search.
        self.filter = np.zeros(1 << FILTER_BITS, dtype=bool)
        self.filter[_hashed(self.seeds)] = True
        self.longest = max((len(query.codes) for query in self.queries), default=0)

    def search(self, codes: np.ndarray, first: int) -> list[tuple[int, _Query, float]]:
        """Return (start, query, identity) of what has a seed in the chunk that begins at `first`.

        Starts are those of the query's first base in `codes`; the list is sorted by place.
        """
        if len(codes) < SEED or not len(self.seeds):
            return []
        packed, known = (part[first : first + CHUNK] for part in pack(codes))
        places = np.flatnonzero(self.filter[_hashed(packed)] & known)
        seeds = np.minimum(np.searchsorted(self.seeds, packed[places]), len(self.seeds) - 1)
        same = (self.seeds[seeds] == packed[places]) & (self.hits[seeds] < MAX_HITS)
        tried = set()
        found = []
        for place, seed in zip(places[same].tolist(), seeds[same].tolist(), strict=True):
            self.hits[seed] += 1
            if self.hits[seed] > MAX_HITS:
                continue
            for row in range(self.first[seed], self.first[seed] + self.counts[seed]):
                start, owner = place + first - int(self.offsets[row]), int(self.owners[row])
                query = self.queries[owner]
                exact = self.best.get(query.number, (0.0,))[0] == 1
                if exact or (start, owner) in tried or start < 0:
                    continue
                tried.add((start, owner))
                there = codes[start : start + len(query.codes)]
                if len(there) == len(query.codes):
                    identity = np.count_nonzero(there == query.codes) / len(there)
                    if identity >= MIN_IDENTITY:
                        found.append((start, query, identity))
        return sorted(found, key=lambda hit: (hit[0], hit[1].strand))

    def keep(self, query: _Query, identity: float, place: tuple[str, str, int]) -> None:
        """Remember the place of a query when it is better than the one known."""
        if identity > self.best.get(query.number, (0.0,))[0]:
            end = place[2] + len(query.codes)
            self.best[query.number] = (identity, *place, end, query.strand)

    def places(self) -> pd.DataFrame:
        """Return the table that `locate` describes."""
        missing = (float("nan"), None, None, None, None, None)
        rows = [self.best.get(number, missing) for number in range(len(self.ids))]
        table = pd.DataFrame(rows, columns=["identity", *COLUMNS[1:-1]])
        table.insert(0, "id", self.ids)
        return table[COLUMNS].astype({"start": "Int64", "end": "Int64"})


def _hashed(packed: np.ndarray) -> np.ndarray:
    """Return FILTER_BITS bits of each packed seed, well mixed."""
    return ((packed.astype(np.uint64) * MULTIPLIER) >> np.uint64(64 - FILTER_BITS)).astype(np.int64)


def overlapping(locations: pd.DataFrame, split: pd.Series) -> np.ndarray:
    """Return for each row whether it is a test row that shares a base with a training row.

    `split` gives train or test for each row of `locations`; rows without a location never do.
    """
    result = np.zeros(len(locations), dtype=bool)
    placed = locations.assign(split=split.to_numpy(), row=np.arange(len(locations)))
    for _, group in placed.dropna(subset=["contig"]).groupby(["genome", "contig"]):
        train = group[group["split"] == "train"].sort_values("start")
        test = group[group["split"] == "test"]
        if train.empty or test.empty:
            continue
        starts = train["start"].to_numpy(np.int64)
        # Of the windows that begin before a test row ends, does the one reaching furthest touch?
        reach = np.maximum.accumulate(train["end"].to_numpy(np.int64))
        before = np.searchsorted(starts, test["end"].to_numpy(np.int64), side="left")
        touching = (before > 0) & (
            reach[np.maximum(before - 1, 0)] > test["start"].to_numpy(np.int64)
        )
        result[test["row"].to_numpy()[touching]] = True
    return result


def locate_task(
    table: pd.DataFrame, genomes: Mapping[str, str | Path], manifest: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the locations of a task's rows with what a corpus did with those places.

    Beside the columns of `locate`: pretraining_split (train, validation or test: the corpus split
    of the contig; None where the row was not found or its contig is shorter than a window) and
    overlaps_train (a test row that shares a base with a training row of the task).
    """
    locations = locate(dict(zip(table["id"], table["sequence"], strict=True)), genomes)
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
        overlaps_train=overlapping(locations, table["split"]),
    )
