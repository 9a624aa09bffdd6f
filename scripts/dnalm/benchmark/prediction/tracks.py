"""Tracks along a genome of per-base predictions: bedGraph or bigWig, a file for each class.

Shapes: n bases, C classes.
"""

import gzip
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from dnalm.errors import InputError
from dnalm.files import atomic_path
from dnalm.genome.bases import GenomeBases
from dnalm.suggestions import check_choice

BEDGRAPH, BIGWIG = "bedgraph", "bigwig"
SUFFIXES = {BEDGRAPH: ".bedgraph.gz", BIGWIG: ".bw"}
CHUNK_BASES = 1 << 18  # written at once
DIGITS = 5  # of a value in a track
PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Tracks:
    """Sums of what is added to each base of a genome, in files without a name in `folder`.

    They take no room for parts of the genome to which nothing is added, and no memory. Means are
    rounded to `digits` behind the point, None: not at all.
    """

    def __init__(
        self, folder: Path, genome: GenomeBases, classes: int, digits: int | None = DIGITS
    ) -> None:
        self._digits = digits
        rows = genome.contigs
        ends = (rows["start"] + rows["length"]).groupby(rows["contig"], sort=False).max()
        self.lengths = {str(contig): int(end) for contig, end in ends.items()}
        self._starts, total = {}, 0
        for contig, length in self.lengths.items():
            self._starts[contig] = total
            total += length
        self._sums = _SparseArray(folder, np.float32, (total, classes))
        self._counts = _SparseArray(folder, np.uint32, (total,))
        self._added: set[str] = set()

    def add(self, contig: str, start: int, values: np.ndarray) -> None:
        """Add the values [n, C] of the bases of a contig from `start` (0-based) on; nan is none.

        Raises OSError where the disk is full.
        """
        self._added.add(contig)
        known = ~np.isnan(values).any(axis=1)
        first = self._starts[contig] + start
        self._sums.add(first, np.where(known[:, None], values, 0))
        self._counts.add(first, known)

    def _of(self, contig: str) -> tuple[np.ndarray, np.ndarray]:
        start = self._starts[contig]
        place = slice(start, start + self.lengths[contig])
        return self._sums.array[place], self._counts.array[place]

    def intervals(self, number: int) -> Iterator[tuple[str, int, int, float]]:
        """Yield (contig, start, end, mean of one class), 0-based half-open, in genome order.

        Neighbours of equal value are one interval; bases to which nothing was added are in none.
        """
        for contig in self.lengths:
            if contig not in self._added:
                continue
            sums, counts = self._of(contig)
            for at in range(0, len(counts), CHUNK_BASES):
                count = counts[at : at + CHUNK_BASES]
                if not count.any():
                    continue
                values = np.full(len(count), np.nan)
                total = sums[at : at + CHUNK_BASES, number].astype(np.float64)
                np.divide(total, count, out=values, where=count > 0)
                if self._digits is not None:
                    values = values.round(self._digits)
                changes = np.flatnonzero(values[1:] != values[:-1]) + 1  # nan differs from itself
                edges = np.concatenate([[0], changes, [len(values)]])
                for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
                    if count[first]:
                        yield contig, at + first, at + last, float(values[first])


class _SparseArray:
    """An array of zeros in a file without a name, which takes room where something is added."""

    def __init__(self, folder: Path, kind: type, shape: tuple[int, ...]) -> None:
        shape = max(1, shape[0]), *shape[1:]
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - goes with the array
        self._row_bytes = np.dtype(kind).itemsize * math.prod(shape[1:])
        self._file.truncate(shape[0] * self._row_bytes)
        self.array = np.memmap(self._file, dtype=kind, mode="r+", shape=shape)

    def add(self, first: int, rows: np.ndarray) -> None:
        # Of a hole the kernel finds out only while it is written that the disk is full, and then
        # ends the process (SIGBUS).
        if size := len(rows) * self._row_bytes:
            os.posix_fallocate(self._file.fileno(), first * self._row_bytes, size)
        self.array[first : first + len(rows)] += rows


@contextmanager
def open_tracks(
    folder: str | Path,
    form: str,
    genome: GenomeBases,
    names: Sequence[str],
    digits: int | None = DIGITS,
) -> Iterator[Tracks]:
    """Yield tracks to add to; when the context ends, `folder` holds a file for each of `names`.

    They are <name>.bedgraph.gz, or with `form` bigwig <name>.bw; a name that is none of a file is
    replaced by its number. Raises InputError where pybigtools is missing, or `folder` holds files.
    """
    check_choice("prediction.tracks", form, SUFFIXES)
    if Path(folder).is_file() or (Path(folder).is_dir() and any(Path(folder).iterdir())):
        raise InputError(f"{folder} is there and not an empty folder: name another, or remove it.")
    write = _find_bigwig_writer() if form == BIGWIG else _write_bedgraph
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        tracks = Tracks(temporary.parent, genome, len(names), digits)
        yield tracks
        for number, name in enumerate(names):
            plain = name if PLAIN_NAME.fullmatch(name) else str(number)
            write(temporary / f"{plain}{SUFFIXES[form]}", tracks, number)


def _write_bedgraph(path: Path, tracks: Tracks, number: int) -> None:
    # Neither name nor time in the header: they would change the file's sha256.
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
        for contig, start, end, value in tracks.intervals(number):
            file.write(f"{contig}\t{start}\t{end}\t{value:.{DIGITS}g}\n".encode())


def _find_bigwig_writer() -> Callable[[Path, Tracks, int], None]:
    try:
        import pybigtools
    except ImportError:
        raise InputError(
            "prediction.tracks is bigwig, which the package pybigtools writes: install it (`pip"
            " install dnalm[bigwig]`), or set it to bedgraph."
        ) from None

    def write(path: Path, tracks: Tracks, number: int) -> None:
        pybigtools.open(str(path), "w").write(tracks.lengths, tracks.intervals(number))

    return write
