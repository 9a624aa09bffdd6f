"""Scores that others have computed, from INFO fields, indexed tables or bigWig files.

CADD, GERP, phyloP, phastCons, DeepSEA and the like: the user brings the files.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam

from dnalm.benchmark.tasks.label_cells import NUMBER_TEXT
from dnalm.download.compression import open_binary
from dnalm.errors import InputError
from dnalm.genome.names import decode
from dnalm.jobs.progress import Progress, progress
from dnalm.jobs.workers import run_apart
from dnalm.suggestions import listing, nearest
from dnalm.variants.prioritisation.allele_tables import (
    find_rows,
    plain_contig,
    read_alleles,
    to_numbers,
)

CHROM, POS, REF, ALT = range(4)  # columns of a table of alleles, as CADD has them
INDEXES = (".tbi", ".csi")
BIGWIG_ENDINGS = (".bw", ".bigWig", ".bigwig")
BLOCK_VARIANTS = 20_000  # whose values are read at once
MAX_SHOWN, MAX_REASON = 40, 200  # characters of a cell, and of another library's error


@dataclass(frozen=True, kw_only=True)
class ExternalConfig:
    """Where a score stands and which way it goes.

    `info` is a field of the file `vcf`, or without one of the variants' own; `table` a bgzipped,
    indexed text with contig, position, and unless `by_position` both alleles before other columns,
    one of which is `column`, a name or a number from 1; `bigwig` a track, of which a variant has
    the mean over its reference bases. `rises` says whether larger values mean more effect.
    """

    info: str | None
    vcf: str | None
    table: str | None
    column: str | int | None
    by_position: bool
    bigwig: str | None
    rises: bool


def read_external(name: str, variants: pd.DataFrame, config: ExternalConfig) -> np.ndarray:
    """Return the score of each row of `variants` (chrom, pos, ref, alt), float64 [V], nan for none.

    Raises InputError where the file cannot be read, has no such field or column, or no contig of
    the variants.
    """
    if config.table:
        return _from_table(name, variants, config)
    if config.bigwig:
        return _from_bigwig(name, variants, config.bigwig)
    what = f"compare.{name}: {config.vcf or 'the VCF'}, INFO field {config.info}"
    if not config.vcf:
        return to_numbers(variants[config.info], what)
    alleles = read_alleles(config.vcf, [config.info])
    rows = find_rows(alleles, variants)
    numbers = to_numbers(alleles[config.info], what)
    return np.where(rows >= 0, numbers[np.maximum(rows, 0)], np.nan)


def _from_table(name: str, variants: pd.DataFrame, config: ExternalConfig) -> np.ndarray:
    path = config.table
    with _open_table(path) as file:
        column = _find_column(path, list(file.header), config.column)
        names = {plain_contig(contig): contig for contig in file.contigs}
        _check_contigs(path, names, variants)
        found = np.full(len(variants), np.nan)
        rows = zip(
            variants["chrom"], variants["pos"], variants["ref"], variants["alt"], strict=True
        )
        for number, (chrom, pos, ref, alt) in enumerate(
            progress(rows, name, "variants", len(variants))
        ):
            contig = names.get(plain_contig(chrom))
            if contig is None:
                continue
            for line in file.fetch(contig, pos - 1, pos):
                cells = line.split("\t")
                if len(cells) <= max(column, POS if config.by_position else ALT):
                    raise InputError(f"{path}: a line at {contig}:{pos} has {len(cells)} columns.")
                # A line of an interval covers the position; one of an allele begins there.
                if config.by_position or (
                    cells[POS] == str(pos)
                    and (cells[REF].upper(), cells[ALT].upper()) == (ref, alt)
                ):
                    found[number] = _to_number(cells[column], path, contig, pos)
                    break
    return found


def _to_number(cell: str, path: str, contig: str, pos: int) -> float:
    if cell in ("", ".", "NA"):
        return np.nan
    try:
        return float(cell if NUMBER_TEXT.fullmatch(cell) else "none")
    except ValueError:
        raise InputError(
            f"{path}: '{cell[:MAX_SHOWN]}' at {contig}:{pos} is no number; name another column."
        ) from None


@contextmanager
def _open_table(path: str) -> Iterator[pysam.TabixFile]:
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file; correct the path.")
    if not any(Path(f"{path}{ending}").is_file() for ending in INDEXES):
        raise InputError(
            f"{path}: it has no index; sort it, compress it with bgzip, and index it with "
            f"`tabix -s 1 -b 2 -e 2 {path}`."
        )
    try:
        with open_binary(path) as packed:
            packed.peek(1)  # says what is wrong with data that are truncated or damaged
        # Columns that nobody asked for may be in any encoding.
        with pysam.TabixFile(path, encoding="latin-1") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: this table cannot be read ({error}).") from None


def _find_column(path: str, header: Sequence[str], column: str | int | None) -> int:
    """Return the index of a column by its number from 1, or its name in the header's last line."""
    if isinstance(column, int):
        return column - 1
    names = decode(header[-1].encode("latin-1")).lstrip("#").split("\t") if header else []
    if names.count(column) > 1:
        raise InputError(f"{path}: its header has two columns {column}; give the number of one.")
    if column not in names:
        raise InputError(
            f"{path}: its header has no column {column}{nearest(str(column), names)}"
            if names
            else f"{path}: it has no header line that begins with #; give the number of `column`."
        )
    return names.index(column)


def _check_contigs(path: str, names: Mapping[str, Any], variants: pd.DataFrame) -> None:
    ours = {plain_contig(name) for name in variants["chrom"].unique()}
    if not ours & names.keys():
        raise InputError(
            f"{path}: it has no contig of the variants, which lie on {listing(sorted(ours))}; give "
            "the file of the same genome."
        )


@contextmanager
def _explained(path: str, own: type[Exception]) -> Iterator[None]:
    """Turn what pybigtools raises for a damaged file into a sentence."""
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        known = isinstance(error, OSError | ValueError | RuntimeError | own)
        # Rust gives up in this way, which is no Exception.
        if not known and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())[:MAX_REASON]
        raise InputError(f"{path}: this is no bigWig file that can be read ({reason}).") from None


def _from_bigwig(name: str, variants: pd.DataFrame, path: str) -> np.ndarray:
    if find_spec("pybigtools") is None:
        raise InputError(
            f"compare.{name}: bigWig files are read with pybigtools, which is not installed; run "
            "`pip install pybigtools`."
        )
    rows = list(zip(variants["chrom"], variants["pos"], variants["ref"], strict=True))
    found = np.full(len(variants), np.nan)
    # Data that are damaged may ask for more memory than there is: Rust then ends the process.
    try:
        sizes = run_apart(_read_sizes, path)
        _check_contigs(path, {plain_contig(contig): contig for contig in sizes}, variants)
        with Progress(name, "variants", len(rows)) as said:
            for start in range(0, len(rows), BLOCK_VARIANTS):
                block = rows[start : start + BLOCK_VARIANTS]
                found[start : start + len(block)] = run_apart(_read_means, path, block)
                said.advance(len(block))
    except ChildProcessError:
        raise InputError(
            f"{path}: this is no bigWig file that can be read (what reads it has given up); get it "
            "again."
        ) from None
    return found


@contextmanager
def _open_bigwig(path: str) -> Iterator[Any]:
    import pybigtools

    with _explained(path, pybigtools.BBIReadError), open(path, "rb") as raw:
        # Of a path the library looks at the ending, too.
        known = Path(path).suffix in BIGWIG_ENDINGS
        with pybigtools.open(path if known else raw) as file:
            yield file


def _read_sizes(path: str) -> dict[str, int]:
    with _open_bigwig(path) as file:
        return file.chroms()


def _read_means(path: str, rows: Sequence[tuple[str, int, str]]) -> np.ndarray:
    """Return the mean over the bases of REF of each row of contig, position and REF."""
    found = np.full(len(rows), np.nan)
    with _open_bigwig(path) as file:
        sizes = file.chroms()
        names = {plain_contig(contig): contig for contig in sizes}
        for number, (chrom, pos, ref) in enumerate(rows):
            contig = names.get(plain_contig(chrom))
            if contig is None or pos > sizes[contig]:
                continue
            end = min(pos - 1 + len(ref), sizes[contig])
            total, covered = 0.0, 0
            for first, last, value in file.records(contig, pos - 1, end):
                bases = min(last, end) - max(first, pos - 1)
                total, covered = total + bases * value, covered + bases
            if covered:
                found[number] = total / covered
    return found
