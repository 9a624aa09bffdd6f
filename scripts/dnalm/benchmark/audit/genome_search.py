"""Search of tasks' sequences in genomes by minimap2: what pretraining has seen of them.

All coordinates are absolute on their contig, 0-based and half-open.
"""

import hashlib
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dnalm.benchmark.audit.minimap2 import Alignment, align
from dnalm.benchmark.audit.overlaps import overlaps_other_fold, overlaps_train
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import to_sequence
from dnalm.jobs.progress import Progress

# A chance hit of one 19-mer in 3 G bases is rare, of one 15-mer it is the rule: short sequences
# need but one minimizer, longer ones three that lie in one line.
SHORT_BASES = 200
SHORT_OPTIONS = ["-k", "19", "-w", "5", "-n", "1", "-m", "19", "-s", "38"]
LONG_OPTIONS = ["-x", "map-ont"]
BLOCK_BASES = 1 << 22
COLUMNS = ["genome", "contig", "start", "end", "strand", "identity"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What counts as a place of a sequence, and what the search may take.

    `min_identity` is the least share of a sequence's alignment that agrees, `index_bases` how many
    bases of the genomes are indexed at a time.
    """

    min_identity: float
    index_bases: int


class _Target(NamedTuple):
    """A record that minimap2 is given: one stored piece of a contig."""

    genome: str
    contig: str
    start: int
    length: int


def search_genomes(
    sequences: Iterable[str],
    genomes: Mapping[str, str | Path],
    config: SearchConfig,
    threads: int,
) -> pd.DataFrame:
    """Return the best place of each sequence in each genome, on either strand.

    `genomes` maps a name to the folder with its bases and contigs. `identity` is the share of the
    columns of an end-to-end alignment that agree: insertions and deletions, and bases at the ends
    that minimap2 left out, are columns that do not; what an N stands for is not known, and counts
    neither way. Of places of equal identity in one genome the
    first wins, in the order of contigs and positions, '+' before '-'; minimap2 reports at most 50
    places of a sequence in a part of the index.

    A row per sequence and genome where there is a place of `min_identity` or more: sequence_hash
    (see `hash_sequence`), genome, contig, start, end, strand, identity.
    """
    unique = {hash_sequence(sequence): sequence for sequence in sequences}
    best: dict[tuple[str, str], tuple[Any, ...]] = {}
    classes = {"sequences of 200 bases and more": LONG_OPTIONS, "short sequences": SHORT_OPTIONS}
    stores = {name: GenomeBases.of(folder) for name, folder in genomes.items()}
    targets = list(_list_targets(stores))
    for what, options in classes.items():
        chosen = {
            key: text
            for key, text in unique.items()
            if (len(text) < SHORT_BASES) == (options is SHORT_OPTIONS)
        }
        if not chosen:
            continue
        total = sum(target.length for target in targets)
        with (
            tempfile.TemporaryDirectory(prefix="dnalm-search-") as folder,
            Progress(f"search {len(chosen):,} {what}", "bases", total) as progress,
        ):
            queries = Path(folder) / "queries.fasta"
            queries.write_text("".join(f">{key}\n{text}\n" for key, text in chosen.items()))
            alignments = align(
                queries,
                _write_fasta(targets, stores, progress),
                options=options,
                index_bases=config.index_bases,
                threads=threads,
            )
            for alignment in alignments:
                _keep(best, alignment, chosen[alignment.query], targets, config.min_identity)
    rows = [
        (key, genome, targets[number].contig, start, end, strand, -below)
        for (key, genome), (below, number, start, strand, end) in best.items()
    ]
    table = pd.DataFrame(rows, columns=["sequence_hash", *COLUMNS])
    order = {name: place for place, name in enumerate(genomes)}
    table = table.sort_values(
        ["genome", "sequence_hash"], key=lambda c: c.map(order) if c.name == "genome" else c
    )
    log.info("%d of %d different sequences have a place", len({k for k, _ in best}), len(unique))
    return table.reset_index(drop=True)


def read_sequences(tables: Iterable[str | Path]) -> list[str]:
    """Return the sequences of several task tables, one after the other."""
    columns = (pd.read_parquet(path, columns=["sequence"])["sequence"] for path in tables)
    return [sequence for column in columns for sequence in column]


def read_places(searches: Iterable[str | Path]) -> pd.DataFrame:
    """Return the tables of several searches as one."""
    return pd.concat(map(pd.read_parquet, searches), ignore_index=True)


def hash_sequence(sequence: str) -> str:
    """Return 32 hexadecimal digits that stand for a sequence."""
    return hashlib.blake2b(sequence.encode(), digest_size=16).hexdigest()


def locate_task(
    table: pd.DataFrame,
    places: pd.DataFrame,
    genomes: Sequence[str],
    manifest: Mapping[str, Any],
) -> pd.DataFrame:
    """Return where a task's rows lie in a corpus, and their overlap with training data.

    `places` is of `search_genomes`, `genomes` are those of the corpus in their order, in which the
    first of several places of equal identity wins. One row per row of the task, in order: id,
    genome, contig, start, end, strand, identity, of which all but id are missing where there is no
    place; pretraining_split (train, validation or test: the corpus split of the contig; None where
    the row was not found or its contig is shorter than a window), overlaps_train (a test row that
    shares a base with a training row of the task) and overlaps_other_fold (a training row that
    does so with a training row of other folds).
    """
    order = {name: place for place, name in enumerate(genomes)}
    own = places[places["genome"].isin(genomes)]
    own = own.assign(order=own["genome"].map(order)).sort_values(
        ["identity", "order"], ascending=[False, True], kind="stable"
    )
    best = own.drop_duplicates("sequence_hash").set_index("sequence_hash")[COLUMNS]
    locations = best.reindex(table["sequence"].map(hash_sequence)).reset_index(drop=True)
    locations = locations.astype({"start": "Int64", "end": "Int64", "identity": float})
    locations.insert(0, "id", table["id"].to_numpy())
    found = int(locations["genome"].notna().sum())
    log.info("%d of %d rows were found in %d genomes", found, len(locations), len(genomes))
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


def _list_targets(stores: Mapping[str, GenomeBases]) -> Iterator[_Target]:
    for name, store in stores.items():
        for row in store.contigs.itertuples():
            yield _Target(name, row.contig, int(row.start), int(row.length))


def _write_fasta(
    targets: Sequence[_Target], stores: Mapping[str, GenomeBases], progress: Progress
) -> Iterator[bytes]:
    """Yield FASTA whose records are named by the numbers of `targets`."""
    number = 0
    for store in stores.values():
        with closing(store) as genome:
            for row in genome.contigs.itertuples():
                yield f">{number}\n".encode()
                for first in range(0, row.length, BLOCK_BASES):
                    length = min(BLOCK_BASES, row.length - first)
                    yield to_sequence(genome.read_at(row.offset + first, length)).encode()
                    progress.advance(length)
                yield b"\n"
                number += 1


def _keep(
    best: dict[tuple[str, str], tuple[Any, ...]],
    alignment: Alignment,
    text: str,
    targets: Sequence[_Target],
    min_identity: float,
) -> None:
    """Keep an alignment of `text` if it is the best so far of this sequence in its genome.

    Values are ordered: -identity, number of the target, start, strand, end ('+' is before '-').
    """
    left = alignment.query_start
    right = alignment.query_length - alignment.query_end
    left_out = left + right - text.count("N", 0, left) - text.count("N", alignment.query_end)
    identity = alignment.matches / (alignment.columns + left_out)
    if identity < min_identity:
        return
    number = int(alignment.target)
    target = targets[number]
    before, after = (left, right) if alignment.strand == "+" else (right, left)
    start = max(0, alignment.start - before)
    end = min(target.length, alignment.end + after)
    place = (-identity, number, target.start + start, alignment.strand, target.start + end)
    key = (alignment.query, target.genome)
    if key not in best or place < best[key]:
        best[key] = place
