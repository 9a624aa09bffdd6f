"""The base store of a genome: one uint8 code per base, all contigs in one .npy file.

Beside it lie contigs.tsv (contig, start, length, offset) and manifest.json. A contig's bases are
`bases[offset : offset + length]`; its first one is base `start` of the contig (0-based), which is
not 0 when only a piece of it is stored.
"""

import csv
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnalm.download.checksums import Checksums, verify_checksums
from dnalm.errors import InputError
from dnalm.files import atomic_path, hash_of, read_tsv, write_json
from dnalm.genome.arrays import ArrayWriter
from dnalm.genome.intervals import Spans
from dnalm.genome.kmers import N, to_sequence
from dnalm.genome.letters import ZERO_COUNTS
from dnalm.genome.selection import select_contigs
from dnalm.jobs.credentials import hide_passwords
from dnalm.jobs.progress import Progress
from dnalm.suggestions import closest

COLUMNS = ["contig", "start", "length", "offset"]
FASTA_LINE = 60
FASTA_BLOCK_BASES = 100_000 * FASTA_LINE  # whole lines
GAP_BLOCK_BASES = 1 << 26  # in memory at a time while gaps are searched
BASES, CONTIGS, MANIFEST = "bases.npy", "contigs.tsv", "manifest.json"

log = logging.getLogger(__name__)


def write_bases(
    source: str | Path,
    *,
    name: str,
    config: Mapping[str, Any],
    bases: str | Path,
    contigs: str | Path,
    manifest: str | Path,
) -> None:
    """Write the base store of one genome from a FASTA file.

    `config` is the genome's section: accession, url | path | simulate, sha256, md5 and contigs,
    each of them optional; `contigs` as `select_contigs` reads it.

    The sha256 of the source is always recorded, its md5 where `config` gives one.

    Raises InputError for a wrong checksum, records that hold the same bases, and whatever
    `select_contigs` refuses. Nothing is written then.
    """
    try:
        sha256 = hash_of(source, "sha256")
        # An md5 costs half as much as the decompression, so it is taken only to be checked.
        md5 = hash_of(source, "md5") if config.get("md5") else ""
        sums = Checksums(sha256=sha256, md5=md5, size=Path(source).stat().st_size)
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}; correct genomes.{name}.") from None
    remedy = f"get the file again or correct genomes.{name}"
    verify_checksums(str(source), sums, config.get("sha256"), config.get("md5"), remedy)
    total, rows = ZERO_COUNTS, []
    with ExitStack() as stack:
        # Entered last, left first: the bases appear under their final name after the two others.
        bases_temporary = stack.enter_context(atomic_path(bases))
        contigs_temporary = stack.enter_context(atomic_path(contigs))
        manifest_temporary = stack.enter_context(atomic_path(manifest))
        with (
            ArrayWriter(bases_temporary, np.uint8, columns=None) as array,
            Progress(f"encode {name}", "bases") as progress,
        ):
            for contig, new_name in select_contigs(source, name, config.get("contigs")):
                for codes in contig.blocks:
                    array.write(codes)
                    progress.advance(len(codes))
                rows.append((new_name, contig.start, contig.counts.bases, total.bases))
                total += contig.counts
        _refuse_overlaps(source, rows)
        with open(contigs_temporary, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows([COLUMNS, *rows])
        facts = {
            "name": name,
            "accession": config.get("accession"),
            "source": _source_of(config, source),
            "sha256": sha256,
            "md5": md5 or None,
            "bases": total.bases,
            "n": total.n,
            "soft_masked": total.soft_masked,
            "iupac": total.iupac,
            "contigs": len(rows),
            "simulated": bool(config.get("simulate")),
        }
        write_json(manifest_temporary, facts)
    log.info("%s: %s bases in %d contigs, sha256 %s", name, f"{total.bases:,}", len(rows), sha256)


def _source_of(config: Mapping[str, Any], source: str | Path) -> str:
    given = config.get("url") or config.get("path") or source
    given = given if isinstance(given, str | Path) else given[0]
    return "simulated" if config.get("simulate") else hide_passwords(str(given))


def _refuse_overlaps(source: str | Path, rows: Sequence[tuple[str, int, int, int]]) -> None:
    """Raise InputError when two records hold the same bases of one contig."""
    for (contig, start, length, _), (other, after, _, _) in pairwise(sorted(rows)):
        if contig == other and after < start + length:
            raise InputError(
                f"{source}: two records hold the same bases of contig {contig}; "
                "rename or remove one of them."
            )


def write_fasta(bases: "GenomeBases", path: str | Path) -> None:
    """Write the stored bases as upper-case FASTA, 60 letters a line.

    A stored piece of a contig is named NAME:FROM-TO (1-based, both included) as when it was read.
    """
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
        Progress("write FASTA", "bases", bases.bases) as progress,
    ):
        for row in bases.contigs.itertuples():
            piece = f":{row.start + 1}-{row.start + row.length}" if row.start else ""
            file.write(f">{row.contig}{piece}\n")
            for first in range(0, row.length, FASTA_BLOCK_BASES):
                length = min(FASTA_BLOCK_BASES, row.length - first)
                sequence = to_sequence(bases.read_at(row.offset + first, length))
                lines = (sequence[at : at + FASTA_LINE] for at in range(0, length, FASTA_LINE))
                file.write("\n".join(lines) + "\n")
                progress.advance(length)


class GenomeBases:
    """Random access to the base codes of a genome: one pread per read, safe to fork and to pickle.

    `contigs` is the table of contigs.tsv, `bases` the number of bases stored. Coordinates are
    0-based and half-open. The file is opened by the first read, and again after `close`.
    """

    def __init__(self, bases_path: str | Path, contigs_path: str | Path) -> None:
        self.bases_path, self.contigs_path = Path(bases_path), Path(contigs_path)
        self.contigs = read_tsv(
            contigs_path,
            COLUMNS[:1],
            whole=COLUMNS[1:],
            remedy="make the genome's store first",
            dtype={"contig": str},
            keep_default_na=False,
        )
        lengths, offsets = self.contigs["length"], self.contigs["offset"]
        if (self.contigs[COLUMNS[1:]] < 0).any(axis=None) or (
            offsets != lengths.cumsum() - lengths
        ).any():
            raise InputError(
                f"{contigs_path}: the lengths and offsets of the contigs do not follow each other; "
                "make the genome's store again."
            )
        self.bases = int(lengths.sum())
        self._descriptor: int | None = None
        self._data = 0

    @classmethod
    def of(cls, folder: str | Path) -> "GenomeBases":
        """Return the store in a genome's folder."""
        return cls(Path(folder) / BASES, Path(folder) / CONTIGS)

    def read(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Return the codes from `start` to `end`, counted from the beginning of the stored piece.

        Raises InputError for an unknown contig and ValueError for an interval outside of it, or
        when several pieces of the contig are stored.
        """
        pieces = self._pieces_of(contig)
        if len(pieces) > 1:
            raise ValueError(f"{len(pieces)} pieces of {contig} are stored: use read_absolute")
        _, length, offset = pieces[0]
        if not 0 <= start <= end <= length:
            raise ValueError(f"{contig}:{start}-{end} lies outside of its {length} bases")
        return self.read_at(offset + start, end - start)

    def read_absolute(self, contig: str, start: int, end: int) -> NDArray[np.uint8]:
        """Return the codes from `start` to `end` in coordinates of the whole contig.

        Raises InputError when no stored piece of the contig holds the interval.
        """
        return self.read_at(self.locate(contig, start, end), end - start)

    def locate(self, contig: str, start: int, end: int) -> int:
        """Return the offset into the whole store of an interval in coordinates of its contig.

        Nothing is read. Raises InputError when no stored piece of the contig holds the interval.
        """
        for first, length, offset in self._pieces_of(contig):
            if first <= start <= end <= first + length:
                return offset + start - first
        raise InputError(
            f"{self.contigs_path}: {contig}:{start}-{end} is not stored there; "
            "give coordinates inside its contigs."
        )

    def read_at(self, offset: int, length: int) -> NDArray[np.uint8]:
        """Return `length` codes from an offset into the whole store."""
        codes = np.empty(length, dtype=np.uint8)
        self.read_into(codes, offset)
        return codes

    def read_into(self, codes: NDArray[np.uint8], offset: int) -> None:
        """Fill `codes` with the bases from an offset into the whole store."""
        if self._descriptor is None:
            self._open()
        # One call reads at most 2 GiB and the largest contigs are longer.
        view, done = memoryview(codes), 0
        while done < len(view):
            chunk = os.pread(self._descriptor, len(view) - done, self._data + offset + done)
            if not chunk:
                raise InputError(
                    f"{self.bases_path} ends before base {offset + len(view)}; make the genome's "
                    "store again."
                )
            view[done : done + len(chunk)] = chunk
            done += len(chunk)

    def _open(self) -> None:
        with open(self.bases_path, "rb") as file:
            try:
                np.lib.format.read_magic(file)
                shape, _, kind = np.lib.format.read_array_header_1_0(file)
            # What numpy raises for a header that is damaged depends on where it is.
            except (ValueError, TypeError, SyntaxError, TokenError, LookupError):
                shape, kind = (), None
            self._data = file.tell()
        if shape != (self.bases,) or kind != np.uint8:
            raise InputError(
                f"{self.bases_path} is not the array of the {self.bases:,} bases of "
                f"{self.contigs_path.name}; make the genome's store again."
            )
        self._descriptor = os.open(self.bases_path, os.O_RDONLY)

    @cached_property
    def _pieces(self) -> dict[str, list[tuple[int, int, int]]]:
        # Made when first asked for: to read by offset, as training does, one needs none.
        pieces: dict[str, list[tuple[int, int, int]]] = {}
        columns = (self.contigs[column].tolist() for column in COLUMNS)
        for contig, *place in zip(*columns, strict=True):
            pieces.setdefault(contig, []).append(tuple(place))
        return pieces

    def _pieces_of(self, contig: str) -> list[tuple[int, int, int]]:
        if contig not in self._pieces:
            near = closest(contig, self._pieces, 3)
            raise InputError(
                f"{self.contigs_path}: there is no contig {contig}; "
                f"known are {', '.join(near)} and the like."
            )
        return self._pieces[contig]

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_descriptor": None}


def find_gaps(genome: GenomeBases, contig: str) -> Spans:
    """Return the assembly gaps (runs of N) of a contig: int64 starts and ends, sorted.

    0-based half-open, in coordinates of the whole contig. A gap across a block of
    `GAP_BLOCK_BASES` is given as two that touch.
    """
    starts, ends = [], []
    for row in genome.contigs[genome.contigs["contig"] == contig].itertuples():
        for first in range(0, int(row.length), GAP_BLOCK_BASES):
            length = min(GAP_BLOCK_BASES, int(row.length) - first)
            is_n = genome.read_at(int(row.offset) + first, length) == N
            # Where the mask changes, alternately to N and from N.
            edges = np.flatnonzero(np.diff(is_n, prepend=False, append=False))
            starts.append(edges[0::2] + int(row.start) + first)
            ends.append(edges[1::2] + int(row.start) + first)
    order = np.argsort(np.concatenate(starts), kind="stable")
    return np.concatenate(starts)[order], np.concatenate(ends)[order]
