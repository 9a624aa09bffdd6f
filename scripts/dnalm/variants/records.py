"""Records of a VCF or BCF file as alleles on a genome: which can be scored, and why others cannot.

Positions are 0-based, but for POS of the file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dnalm.errors import InputError
from dnalm.genome.names import decode
from dnalm.genome.vcf import refuse_cut_bgzf
from dnalm.genome.vcf_lines import BcfLines, VcfLines, open_lines
from dnalm.variants.alleles import Allele, refuse_letters
from dnalm.variants.windows import Windows

KEYS = "`vcf` of the entry of variants"
MAIN_COLUMNS = 8  # from CHROM to INFO
POSITION = re.compile(rb"[0-9]{1,18}")
TBI_BASES = 1 << 29  # an index of this kind knows no position behind
EXACT, PREFIX = "exact", "prefix"
MITOCHONDRION = {"M": "MT", "MT": "M"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """An alternative allele of the file; `alternative` is None where ALT is '.'.

    `record` and `number` are those of the record and of the allele in it, from 0; `contig` is the
    name in the file, `position` POS.
    """

    record: int
    number: int
    contig: str
    position: int
    id: str
    reference: str
    alternative: str | None

    def to_allele(self, contig: str) -> Allele:
        """Return it on a contig of the genome."""
        return Allele(
            contig=contig,
            start=self.position - 1,
            reference=self.reference.upper(),
            alternative=self.alternative.upper(),
        )


class ContigNames:
    """Names of the genome's contigs by those of a file.

    `rule` is exact, prefix (with or without chr, and M is MT) or {name in the file: in the genome}.
    """

    def __init__(self, rule: str | Mapping[str, str], windows: Windows) -> None:
        self._rule, self._windows = rule, windows

    def find(self, name: str) -> str:
        """Return the genome's name of a contig; the name itself where the genome has none."""
        if not isinstance(self._rule, str):
            return self._rule.get(name, name)
        if self._rule == PREFIX and not self._windows.has_contig(name):
            return next(filter(self._windows.has_contig, _other_names(name)), name)
        return name


def _other_names(name: str) -> Iterator[str]:
    bare = name.removeprefix("chr")
    for one in (bare, MITOCHONDRION.get(bare)):
        if one is not None:
            yield from (one, f"chr{one}")


def would_match(name: str, windows: Windows) -> bool:
    """Return whether the genome has a contig of this name with, or without, chr before it."""
    return any(map(windows.has_contig, _other_names(name)))


def open_variants(path: str | Path) -> VcfLines | BcfLines:
    """Return the lines of a VCF or BCF file; InputError for one that is missing, cut or no such."""
    refuse_cut_bgzf(path, KEYS)
    return open_lines(Path(path), None, KEYS)


def read_lines(path: str | Path, lines: VcfLines | BcfLines) -> Iterator[bytes]:
    """Yield the record lines; InputError names the record behind which they are damaged."""
    last = "its header"
    try:
        for line in lines.read(None):
            yield line
            last = ":".join(map(decode, line.split(b"\t", 2)[:2]))
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: what follows {last} cannot be read, the file is damaged or that line is"
            " malformed; get it again or mend the line."
        ) from None


def read_records(path: str | Path, lines: VcfLines | BcfLines, *, tbi: bool) -> Iterator[list[Row]]:
    """Yield the alleles of each record, one without an alternative where ALT is '.'.

    Raises InputError for a malformed line, one of other columns than the header's, records that are
    not sorted, and, with `tbi`, positions that an index of that kind cannot hold.
    """
    columns = lines.header[-1].count(b"\t") + 1
    if columns == MAIN_COLUMNS + 1:
        raise InputError(
            f"{path}: its header has the column FORMAT and no samples behind it, which bcftools"
            f" does not read; cut it off, for example with `cut -f 1-{MAIN_COLUMNS}`."
        )
    seen: set[str] = set()
    contig, before = None, 0
    for record, line in enumerate(read_lines(path, lines)):
        cells = line.split(b"\t", MAIN_COLUMNS)
        if len(cells) < MAIN_COLUMNS or not POSITION.fullmatch(cells[1]) or not cells[3]:
            place = f"record {record + 1}, {decode(line[:40])!r},"
            raise InputError(
                f"{path}: {place} has no CHROM, POS, ID, REF, ALT, QUAL, FILTER and INFO with tabs"
                " between; mend the line."
            )
        if (found := line.count(b"\t") + 1) != columns:
            raise InputError(
                f"{path}: {decode(cells[0])}:{int(cells[1])} has {found} columns, and the header"
                f" has {columns}; mend the line, or get the file again if it is cut."
            )
        name, position = decode(cells[0]), int(cells[1])
        if name != contig:
            if name in seen:
                raise _unsorted(path, name, position, f"other contigs follow {name} before")
            seen.add(name)
            contig, before = name, 0
        if position < before:
            raise _unsorted(path, name, position, f"{name}:{before} stands before")
        if tbi and position >= TBI_BASES:
            raise InputError(
                f"{path}: {name}:{position} lies behind 512 Mb, which a tbi index cannot hold; set"
                " `index: csi` of the variants."
            )
        before = position
        identity, reference = decode(cells[2]), decode(cells[3])
        alternatives = [None] if cells[4] == b"." else decode(cells[4]).split(",")
        yield [
            Row(
                record=record,
                number=number,
                contig=name,
                position=position,
                id=identity,
                reference=reference,
                alternative=alternative,
            )
            for number, alternative in enumerate(alternatives)
        ]


def _unsorted(path: str | Path, name: str, position: int, why: str) -> InputError:
    return InputError(
        f"{path}: {name}:{position} is out of order, {why}; sort the file, for example with"
        " `bcftools sort`, as no index can be made of it."
    )


def find_reason(row: Row, contig: str, windows: Windows) -> str | None:
    """Return why an allele cannot be scored, None where it can."""
    letters = refuse_letters(row.reference.upper(), row.alternative and row.alternative.upper())
    if letters:
        return letters
    allele = row.to_allele(contig)
    if row.position < 1:
        return "outside_contig"
    return windows.find_mismatch(allele) or windows.find_unreadable(allele)
