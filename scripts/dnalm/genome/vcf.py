"""VCF and BCF records, one contig at a time, with their non-reference genotypes.

Positions are 0-based. Genotypes are kept as they are written, such as `0|1` or `./.`.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam.bcftools
from numpy.typing import NDArray

from dnalm.compression import is_truncated_bgzf
from dnalm.errors import InputError

REFERENCE_GENOTYPES = frozenset(("0|0", "0/0", "0"))
MITOCHONDRION = ("M", "MT")
MAX_LISTED = 8  # names that an error message spells out
# A diploid genotype of single digits is three letters and a tab: compared as one 32-bit word.
_GENOTYPE_BYTES = 4
_REFERENCE_GENOTYPE = np.frombuffer(b"0|0\t", dtype=np.uint32)[0]
_SEPARATORS = np.frombuffer(b"|/", dtype=np.uint8)

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One VCF record, alleles in upper case.

    `position` is that of the first letter of `reference`. `genotypes` gives, for every genotype
    other than all reference, the samples that have it, `haploid` the samples with one known allele
    only: numbers, int64[n] ascending. `end` is where the record ends by INFO/END, else by REF.
    """

    position: int
    end: int
    reference: str
    alternatives: tuple[str, ...]
    genotypes: dict[str, NDArray[np.int64]]
    haploid: NDArray[np.int64]


class VariantReader:
    """Reads the records of one contig of a VCF or BCF file, in file order, once.

    `samples` are the names in the order of the genotypes, `contig` is the name in the file.
    """

    def __init__(
        self,
        path: str | Path,
        contig: str,
        *,
        known_contigs: Sequence[str],
        samples: Sequence[str] | None,
        index: str | Path | None,
    ) -> None:
        """Open `path` for a contig of the genome, which the file may call otherwise.

        `samples` are the ones to read, None for all. With an `index` only the records of the contig
        are read, else the whole file. `known_contigs` are the genome's, for messages.

        Raises InputError for a file that is missing, truncated or no VCF, a sample that it does not
        have, and a contig that it does not have or has under two names.
        """
        self.path, self._indexed = Path(path), index is not None
        refuse_cut_bgzf(self.path)
        try:
            with _quiet():
                self._file = pysam.VariantFile(
                    str(path), index_filename=str(index) if index else None
                )
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: this is no VCF or BCF file that can be read ({error}); get it again or "
                "correct the panel's `path` or `url`."
            ) from None
        self.contig = match_contig(
            contig, list(self._file.header.contigs), known_contigs, self.path
        )
        self.samples = self._choose(samples)

    def _choose(self, samples: Sequence[str] | None) -> list[str]:
        present = list(self._file.header.samples)
        if not present:
            raise InputError(f"{self.path} has no samples; give a file with genotypes.")
        if samples is None:
            return present
        wanted = set(samples)
        if missing := sorted(wanted - set(present)):
            more = f" and {len(missing) - MAX_LISTED} more" if len(missing) > MAX_LISTED else ""
            raise InputError(
                f"{self.path}: there is no sample {', '.join(missing[:MAX_LISTED])}{more} among "
                f"its {len(present)} samples; correct the panel's `samples`."
            )
        self._file.subset_samples(list(wanted))
        return [name for name in present if name in wanted]

    def __iter__(self) -> Iterator[Record]:
        """Yield the records; raise InputError for one that is damaged or out of order."""
        before = 0
        for record in self._records():
            if record.contig != self.contig:
                continue
            if record.pos < before:
                raise InputError(
                    f"{self.path}: {self.contig}:{record.pos} stands after {self.contig}:{before}; "
                    "sort the file, for example with `bcftools sort`."
                )
            before = record.pos
            genotypes, haploid = self._read_genotypes(record)
            yield Record(
                position=record.pos - 1,
                end=record.stop,
                reference=record.ref.upper(),
                alternatives=tuple(allele.upper() for allele in record.alts or ()),
                genotypes=genotypes,
                haploid=haploid,
            )

    def _records(self) -> Iterator[pysam.VariantRecord]:
        last = "its header"
        with _quiet():
            try:
                for record in self._file.fetch(self.contig) if self._indexed else self._file:
                    last = f"{record.contig}:{record.pos}"
                    yield record
            except (OSError, ValueError) as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(
                    f"{self.path}: what follows {last} cannot be read, the file is damaged or that "
                    "line is malformed; get it again or mend the line."
                ) from None

    def _read_genotypes(
        self, record: pysam.VariantRecord
    ) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64]]:
        # The text of a record is by far the fastest way from pysam to all of its genotypes.
        kind, text = str(record).rstrip("\n").split("\t", 9)[8:]
        if kind == "GT" and len(text) + 1 == _GENOTYPE_BYTES * len(self.samples):
            words = np.frombuffer(f"{text}\t".encode("ascii"), dtype=np.uint32)
            letters = words.view(np.uint8)
            # Of the right length; only tabs and separators in their places make it such words.
            ends, middles = letters[3::_GENOTYPE_BYTES], letters[1::_GENOTYPE_BYTES]
            if (ends == ord("\t")).all() and np.isin(middles, _SEPARATORS).all():
                carriers = np.flatnonzero(words != _REFERENCE_GENOTYPE)
                found = {
                    word.tobytes()[:-1].decode("ascii"): carriers[words[carriers] == word]
                    for word in np.unique(words[carriers])
                }
                for genotype in REFERENCE_GENOTYPES & found.keys():
                    del found[genotype]
                return found, np.empty(0, dtype=np.int64)
        if kind.split(":", 1)[0] != "GT":
            raise InputError(
                f"{self.path}: {self.contig}:{record.pos} has no genotypes (its FORMAT is {kind}); "
                "remove the line."
            )
        # Mixed ploidy, more fields than one, or alleles of two digits.
        genotypes = [entry.split(":", 1)[0] for entry in text.split("\t")]
        found: dict[str, list[int]] = {}
        for sample, genotype in enumerate(genotypes):
            if genotype not in REFERENCE_GENOTYPES:
                found.setdefault(genotype, []).append(sample)
        haploid = [sample for sample, genotype in enumerate(genotypes) if genotype.isdigit()]
        numbers = {genotype: np.array(samples, np.int64) for genotype, samples in found.items()}
        return numbers, np.array(haploid, dtype=np.int64)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def match_contig(contig: str, present: Sequence[str], known: Sequence[str], path: Path) -> str:
    """Return the name of `contig` among the contigs `present` in a file: chr20 is 20, chrM is MT.

    Raises InputError when no name fits, or two do.
    """
    if contig in present:
        return contig
    bare = contig.removeprefix("chr")
    bares = MITOCHONDRION if bare in MITOCHONDRION else (bare,)
    fitting = [name for name in present if name.removeprefix("chr") in bares]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InputError(
            f"{path}: contig {contig} of the genome may be {' or '.join(fitting)} there; rename "
            "one of them."
        )
    raise InputError(
        f"{path}: there is no contig {contig}; it has {_list(present)}, the genome has "
        f"{_list(known)}: correct the panel's `path`, `url` or `contigs`."
    )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return (", ".join(names[:MAX_LISTED]) or "none in its header") + more


def refuse_cut_bgzf(path: str | Path) -> None:
    """Raise InputError for a missing file and for a truncated BGZF file."""
    try:
        cut = is_truncated_bgzf(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; correct the panel's `path`.") from None
    if cut:
        raise InputError(
            f"{path}: the end mark of bgzip is missing, the file is truncated; get it again."
        )


def index_variants(path: str | Path, index: str | Path) -> None:
    """Write the CSI index of a BGZF-compressed VCF or BCF file; `path` is left alone.

    Raises InputError for a file that is missing, truncated or not compressed with bgzip.
    """
    refuse_cut_bgzf(path)
    try:
        with _quiet():
            pysam.bcftools.index("--csi", "--force", "--output", str(index), str(path))
    except pysam.SamtoolsError as error:
        raise InputError(
            f"{path}: no index can be made of it ({str(error).strip()}); sort it with "
            "`bcftools sort` and compress it with `bgzip`."
        ) from None
    log.info("%s is indexed", path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence htslib, whose messages on stderr are replaced by one sentence."""
    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)
