"""What the alleles and genotypes of a record mean for each of a sample's two haplotypes.

The truth is `bcftools consensus` 1.24 with `-H 1pIu` and `-H 2pIu` (IUPAC codes as N), but for what
it refuses or copies as text: such alleles count as the reference.
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
    """An alternative allele: its letters, or why it counts as the reference."""

    sequence: str | None
    ignored: Ignored | None = None


@dataclass(frozen=True)
class Edit:
    """What is put in the place of `length` bases from `position` on; `sequence` may be empty."""

    position: int
    length: int
    sequence: str


def read_allele(text: str, *, apply_deletions: bool) -> Allele:
    """Return the meaning of one entry of ALT, in upper case.

    With `apply_deletions` a <DEL> keeps the one base at POS; its reach is the caller's to know.
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
    """Return the allele numbers of a genotype, None where unknown, and whether it is phased.

    One allele is phased. Raises ValueError for anything but one or two alleles.
    """
    # VCF 4.4 may write the phase of the first allele as well.
    alleles = re.split(r"[|/]", text.lstrip("|/"))
    if len(alleles) > 2:
        raise ValueError(f"the genotype {text} has {len(alleles)} alleles")
    numbers = tuple(None if allele == "." else int(allele) for allele in alleles)
    return numbers, "/" not in text


def place_alleles(
    alleles: Sequence[int | None], phased: bool, sequences: Sequence[str | None]
) -> tuple[str | None, str | None, Unphased | None]:
    """Return what each haplotype gets in the place of REF, None for nothing, and what was unphased.

    `sequences` are REF and the alternatives, None for those that count as the reference. A single
    allele is on the first haplotype; an unknown allele is the reference.
    """
    known = [sequences[allele] if allele else None for allele in alleles]
    if len(known) == 1:
        return known[0], None, None
    if phased:
        return known[0], known[1], None
    if None in alleles:
        # What is known of it goes on both haplotypes, as it does in bcftools.
        (text,) = {sequence for sequence in known if sequence is not None} or {None}
        return text, text, Unphased.BOTH if text is not None else None
    if known[0] == known[1]:
        return known[0], known[0], None
    # Of two alternatives the longer one is put in; the other allele, or REF, leaves its mark on it.
    reference = sequences[0]
    first, second = sorted((reference if text is None else text for text in known), key=len)
    if None in known:
        first, second = reference, known[0] if known[1] is None else known[1]
    text = blur(second, first)
    return text, text, Unphased.BOTH if len(first) != len(second) else Unphased.UNKNOWN_BASE


def blur(sequence: str, other: str) -> str:
    """Return `sequence` with N where `other` has another letter."""
    shared = (a if a == b else UNKNOWN_BASE for a, b in zip(sequence, other, strict=False))
    return "".join(shared) + sequence[len(other) :]


def is_anchored(reference: str, sequence: str) -> bool:
    """Tell whether an allele is an insertion or deletion behind a first base that both share.

    Such a record may begin at the last base that the one before has used.
    """
    if not sequence or reference[0] != sequence[0] or reference == sequence:
        return False
    prefix = _common(reference, sequence)
    reference, sequence = reference[prefix:], sequence[prefix:]
    suffix = _common(reference[::-1], sequence[::-1])
    return suffix == min(len(reference), len(sequence))


def _common(first: str, second: str) -> int:
    pairs = zip(first, second, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def make_edit(position: int, reference: str, sequence: str) -> Edit:
    """Return the edit of a record; the anchor of an insertion or deletion is left out of it."""
    anchor = int(is_anchored(reference, sequence))
    return Edit(position + anchor, len(reference) - anchor, sequence[anchor:])
