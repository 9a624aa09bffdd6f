"""VCF and BCF records, one contig at a time, with their non-reference genotypes.

Positions are 0-based. Genotypes are kept as they are written, such as `0|1` or `./.`, but without
the separator that VCF 4.4 allows before the first allele.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pysam.bcftools
from numpy.typing import NDArray

from dnalm.download.compression import is_truncated_bgzf, is_whole_bgzf
from dnalm.errors import InputError
from dnalm.files import atomic_path
from dnalm.genome.names import decode
from dnalm.genome.vcf_lines import COLUMNS, open_lines, quiet
from dnalm.genome.vcf_record import Record
from dnalm.jobs.exhaustion import is_disk_full
from dnalm.suggestions import nearest_first

REFERENCE_GENOTYPES = frozenset(("0|0", "0/0", "0"))
MITOCHONDRION = ("M", "MT")
MAX_LISTED = 8  # names that an error message spells out
# A diploid genotype of single digits is three letters and a tab: compared as one 32-bit word.
_GENOTYPE_BYTES = 4
_REFERENCE_GENOTYPE = np.frombuffer(b"0|0\t", dtype=np.uint32)[0]
_SEPARATORS = np.frombuffer(b"|/", dtype=np.uint8)
_NO_SAMPLES = np.empty(0, dtype=np.int64)
POSITION = re.compile(rb"[0-9]{1,18}")
REFERENCE_ALLELE = re.compile(r"[ACGTNRYSWKMBDHV]+")
END = re.compile(rb"(?:^|;)END=([0-9]{1,18})(?:;|$)")
LENGTH = re.compile(rb"(?:^|;)SVLEN=-?([0-9]{1,18})(?:[;,]|$)")
HAPLOID = re.compile(r"[0-9]+")
GENOTYPE = re.compile(r"[|/]?([0-9]{1,9}|\.)([|/]([0-9]{1,9}|\.))*")

log = logging.getLogger(__name__)


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
        self.path, self.index = Path(path), index
        refuse_cut_bgzf(self.path)
        self._lines = open_lines(self.path, Path(index) if index else None)
        try:
            self.contig = match_contig(contig, self._lines.contigs, known_contigs, self.path)
        except InputError:
            # A header need not name the contigs: those of the records count, too.
            present = list(dict.fromkeys([*self._lines.contigs, *self._lines.find_contigs()]))
            self.contig = match_contig(contig, present, known_contigs, self.path)
        self.samples = self._choose(samples)
        numbers = {name: number for number, name in enumerate(self._lines.samples)}
        self._columns = np.array([numbers[name] for name in self.samples], dtype=np.int64)

    def _choose(self, samples: Sequence[str] | None) -> list[str]:
        present = self._lines.samples
        if not present:
            raise InputError(f"{self.path} has no samples; give a file with genotypes.")
        if samples is None:
            return present
        wanted = set(samples)
        if missing := sorted(wanted - set(present)):
            more = f" and {len(missing) - MAX_LISTED} more" if len(missing) > MAX_LISTED else ""
            raise InputError(
                f"{self.path}: there is no sample {', '.join(missing[:MAX_LISTED])}{more} among "
                f"its {len(present)} samples, {_list(nearest_first(missing[0], present))}; correct "
                "the panel's `samples`."
            )
        return [name for name in present if name in wanted]

    def __iter__(self) -> Iterator[Record]:
        """Yield the records; raise InputError for one that is damaged or out of order."""
        before = 0
        for line in self._read_lines():
            name, _, rest = line.partition(b"\t")
            if decode(name) != self.contig:
                continue
            record = self._parse(rest, before)
            if record.position + 1 < before:
                raise InputError(
                    f"{self.path}: {self.contig}:{record.position + 1} stands after "
                    f"{self.contig}:{before}; sort the file, for example with `bcftools sort`."
                )
            before = record.position + 1
            if self._lines.unfinished:
                self._judge_end(record, line)
            yield record

    def _judge_end(self, record: Record, line: bytes) -> None:
        """Refuse or warn of a last record without line end: its last genotype may be cut.

        A file that is cut right behind a line end, or a last genotype behind the first digit of
        its second allele, cannot be told from a whole one.
        """
        place = f"{self.path}: {self.contig}:{record.position + 1}, the last line, has no line end"
        *others, last = (decode(cell).split(":")[0] for cell in line.split(b"\t")[len(COLUMNS) :])
        haploid = [HAPLOID.fullmatch(genotype.lstrip("|/")) for genotype in (*others, last)]
        if haploid.pop() and others and not any(haploid):
            raise InputError(
                f"{place}, and its last genotype, {last[:20]!r}, one allele where the others have "
                "two: the file is cut off, get it again."
            )
        log.warning(
            "%s: if the file is cut off there, its last genotype may be wrong; compare its size or "
            "checksum with the source's.",
            place,
        )

    def _read_lines(self) -> Iterator[bytes]:
        last = "its header"
        try:
            for line in self._lines.read(self.contig):
                yield line
                last = ":".join(map(decode, line.split(b"\t", 2)[:2]))
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{self.path}: what follows {last} cannot be read, the file is damaged or that "
                "line is malformed; get it again or mend the line."
            ) from None

    def _parse(self, rest: bytes, before: int) -> Record:
        """Return the record of a line behind its contig; `before` is the POS before."""
        cells = rest.split(b"\t", 8)
        if len(cells) < 9 or not POSITION.fullmatch(cells[0]):
            last = f"{self.contig}:{before}" if before else "its header"
            fault = "has too few columns" if len(cells) < 9 else "has no number in the column POS"
            raise InputError(
                f"{self.path}: the line that follows {last} {fault}; get the file again or mend "
                "the line."
            )
        position, reference = int(cells[0]), decode(cells[2]).upper()
        if not REFERENCE_ALLELE.fullmatch(reference):
            raise self._fault(position, f"REF is {reference[:20]!r}, which is no DNA")
        alternatives = () if cells[3] == b"." else tuple(decode(cells[3]).upper().split(","))
        end = position - 1 + len(reference)
        if found := END.search(cells[6]):
            end = int(found[1]) if int(found[1]) >= position else end
        elif b"<" in cells[3] and (found := LENGTH.search(cells[6])):
            end = position + int(found[1])
        genotypes, haploid = self._read_genotypes(position, cells[7], cells[8])
        return Record(
            position=position - 1,
            end=end,
            reference=reference,
            alternatives=alternatives,
            genotypes=genotypes,
            haploid=haploid,
        )

    def _fault(self, position: int, fault: str) -> InputError:
        return InputError(f"{self.path}: {self.contig}:{position}: {fault}; mend the line.")

    def _read_genotypes(
        self, position: int, kind: bytes, text: bytes
    ) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64]]:
        present = len(self._lines.samples)
        if kind == b"GT" and len(text) + 1 == _GENOTYPE_BYTES * present:
            words = np.frombuffer(text + b"\t", dtype=np.uint32)
            letters = words.view(np.uint8)
            # Of the right length; only tabs and separators in their places make it such words.
            ends, middles = letters[3::_GENOTYPE_BYTES], letters[1::_GENOTYPE_BYTES]
            if (ends == ord("\t")).all() and np.isin(middles, _SEPARATORS).all():
                if len(self._columns) < present:
                    words = words[self._columns]
                carriers = np.flatnonzero(words != _REFERENCE_GENOTYPE)
                found = {
                    self._check(position, word.tobytes()[:-1]): carriers[words[carriers] == word]
                    for word in np.unique(words[carriers])
                }
                for genotype in REFERENCE_GENOTYPES & found.keys():
                    del found[genotype]
                return found, _NO_SAMPLES
        keys = kind.split(b":")
        if b"GT" not in keys:
            raise InputError(
                f"{self.path}: {self.contig}:{position} has no genotypes (its FORMAT is "
                f"{decode(kind)[:40]}); remove the line."
            )
        entries = text.split(b"\t")
        if len(entries) != present:
            raise self._fault(position, f"there are {len(entries)} genotypes of {present} samples")
        # Mixed ploidy, more fields than one, or alleles of two digits. Fields at the end may lack.
        at = keys.index(b"GT")
        if len(self._columns) < present:
            entries = [entries[column] for column in self._columns.tolist()]
        texts = entries
        if len(keys) > 1:
            cells = (entry.split(b":", at + 1) for entry in entries)
            texts = [values[at] if at < len(values) else b"." for values in cells]
        found: dict[str, list[int]] = {}
        haploid: list[int] = []
        known = {text: self._check(position, text) for text in set(texts)}
        alone = {text for text, genotype in known.items() if HAPLOID.fullmatch(genotype)}
        for sample, text in enumerate(texts):
            if (genotype := known[text]) not in REFERENCE_GENOTYPES:
                found.setdefault(genotype, []).append(sample)
            if text in alone:
                haploid.append(sample)
        numbers = {genotype: np.array(samples, np.int64) for genotype, samples in found.items()}
        return numbers, np.array(haploid, dtype=np.int64)

    def _check(self, position: int, genotype: bytes) -> str:
        """Return a genotype as text, without a separator before its first allele."""
        text = genotype.decode("ascii", "replace")
        if not GENOTYPE.fullmatch(text):
            raise self._fault(position, f"{text[:20]!r} is no genotype")
        return text.lstrip("|/")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


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
    there, here = (_list(nearest_first(contig, names)) for names in (present, known))
    raise InputError(
        f"{path}: there is no contig {contig}; it has {there}, the genome has {here}: correct the "
        "panel's `path`, `url` or `contigs`."
    )


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return (", ".join(names[:MAX_LISTED]) or "none in its header") + more


def refuse_cut_bgzf(path: str | Path, keys: str = "the panel's `path`") -> None:
    """Raise InputError for a missing file and a truncated BGZF file; `keys` name it in errors."""
    try:
        cut = is_truncated_bgzf(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; correct {keys}.") from None
    if cut:
        raise InputError(
            f"{path}: the end mark of bgzip is missing, the file is truncated; get it again."
        )


def index_variants(path: str | Path, index: str | Path) -> None:
    """Write the CSI index of a BGZF-compressed VCF or BCF file; `path` is left alone.

    Raises InputError for a file that is missing, truncated or not compressed with bgzip;
    NoSpaceError where the disk of `index` is full.
    """
    refuse_cut_bgzf(path)
    open_lines(Path(path), None).close()
    if not is_whole_bgzf(path):
        raise InputError(
            f"{path}: no index can be made of it, as bgzip has not compressed it, or only in part; "
            "do it anew, for example with `zcat -f FILE | bgzip > NEW`, or give a file per contig."
        )
    with atomic_path(index) as temporary:
        try:
            with quiet():
                pysam.bcftools.index("--csi", "--force", "--output", str(temporary), str(path))
        except pysam.SamtoolsError as error:
            if is_disk_full(error, temporary.parent):
                raise
            raise InputError(
                f"{path}: no index can be made of it ({str(error).strip()}); sort it with "
                "`bcftools sort` and compress it with `bgzip`."
            ) from None
    log.info("%s is indexed", path)
