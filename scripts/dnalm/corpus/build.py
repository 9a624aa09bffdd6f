"""Building of a corpus: its manifest, held-out windows as tokens, and k-mer counts.

Shapes: B windows, T tokens of a window with <cls> (the same for all). Coordinates are 0-based.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnalm.corpus.reader import WindowReader
from dnalm.corpus.sampling import Stream
from dnalm.corpus.splits import SPLITS, assign_splits
from dnalm.corpus.training_windows import draw_haplotypes
from dnalm.corpus.windows import WindowRule, tokens_per_window
from dnalm.errors import InputError
from dnalm.files import atomic_path, read_json, write_json
from dnalm.genome.arrays import create_array
from dnalm.genome.bases import MANIFEST, GenomeBases
from dnalm.genome.haplotypes.store import MANIFEST as STORE_MANIFEST
from dnalm.genome.kmers import count_kmers
from dnalm.jobs.progress import Progress, progress

BLOCK_WINDOWS = 256
# Held-out windows are the same for every run, so their haplotypes depend on no run's seed.
EVALUATION_SEED = 0
EVALUATION_STREAMS = {
    "validation": Stream.VALIDATION_HAPLOTYPE,
    "test": Stream.TEST_HAPLOTYPE,
}
BLOCK_BASES = 1 << 22

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """One corpus of the configuration, presets resolved.

    windows: {length, stride, start_max}; split: see `assign_splits`; evaluation_windows: at most
    so many validation and as many test windows; min_kmers: the least k-mers of a window that the
    trainer counts; haplotypes: {panel, genome, draw, contigs} or None for the
    reference alone.
    """

    genomes: Sequence[str]
    windows: Mapping[str, int]
    split: Mapping[str, Any]
    k: int
    vocabulary: str
    max_tokens: int
    min_kmers: int
    evaluation_windows: int
    haplotypes: Mapping[str, Any] | None


def build_corpus(
    config: CorpusConfig,
    genomes: Mapping[str, str | Path],
    *,
    name: str,
    panel: str | Path | None,
    manifest: str | Path,
    validation: str | Path,
    test: str | Path,
    kmer_counts: str | Path,
) -> None:
    """Write a corpus from the base stores in `genomes` (genome name to folder).

    `panel` is the folder with a haplotype store per contig, where the corpus has haplotypes.
    manifest: JSON, what the corpus holds; validation, test: uint16[B, T], at most
    `evaluation_windows` evenly spaced windows, tokenised from their first base, each of a haplotype
    drawn for it; kmer_counts: int64[4**k], counts of the k-mers without N of the
    training contigs of the reference, at stride 1.

    Raises InputError when a split names an unknown contig or genome or has no window.
    """
    facts = describe_corpus(config, genomes, name=name, panel=panel)
    for path, split in ((validation, "validation"), (test, "test")):
        reader = WindowReader(facts, genomes, split, panel)
        chosen = evenly_spaced(reader.windows, config.evaluation_windows)
        facts["splits"][split]["evaluated"] = len(chosen)
        with atomic_path(path) as temporary:
            shape = (len(chosen), reader.tokens)
            array = create_array(temporary, np.uint16, shape)
            firsts = range(0, len(chosen), BLOCK_WINDOWS)
            parts = [(row, chosen[row : row + BLOCK_WINDOWS]) for row in firsts]
            read = progress(
                parts, f"read {split}", "windows", len(chosen), size=lambda part: len(part[1])
            )
            for row, rows in read:
                draws = None
                if reader.has_haplotypes:
                    draws = draw_haplotypes(EVALUATION_SEED, EVALUATION_STREAMS[split], rows)
                array[row : row + len(rows)] = reader.read(rows, np.zeros_like(rows), draws)
            array.flush()
        reader.close()
    counts = _count_training_kmers(facts, genomes)
    facts["kmers"] = {"total": int(counts.sum()), "distinct": int(np.count_nonzero(counts))}
    with atomic_path(kmer_counts) as temporary, open(temporary, "wb") as file:
        np.save(file, counts)
    write_json(manifest, facts)
    log.info(
        "corpus %s of %d genomes: %s",
        *(name, len(facts["genomes"])),
        ", ".join(f"{facts['splits'][split]['windows']:,} {split} windows" for split in SPLITS),
    )


def describe_corpus(
    config: CorpusConfig,
    genomes: Mapping[str, str | Path],
    *,
    name: str,
    panel: str | Path | None = None,
) -> dict[str, Any]:
    """Return the manifest of a corpus: arithmetic on contig lengths, no base is read."""
    try:
        rule = WindowRule(**config.windows)
        tokens = tokens_per_window(rule, config.k, config.max_tokens)
    except InputError as error:
        raise InputError(f"corpora.{name}.{error}") from None
    tables = {
        genome: GenomeBases.of(genomes[genome]).contigs
        for genome in progress(config.genomes, f"read the contigs of {name}", "genomes")
    }
    splits = assign_splits(
        name, config.split, {genome: list(table["contig"]) for genome, table in tables.items()}
    )
    totals = {
        split: dict.fromkeys(("contigs", "windows", "bases", "tokens"), 0) for split in SPLITS
    }
    entries = []
    for genome, table in progress(tables.items(), f"lay the windows of {name}", "genomes"):
        contigs, short = [], {"contigs": 0, "bases": 0}
        for row in table.itertuples():
            windows = rule.count(row.length)
            if not windows:
                short["contigs"] += 1
                short["bases"] += row.length
                continue
            split = splits[genome, row.contig]
            sums = {"contigs": 1, "windows": windows, "bases": row.length}
            for key, value in (sums | {"tokens": windows * tokens}).items():
                totals[split][key] += value
            contigs.append(
                {
                    "contig": row.contig,
                    "start": row.start,
                    "length": row.length,
                    "split": split,
                    "windows": windows,
                    "dropped_tail": rule.dropped_tail(row.length),
                }
            )
        facts = read_json(Path(genomes[genome]) / MANIFEST)
        # Not its source: where a file lies decides nothing, its checksum does.
        kept = ("name", "accession", "sha256", "bases", "n", "simulated")
        entries.append(
            {key: facts[key] for key in kept} | {"contigs": contigs, "shorter_than_window": short}
        )
    for split in SPLITS:
        if not totals[split]["windows"]:
            raise InputError(
                f"corpora.{name}.split: no contig for {split} is as long as a window of "
                f"{rule.length:,} bases; choose other contigs or shorter windows."
            )
    return {
        "name": name,
        "k": config.k,
        "vocabulary": config.vocabulary,
        "max_tokens": config.max_tokens,
        "tokens": tokens,
        "windows": asdict(rule),
        "min_kmers": config.min_kmers,
        "simulated": any(entry["simulated"] for entry in entries),
        "haplotypes": config.haplotypes and _describe_haplotypes(config.haplotypes, panel, entries),
        "genomes": entries,
        "splits": totals,
    }


def _describe_haplotypes(
    haplotypes: Mapping[str, Any], panel: str | Path | None, genomes: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the section of a manifest on haplotypes: their contigs with windows, by digest."""
    if panel is None:
        raise InputError("A corpus with haplotypes is built from their stores; give their folder.")
    (genome,) = (entry for entry in genomes if entry["name"] == haplotypes["genome"])
    kept = ("digest", "samples", "haplotypes", "variants", "alleles")
    contigs = {}
    # By the configuration, never by what is there: stores of contigs that left the panel remain.
    for contig in dict.fromkeys(contig["contig"] for contig in genome["contigs"]):
        if contig in haplotypes["contigs"]:
            facts = read_json(Path(panel) / contig / STORE_MANIFEST)
            contigs[contig] = {key: facts[key] for key in kept}
    return {**haplotypes, "contigs": contigs}


def evenly_spaced(total: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` of the numbers 0 .. total - 1, evenly spaced from 0 on."""
    chosen = min(total, most)
    return np.arange(chosen, dtype=np.int64) * total // max(chosen, 1)


def evaluated_genomes(manifest: Mapping[str, Any], split: str) -> NDArray[np.str_]:
    """Return the genome's name of each held-out window of a split, in the order of its file."""
    found = [
        (genome["name"], contig["windows"])
        for genome in manifest["genomes"]
        for contig in genome["contigs"]
        if contig["split"] == split
    ]
    names, windows = zip(*found, strict=True)
    ends = np.cumsum(windows)
    chosen = evenly_spaced(int(ends[-1]), manifest["splits"][split]["evaluated"])
    return np.array(names)[np.searchsorted(ends, chosen, side="right")]


def _count_training_kmers(
    manifest: Mapping[str, Any], genomes: Mapping[str, str | Path]
) -> NDArray[np.int64]:
    k = manifest["k"]
    counts = np.zeros(4**k, dtype=np.int64)
    total = manifest["splits"]["train"]["bases"]
    with Progress(f"count {k}-mers of training contigs", "bases", total) as done:
        for genome in manifest["genomes"]:
            with closing(GenomeBases.of(genomes[genome["name"]])) as bases:
                for contig in genome["contigs"]:
                    if contig["split"] != "train":
                        continue
                    end = contig["start"] + contig["length"]
                    for start in range(contig["start"], end, BLOCK_BASES):
                        # Neighbouring chunks share k - 1 bases, so each k-mer is in exactly one.
                        stop = min(end, start + BLOCK_BASES + k - 1)
                        counts += count_kmers(bases.read_absolute(contig["contig"], start, stop), k)
                        done.advance(min(BLOCK_BASES, end - start))
    return counts
