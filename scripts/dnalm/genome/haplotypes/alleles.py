"""Alleles and genotypes of a VCF record, as sequences on the two haplotypes of a sample.

The reference implementation is `bcftools consensus` 1.24 with `-H 1pIu` and `-H 2pIu` (IUPAC codes
as N), but for what it refuses or copies as text: such alleles count as the reference.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

BASES = re.compile(r"[ACGTNRYSWKMBDHV]+")
UNKNOWN_BASE = "N"
DELETION = "<DEL>"


class Ignored(StrEnum):
    """Why an allele that a haplotype carries is not put into its sequence."""

    STAR = "deleted by another record (*)"
    REFERENCE_BLOCK = "unspecified allele (<*>, <NON_REF>)"
    DELETION = "symbolic deletion (<DEL>)"
    SYMBOLIC = "other symbolic allele"
    BREAKEND = "breakend"
    MISMATCH = "REF differs from the genome"
    OVERLAP = "overlaps a record applied before"


class Unphased(StrEnum):
    """What becomes of a genotype whose phase is unknown."""

    UNKNOWN_BASE = "unphased heterozygote, N on both haplotypes"
    BOTH = "unphased length change, on both haplotypes"


@dataclass(frozen=True)
class Allele:
    """An ALT allele: its sequence, or why it counts as the reference."""

    sequence: str | None
    ignored: Ignored | None = None


@dataclass(frozen=True)
class Edit:
    """A replacement of `length` bases from `position` (0-based) on by `sequence`, maybe empty."""

    position: int
    length: int
    sequence: str


def read_allele(text: str, *, apply_deletions: bool) -> Allele:
    """Return the allele of one ALT entry, in upper case.

    With `apply_deletions` a <DEL> keeps the one base at POS; its end, INFO/END, is known to the
    caller.
    """
    if BASES.fullmatch(text):
        return Allele(text)
    if text == "*":
        return Allele(None, Ignored.STAR)
    if text in ("<*>", "<NON_REF>", "."):
        return Allele(None, Ignored.REFERENCE_BLOCK)
    if text == DELETION:
        return Allele(
            "" if apply_deletions else None, None if apply_deletions else Ignored.DELETION
        )
    if text.startswith("<"):
        return Allele(None, Ignored.SYMBOLIC)
    return Allele(None, Ignored.BREAKEND)


@lru_cache(maxsize=4096)
def parse_genotype(text: str) -> tuple[tuple[int | None, ...], bool]:
    """Return the allele numbers of a GT field, None for a missing one, and whether it is phased.

    A haploid genotype is phased. Raises ValueError for anything but one or two alleles.
    """
    # VCF 4.4 may write the phase of the first allele as well.
    alleles = re.split(r"[|/]", text.lstrip("|/"))
    if len(alleles) > 2:
        raise ValueError(f"the genotype {text} has {len(alleles)} alleles")
    numbers = tuple(None if allele == "." else int(allele) for allele in alleles)
    return numbers, "/" not in text


def resolve_genotype(
    alleles: Sequence[int | None], phased: bool, sequences: Sequence[str | None]
) -> tuple[str | None, str | None, Unphased | None]:
    """Return the sequence that replaces REF on each haplotype, None for REF, and what was unphased.

    `sequences` are REF and the ALT alleles, None for those that count as the reference. A haploid
    allele is on the first haplotype; a missing allele is the reference. Source: the behaviour of
    `bcftools consensus -H 1pIu` and `-H 2pIu`.
    """
    known = [sequences[allele] if allele else None for allele in alleles]
    if len(known) == 1:
        return known[0], None, None
    if phased:
        return known[0], known[1], None
    if None in alleles:
        # The allele that is not missing goes on both haplotypes, as in bcftools.
        (text,) = {sequence for sequence in known if sequence is not None} or {None}
        return text, text, Unphased.BOTH if text is not None else None
    if known[0] == known[1]:
        return known[0], known[0], None
    # Of two ALT alleles the longer one is applied, with N where the other allele, or REF, differs.
    reference = sequences[0]
    first, second = sorted((reference if text is None else text for text in known), key=len)
    if None in known:
        first, second = reference, known[0] if known[1] is None else known[1]
    text = mask_differences(second, first)
    return text, text, Unphased.BOTH if len(first) != len(second) else Unphased.UNKNOWN_BASE


def mask_differences(sequence: str, other: str) -> str:
    """Return `sequence` with N where `other` has another letter."""
    shared = (a if a == b else UNKNOWN_BASE for a, b in zip(sequence, other, strict=False))
    return "".join(shared) + sequence[len(other) :]


def is_anchored_indel(reference: str, sequence: str) -> bool:
    """Return whether an allele is a pure indel with an anchor base, as VCF writes insertions.

    REF and ALT share the first base and differ by one inserted or deleted stretch. Such a record
    may begin at the last base of the record applied before.
    """
    if not sequence or reference[0] != sequence[0] or reference == sequence:
        return False
    prefix = _common(reference, sequence)
    reference, sequence = reference[prefix:], sequence[prefix:]
    # Trimmed from both ends, as normalisation does, nothing may be left of the shorter allele.
    suffix = _common(reference[::-1], sequence[::-1])
    return suffix == min(len(reference), len(sequence))


def _common(first: str, second: str) -> int:
    pairs = zip(first, second, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def make_edit(position: int, reference: str, sequence: str) -> Edit:
    """Return the edit of an allele, without the anchor base of an insertion or deletion."""
    anchor = int(is_anchored_indel(reference, sequence))
    return Edit(position + anchor, len(reference) - anchor, sequence[anchor:])
