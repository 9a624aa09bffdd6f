"""Known assemblies of genomes, recognised by the lengths of their contigs.

Lengths as in the sequence reports of NCBI and UCSC's chrom.sizes.
"""

import re
from collections.abc import Iterable, Mapping

LENGTHS = {
    "NCBI36 (hg18)": {"1": 247249719, "20": 62435964, "21": 46944323, "22": 49691432},
    "GRCh37 (hg19)": {"1": 249250621, "20": 63025520, "21": 48129895, "22": 51304566},
    "GRCh38 (hg38)": {"1": 248956422, "20": 64444167, "21": 46709983, "22": 50818468},
    "T2T-CHM13v2.0 (hs1)": {"1": 248387328, "20": 66210255, "21": 45090682, "22": 51324926},
    "GRCm38 (mm10)": {"1": 195471971, "2": 182113224, "19": 61431566},
    "GRCm39 (mm39)": {"1": 195154279, "2": 181755017, "19": 61420004},
}
WORDS = {
    "NCBI36 (hg18)": ("ncbi36", "hg18", "b36"),
    "GRCh37 (hg19)": ("grch37", "hg19", "b37", "hs37d5", "assembly19"),
    "GRCh38 (hg38)": ("grch38", "hg38"),
    "T2T-CHM13v2.0 (hs1)": ("chm13", "hs1.fa"),
    "GRCm38 (mm10)": ("grcm38", "mm10"),
    "GRCm39 (mm39)": ("grcm39", "mm39"),
}
CONTIG = re.compile(r"##contig=<(?:[^\"]*,)?ID=([^,>]+)")
LENGTH = re.compile(r"[,<]length=([0-9]+)")
NAMING = re.compile(r"(?:##(?:reference|assembly)=|##contig=.*?\bassembly=)(.*)", re.I)


def read_lengths(header: Iterable[str]) -> dict[str, int]:
    """Return the lengths of contigs, {name: bases}, that the lines of a VCF header give."""
    found = {}
    for line in header:
        name, length = CONTIG.match(line), LENGTH.search(line)
        if name and length:
            found[name[1]] = int(length[1])
    return found


def recognise(lengths: Mapping[str, int]) -> str | None:
    """Return the assembly whose contigs have these lengths, None where none has."""
    bare = {name.removeprefix("chr"): length for name, length in lengths.items()}
    for assembly, known in LENGTHS.items():
        if any(bare.get(name) == length for name, length in known.items()):
            return assembly
    return None


def recognise_header(header: Iterable[str]) -> str | None:
    """Return the assembly that a VCF header says it is of, by lengths of contigs or by its name."""
    lines = list(header)
    if assembly := recognise(read_lengths(lines)):
        return assembly
    for line in lines:
        named = NAMING.match(line)
        for assembly, words in WORDS.items() if named else ():
            if any(word in named[1].lower() for word in words):
                return assembly
    return None
