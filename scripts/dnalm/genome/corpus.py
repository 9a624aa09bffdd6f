"""A corpus: windows of genomes in three splits, its manifest, and its training samples.

Shapes: B windows, T tokens of a window with <cls> (the same for all). Coordinates are 0-based.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnalm.errors import InputError
from dnalm.files import atomic_path, read_json, write_json
from dnalm.genome.bases import MANIFEST, GenomeBases
from dnalm.genome.kmers import count_kmers
from dnalm.genome.reader import WindowReader
from dnalm.genome.sampling import Stream, generator, permute
from dnalm.genome.splits import SPLITS, assign_splits
from dnalm.genome.windows import WindowRule, tokens_per_window

ROWS_AT_ONCE = 256
BASES_AT_ONCE = 1 << 22


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """One corpus of the configuration, presets resolved.

    windows: {length, stride, start_max}; split: see `assign_splits`; evaluation_windows: at most
    so many validation and as many test windows; min_kmers: what the trainer asks of a window.
    """

    genomes: Sequence[str]
    windows: Mapping[str, int]
    split: Mapping[str, Any]
    k: int
    vocabulary: str
    max_tokens: int
    min_kmers: int
    evaluation_windows: int


def build_corpus(
    config: CorpusConfig,
    genomes: Mapping[str, str | Path],
    *,
    name: str,
    manifest: str | Path,
    validation: str | Path,
    test: str | Path,
    kmer_counts: str | Path,
) -> None:
    """Write a corpus from the stores in `genomes` (genome name to folder).

    manifest: JSON, what the corpus holds; validation, test: uint16[B, T], at most
    `evaluation_windows` evenly spaced windows, tokenised from their first base; kmer_counts:
    int64[4**k], how often each k-mer without N begins at any base of a training contig.

    Raises InputError when a split names an unknown contig or genome or has no window.
    """
    facts = describe_corpus(config, genomes, name=name)
    for path, split in ((validation, "validation"), (test, "test")):
        reader = WindowReader(facts, genomes, split)
        chosen = evenly_spaced(reader.windows, config.evaluation_windows)
        facts["splits"][split]["evaluated"] = len(chosen)
        with atomic_path(path) as temporary:
            shape = (len(chosen), reader.tokens)
            array = np.lib.format.open_memmap(temporary, "w+", np.uint16, shape)
            for row in range(0, len(chosen), ROWS_AT_ONCE):
                rows = chosen[row : row + ROWS_AT_ONCE]
                array[row : row + len(rows)] = reader.read(rows, np.zeros_like(rows))
            array.flush()
        reader.close()
    counts = _count_training_kmers(facts, genomes)
    facts["kmers"] = {"total": int(counts.sum()), "distinct": int(np.count_nonzero(counts))}
    with atomic_path(kmer_counts) as temporary, open(temporary, "wb") as file:
        np.save(file, counts)
    write_json(manifest, facts)


def describe_corpus(
    config: CorpusConfig, genomes: Mapping[str, str | Path], *, name: str
) -> dict[str, Any]:
    """Return the manifest of a corpus: arithmetic on contig lengths, no base is read."""
    try:
        rule = WindowRule(**config.windows)
        tokens = tokens_per_window(rule, config.k, config.max_tokens)
    except InputError as error:
        raise InputError(f"corpora.{name}.{error}") from None
    tables = {genome: GenomeBases.of(genomes[genome]).contigs for genome in config.genomes}
    splits = assign_splits(
        name, config.split, {genome: list(table["contig"]) for genome, table in tables.items()}
    )
    totals = {
        split: dict.fromkeys(("contigs", "windows", "bases", "tokens"), 0) for split in SPLITS
    }
    entries = []
    for genome, table in tables.items():
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
        # Not its source: where a file lies decides nothing, its sum does.
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
        "genomes": entries,
        "splits": totals,
    }


def evenly_spaced(total: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` of the numbers 0 .. total - 1, evenly spaced from 0 on."""
    chosen = min(total, most)
    return np.arange(chosen, dtype=np.int64) * total // max(chosen, 1)


def _count_training_kmers(
    manifest: Mapping[str, Any], genomes: Mapping[str, str | Path]
) -> NDArray[np.int64]:
    k = manifest["k"]
    counts = np.zeros(4**k, dtype=np.int64)
    for genome in manifest["genomes"]:
        with closing(GenomeBases.of(genomes[genome["name"]])) as bases:
            for contig in genome["contigs"]:
                if contig["split"] != "train":
                    continue
                end = contig["start"] + contig["length"]
                for start in range(contig["start"], end, BASES_AT_ONCE):
                    # Neighbouring chunks share k - 1 bases, so each k-mer is in exactly one.
                    stop = min(end, start + BASES_AT_ONCE + k - 1)
                    counts += count_kmers(bases.read_absolute(contig["contig"], start, stop), k)
    return counts


class TrainingWindows:
    """Training samples, numbered 0, 1, 2, ... without end: functions of (seed, n) alone.

    Sample n is window permutation(n mod windows) of epoch n // windows, tokenised from a start
    drawn uniformly from 0 .. start_max, both included.
    `windows` is the number of windows of an epoch, `tokens` is T.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        genomes: Mapping[str, str | Path],
        seed: int,
        split: str = "train",
    ) -> None:
        self._reader = WindowReader(manifest, genomes, split)
        self._start_max = int(manifest["windows"]["start_max"])
        self.seed = seed
        self.windows = self._reader.windows
        self.tokens = self._reader.tokens

    def draw(self, samples: ArrayLike) -> NDArray[np.uint16]:
        """Return the tokens of samples by number: int64[B] to uint16[B, T]."""
        return self._reader.read(*self._windows_and_starts(samples))

    def locate(self, sample: int) -> dict[str, Any]:
        """Return genome, contig and absolute 0-based start of a sample, to name it in messages."""
        windows, starts = self._windows_and_starts([sample])
        return self._reader.place(int(windows[0]), int(starts[0]))

    def _windows_and_starts(
        self, samples: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        samples = np.asarray(samples, dtype=np.int64)
        epochs, positions = np.divmod(samples, self.windows)
        windows = permute(positions, self.windows, self.seed, epochs)
        draws = [
            generator(self.seed, Stream.START, n).integers(0, self._start_max, endpoint=True)
            for n in samples
        ]
        return windows, np.array(draws, dtype=np.int64)

    def close(self) -> None:
        """Close the genomes' files."""
        self._reader.close()
