"""Application of a contig's VCF records to the haplotypes that carry them, in file order.

Records are used as released: left-alignment and splitting of multiallelic records (`bcftools norm`)
would change which of them overlap, and with it the sequences.
Coordinates are 0-based.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.genome.haplotypes.alleles import (
    DELETION,
    Allele,
    Edit,
    Ignored,
    Unphased,
    parse_genotype,
    read_allele,
    resolve_genotype,
)
from dnalm.genome.haplotypes.overlaps import OverlapFilter
from dnalm.genome.haplotypes.ploidy import PloidyTracker
from dnalm.genome.haplotypes.reference import ReferenceContig
from dnalm.genome.haplotypes.store import StoreWriter
from dnalm.genome.kmers import to_codes
from dnalm.genome.vcf import VariantReader
from dnalm.genome.vcf_record import Record

VARIANT_TYPES = ("snvs", "insertions", "deletions", "others")
MAX_LISTED = 100  # REF mismatches that the manifest names
FIRST_CHECK_RECORDS = 1000  # after so many a file of another assembly is recognised


@dataclass(frozen=True, kw_only=True)
class PanelConfig:
    """How the genotypes of a panel are applied.

    samples: names to use, None for all. unphased: `resolve` gives both haplotypes the same, N for a
    heterozygous base, `refuse` is an error. symbolic_deletions: whether <DEL> deletes to its END.
    largest_mismatch: share of records whose REF may differ from the genome; these are left out.
    """

    samples: Sequence[str] | None
    unphased: Literal["resolve", "refuse"]
    symbolic_deletions: Literal["reference", "apply"]
    largest_mismatch: float


class RecordPlacer:
    """Writes the alleles of one contig's records to a haplotype store, and counts variants.

    `ploidy` knows where samples are haploid.
    """

    def __init__(
        self,
        config: PanelConfig,
        reader: VariantReader,
        reference: ReferenceContig,
        writer: StoreWriter,
    ) -> None:
        self._config, self._reader = config, reader
        self._applies_deletions = config.symbolic_deletions == "apply"
        self._reference, self._writer = reference, writer
        haplotypes = 2 * len(reader.samples)
        self._overlaps = OverlapFilter(haplotypes)
        self.ploidy = PloidyTracker(len(reader.samples))
        self._counts = np.zeros((len(VARIANT_TYPES), haplotypes), dtype=np.int64)
        self._ignored: Counter[Ignored] = Counter()
        self._unphased: Counter[Unphased] = Counter()
        self._seen: Counter[str] = Counter()
        self._mismatches: list[str] = []

    def add(self, record: Record) -> None:
        """Apply the alleles of a record to the haplotypes that carry them."""
        self._seen["records"] += 1
        self.ploidy.add(record)
        missing = sum(text.count(".") * len(own) for text, own in record.genotypes.items())
        self._seen["missing"] += missing
        self._seen["missing_records"] += missing > 0
        if not record.genotypes:  # nobody carries it: no edit, no overlap
            return
        end = record.position + len(record.reference)
        if self._applies_deletions and DELETION in record.alternatives:
            end = max(end, record.end)
        inside = self._reference.overlaps(record.position, end)
        self._seen["inside" if inside else "outside"] += 1
        carried = list(self._read_genotypes(record))
        alternatives = [
            read_allele(text, apply_deletions=self._applies_deletions)
            for text in record.alternatives
        ]
        # A record of another assembly, or an error of the file: its positions mean nothing here.
        if inside and not self._reference.matches(record.position, record.reference):
            self._note_mismatch(record)
            alternatives = [Allele(None, Ignored.MISMATCH)] * len(alternatives)
        alleles = [Allele(record.reference), *alternatives]
        for sequence, haplotypes in self._place(carried, alleles).items():
            # Alleles of equal sequence are one variant: their carriers share one stored edit.
            chosen = np.sort(np.concatenate(haplotypes))
            # Records outside of a stored piece count, too: they may overlap the first one inside.
            edit, applied = self._overlaps.apply(
                record, sequence, chosen, self._reference.stop if inside else None
            )
            self._ignored[Ignored.OVERLAP] += len(chosen) - len(applied)
            if inside and len(applied):
                self._store(edit, applied)

    def _read_genotypes(
        self, record: Record
    ) -> Iterator[tuple[tuple[int | None, ...], bool, NDArray[np.int64]]]:
        where = f"{self._reader.path}: {self._reader.contig}:{record.position + 1}"
        for text, samples in record.genotypes.items():
            sample = self._reader.samples[samples[0]]
            try:
                alleles, phased = parse_genotype(text)
            except ValueError as error:
                raise InputError(
                    f"{where}, sample {sample}: {error}; only one and two can be read, leave the "
                    "sample out or mend the line."
                ) from None
            if max((a for a in alleles if a is not None), default=0) > len(record.alternatives):
                raise InputError(
                    f"{where}, sample {sample}: the genotype {text} names an allele that is not "
                    f"among the {len(record.alternatives)} of the record; mend the line."
                )
            if not phased and len(set(alleles)) > 1 and self._config.unphased == "refuse":
                raise InputError(
                    f"{where}, sample {sample}: the genotype {text} is not phased; give phased "
                    "genotypes or set the panel's `unphased: resolve`."
                )
            yield alleles, phased, samples

    def _place(
        self,
        carried: Sequence[tuple[tuple[int | None, ...], bool, NDArray[np.int64]]],
        alleles: Sequence[Allele],
    ) -> dict[str, list[NDArray[np.int64]]]:
        """Return {sequence in place of REF: haplotypes that carry it}."""
        sequences = [allele.sequence for allele in alleles]
        placed: dict[str, list[NDArray[np.int64]]] = {}
        for numbers, phased, samples in carried:
            for number in numbers:
                if number and alleles[number].ignored:
                    self._ignored[alleles[number].ignored] += len(samples)
            # Carriers of one genotype share the outcome: it is resolved once, not per sample.
            *both, unphased = resolve_genotype(numbers, phased, sequences)
            if unphased:
                self._unphased[unphased] += len(samples)
            for side, sequence in enumerate(both):
                if sequence is not None:
                    placed.setdefault(sequence, []).append(2 * samples + side)
        return placed

    def _store(self, edit: Edit, haplotypes: NDArray[np.int64]) -> None:
        # By what the edit does, anchor left out; anything but SNVs and pure indels is `others`.
        if (edit.length, len(edit.sequence)) == (1, 1):
            kind = 0
        elif edit.length and edit.sequence:
            kind = 3
        else:
            kind = 2 if edit.length else 1
        self._counts[kind, haplotypes] += 1
        self._writer.add(edit.position, edit.length, to_codes(edit.sequence), haplotypes)

    def _note_mismatch(self, record: Record) -> None:
        self._seen["mismatches"] += 1
        if len(self._mismatches) < MAX_LISTED:
            self._mismatches.append(f"{record.position + 1}:{record.reference[:20]}")
        self.check(final=False)

    def check(self, *, final: bool) -> None:
        """Raise InputError when REF differs from the genome too often to be the same assembly.

        At the end, `final`, also when there was no record at all.
        """
        if final and not self._seen["records"]:
            index = self._reader.index
            by = f", by its index {index}" if index else ""
            again = ", or delete the index to have it made again" if index else ""
            raise InputError(
                f"{self._reader.path} has no record of {self._reader.contig}{by}; correct the "
                f"panel's `path` or `url`, or take the contig out of its `contigs`{again}."
            )
        wrong, inside = self._seen["mismatches"], self._seen["inside"]
        # Early, so that a wrong file of 100 GB does not run to its end; by half, not by the limit,
        # because few records say little of a small share.
        if not final and (inside != FIRST_CHECK_RECORDS or 2 * wrong < inside):
            return
        if wrong > self._config.largest_mismatch * max(inside, 1):
            raise InputError(
                f"{self._reader.path}: REF differs from the genome in {wrong:,} of {inside:,} "
                f"records of {self._reader.contig} (the first at {', '.join(self._mismatches[:3])}"
                "); give the genome of the same assembly or raise the panel's `largest_mismatch`."
            )

    def samples(self) -> pd.DataFrame:
        """Return the number of variants by type, a row per haplotype that may be drawn."""
        ploidies = self.ploidy.ploidies().tolist()
        rows = [
            (name, side + 1, *self._counts[:, 2 * sample + side])
            for sample, name in enumerate(self._reader.samples)
            for side in range(ploidies[sample])
        ]
        return pd.DataFrame(rows, columns=["sample", "haplotype", *VARIANT_TYPES])

    def facts(self) -> dict[str, Any]:
        """Return the counts of records, variants and alleles for the manifest."""
        return {
            "haplotypes": int(self.ploidy.ploidies().sum()),
            "records": self._seen["records"],
            "carried_records": self._seen["inside"],
            "outside_records": self._seen["outside"],
            "variants": self._writer.variants,
            "alleles": self._writer.alleles,
            "ignored": {str(reason): count for reason, count in self._ignored.items() if count},
            "unphased": {str(kind): count for kind, count in self._unphased.items()},
            "missing": {
                "alleles": self._seen["missing"],
                "records": self._seen["missing_records"],
            },
            "haploid": self.ploidy.facts(self._reader.samples),
            "mismatches": self._mismatches,
        }
