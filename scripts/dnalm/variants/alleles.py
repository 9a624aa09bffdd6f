"""Alleles of VCF records: their kinds, and why one that no window is needed for has no score."""

import re
from dataclasses import dataclass

SNV, MNV, INDEL = "snv", "mnv", "indel"
DNA = re.compile(r"[ACGT]+")


@dataclass(frozen=True, kw_only=True)
class Allele:
    """An alternative allele: `start` is that of the first letter of `reference`, from 0.

    `contig` is the genome's name of it. Letters are in upper case.
    """

    contig: str
    start: int
    reference: str
    alternative: str

    @property
    def kind(self) -> str:
        """One base for another, several for as many others, or fewer or more."""
        if len(self.reference) != len(self.alternative):
            return INDEL
        return SNV if len(self.reference) == 1 else MNV


def refuse_letters(reference: str, alternative: str | None) -> str | None:
    """Return why these letters of REF and one ALT are no alleles of DNA, None where they are."""
    if alternative is None or alternative == ".":
        return "no_alt"
    if alternative == "*":
        return "star"
    if any(letter in alternative for letter in "<>[]") or "." in alternative:
        return "symbolic"  # a single breakend is written with a dot
    if not DNA.fullmatch(reference) or not DNA.fullmatch(alternative):
        return "not_dna"
    return "no_change" if reference == alternative else None
