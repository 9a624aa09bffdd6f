"""A first look at all records, before a model is loaded: what can be scored, in parts on disk.

It finds a file of another assembly before the hours of work, and how many windows there are.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.errors import InputError
from dnalm.genome.names import decode
from dnalm.jobs.partial import Format, Partial
from dnalm.jobs.progress import Progress
from dnalm.suggestions import listing
from dnalm.variants.alleles import Allele
from dnalm.variants.assemblies import recognise, recognise_header
from dnalm.variants.readings import Plan, collect_windows, count_passes
from dnalm.variants.records import (
    ContigNames,
    Row,
    find_reason,
    open_variants,
    read_records,
    would_match,
)
from dnalm.variants.score_table import REASONS, SKIP
from dnalm.variants.windows import Windows

COLUMNS = pa.schema(
    {
        "record": pa.int64(),
        "alt_index": pa.int32(),
        "chrom": pa.string(),
        "pos": pa.int64(),
        "id": pa.string(),
        "ref": pa.string(),
        "alt": pa.string(),
        SKIP: pa.string(),
    }
)
CONTIG = "contig"  # of the genome, in parts alone
PARQUET = Format(
    suffix=".parquet",
    write=lambda path, table: pq.write_table(table, path),
    read=pq.read_table,
    torn=(OSError, pa.ArrowException),
)

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Scan:
    """Counts of a file: records, alleles, those that can be scored, windows to read, parts.

    `reasons` counts alleles without scores; `snvs` those of one base for another on contigs of the
    genome, of which `mismatches` have another REF; `repeated` are records that repeat the one
    before.
    """

    records: int
    alleles: int
    scored: int
    passes: int
    parts: int
    snvs: int
    mismatches: int
    repeated: int
    reasons: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file of variants, and how it is read."""

    path: str
    contig_names: str | Mapping[str, str]
    largest_mismatch: float
    tbi: bool
    part_records: int
    genome: str


def name_part(number: int) -> str:
    """Return the name under which a part is kept."""
    return f"{number:08d}"


def scan(source: Source, windows: Windows, plan: Plan, kept: Partial) -> Scan:
    """Return the counts of all records, and keep their alleles in parts of `part_records`.

    A part is in memory at a time. Raises InputError for what `read_records` refuses, a file of
    which no contig is in the genome, and one in which more SNVs than `largest_mismatch` have
    another REF than the genome.
    """
    lines = open_variants(source.path)
    names = ContigNames(source.contig_names, windows)
    found = Scan(
        records=0, alleles=0, scored=0, passes=0, parts=0, snvs=0, mismatches=0, repeated=0,
        reasons={},
    )  # fmt: skip
    reasons: Counter[str] = Counter()
    contigs: dict[str, bool] = {}
    before: list[tuple] = []
    with Progress(f"read {source.path}", "records") as progress:
        for part in _cut(read_records(source.path, lines, tbi=source.tbi), source.part_records):
            rows: list[Row] = []
            for alleles in part:
                now = [
                    (one.contig, one.position, one.reference, one.alternative) for one in alleles
                ]
                found.repeated += now == before
                before = now
                rows += alleles
            placed = [names.find(row.contig) for row in rows]
            why = [
                find_reason(row, contig, windows) for row, contig in zip(rows, placed, strict=True)
            ]
            for row, contig, reason in zip(rows, placed, why, strict=True):
                contigs.setdefault(row.contig, windows.has_contig(contig))
                is_snv = _is_snv(row) and reason not in ("contig_missing", "not_dna", "no_change")
                found.snvs += is_snv
                found.mismatches += is_snv and reason == "ref_mismatch"
            readable = {
                number: row.to_allele(contig)
                for number, (row, contig) in enumerate(zip(rows, placed, strict=True))
                if why[number] is None
            }
            found.passes += count_passes(collect_windows(windows, readable, plan), plan)
            why = [reason or _limit(readable[number], plan) for number, reason in enumerate(why)]
            reasons.update(filter(None, why))
            found.records += len(part)
            found.alleles += len(rows)
            found.scored += len(readable)
            kept.write(name_part(found.parts), _to_table(rows, placed, why))
            found.parts += 1
            progress.advance(len(part))
    found.reasons = dict(sorted(reasons.items()))
    _refuse_contigs(source, windows, contigs)
    _refuse_assembly(source, windows, found, [decode(line) for line in lines.header])
    return found


def _cut(records: Iterator[list[Row]], size: int) -> Iterator[list[list[Row]]]:
    part: list[list[Row]] = []
    for record in records:
        part.append(record)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _is_snv(row: Row) -> bool:
    return (
        len(row.reference) == 1 and len(row.alternative or "") == 1 and row.alternative not in ".*"
    )


def _limit(allele: Allele, plan: Plan) -> str | None:
    """Return the reason of an allele that has not all scores: it is an indel."""
    return None if plan.scores_of(allele.kind) == set(plan.scores) else allele.kind


def _to_table(rows: Sequence[Row], placed: Sequence[str], why: Sequence[str | None]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "record": [row.record for row in rows],
        "alt_index": [row.number for row in rows],
        "chrom": [row.contig for row in rows],
        "pos": [row.position for row in rows],
        "id": [row.id for row in rows],
        "ref": [row.reference for row in rows],
        "alt": [row.alternative for row in rows],
        SKIP: list(why),
    }
    arrays = [pa.array(columns[field.name], type=field.type) for field in COLUMNS]
    table = pa.Table.from_arrays(arrays, schema=COLUMNS)
    return table.append_column(CONTIG, pa.array(placed, type=pa.string()))


def read_alleles(table: pa.Table) -> dict[int, Allele]:
    """Return the alleles of a part that can be scored, {row: allele}."""
    return {
        number: Allele(
            contig=row[CONTIG],
            start=row["pos"] - 1,
            reference=row["ref"].upper(),
            alternative=row["alt"].upper(),
        )
        for number, row in enumerate(table.to_pylist())
        if row[SKIP] in (None, "indel")
    }


def _refuse_contigs(source: Source, windows: Windows, contigs: Mapping[str, bool]) -> None:
    if not contigs or any(contigs.values()):
        return
    there = listing(windows.genome.contigs["contig"])
    remedy = "give the genome that it is of, or `contig_names: {name there: name here}`"
    if any(would_match(name, windows) for name in contigs):
        remedy = "set `contig_names: prefix` of the variants, which adds or drops chr"
    raise InputError(
        f"{source.path}: its contigs are {listing(contigs)}, of which the genome {source.genome}"
        f" has none, but {there}; {remedy}."
    )


def _refuse_assembly(source: Source, windows: Windows, found: Scan, header: Sequence[str]) -> None:
    if found.mismatches <= source.largest_mismatch * found.snvs:
        return
    likely = recognise_header(header)
    rows = windows.genome.contigs
    whole = rows[rows["start"] == 0]
    ours = recognise(dict(zip(whole["contig"], whole["length"].astype(int), strict=True)))
    said = f"; by its header it is of {likely}" if likely else ""
    here = f", which has the contigs of {ours}" if ours else ""
    raise InputError(
        f"{source.path}: {found.mismatches} of {found.snvs} SNVs have another REF than the genome"
        f" {source.genome}{here}{said}: it is of another assembly, give the genome of that one, or"
        " raise `largest_mismatch` of the variants."
    )


def report(found: Scan, source: Source) -> None:
    """Log the counts, and a warning of what has no scores."""
    log.info(
        "%s: %d records, %d alleles, %d of them can be scored in %d windows",
        *(source.path, found.records, found.alleles, found.scored, found.passes),
    )
    for reason, count in found.reasons.items():
        log.warning("%s: %d alleles %s: %s", source.path, count, reason, REASONS[reason])
    if found.repeated:
        log.warning("%s: %d records repeat the one before", source.path, found.repeated)


def facts_of(found: Scan) -> dict[str, Any]:
    """Return the counts as they are kept."""
    return asdict(found)
