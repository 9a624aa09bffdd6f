"""One record of a VCF file, whatever read it; needs no pysam."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Record:
    """One VCF record, alleles in upper case.

    `position` is that of the first letter of `reference`. `genotypes` gives, for every genotype
    other than all reference, the samples that have it, `haploid` the samples with one known allele
    only: numbers, int64[n] ascending. `end` is where the record ends by INFO/END, else by REF; of
    a symbolic allele without END by SVLEN.
    """

    position: int
    end: int
    reference: str
    alternatives: tuple[str, ...]
    genotypes: dict[str, NDArray[np.int64]]
    haploid: NDArray[np.int64]
