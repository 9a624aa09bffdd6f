"""Tables of saturation mutagenesis: measured effects of single bases, placed on a genome.

A row has a position from 1, the base there, another base, and what was measured of it. Positions
are of a contig, or count from the first base of an interval in its reading direction; the bases are
then those of the interval's strand.
"""

import csv
import io
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.tasks.label_cells import NUMBER_TEXT
from dnalm.benchmark.tasks.table_cells import swallows_rows
from dnalm.errors import InputError
from dnalm.files import check_separator
from dnalm.genome.annotation import COORDINATE, open_text, readable
from dnalm.suggestions import nearest
from dnalm.variants.alleles import Allele
from dnalm.variants.windows import Windows

COLUMNS = ("position", "ref", "alt", "effect")
CONTIG = "contig"
COMPLEMENT = dict(zip("ACGT", "TGCA", strict=True))
NOTHING = ("", "NA", "NaN", "nan", ".")  # no effect was measured

log = logging.getLogger(__name__)


def read_assay(path: str | Path, settings: Mapping[str, Any], windows: Windows) -> pd.DataFrame:
    """Return row, contig, position, ref, alt and effect of the measured variants of a table.

    `position` is from 1 on the contig; ref and alt are of its forward strand. `settings` has the
    names of `columns`, and `interval` (contig, start, end, strand; both ends belong to it) or None.
    `windows` knows the genome. Raises InputError that names the row for whatever cannot be read,
    and for a REF that the genome does not have there.
    """
    key = f"assays.{settings['assay']}"
    names, interval = settings["columns"], settings["interval"]
    wanted = [*COLUMNS, *([] if interval else [CONTIG])]
    header, lines = _read_rows(path)
    for name in wanted:
        if names[name] not in header:
            raise InputError(
                f"{path}: there is no column {names[name]}{nearest(names[name], header)}; name it"
                f" in {key}.columns.{name}" + (" or give `interval`." if name == CONTIG else ".")
            )
        if header.count(names[name]) > 1:
            raise InputError(
                f"{path}: there are two columns {names[name]}; rename or remove one of them."
            )
    places = {name: header.index(names[name]) for name in wanted}
    rows, unmeasured = [], 0
    for number, cells in lines:
        cell = {name: cells[place].strip() for name, place in places.items()}
        if cell["effect"] in NOTHING:
            unmeasured += 1
            continue
        contig, position, ref, alt = _place(path, number, cell, interval, key)
        allele = Allele(contig=contig, start=position - 1, reference=ref, alternative=alt)
        if reason := windows.find_mismatch(allele):
            raise _refuse(path, number, cell, allele, reason, windows, key)
        rows.append((number, contig, position, ref, alt, _effect(path, number, cell["effect"])))
    if unmeasured:
        log.warning("%s: %d rows have no effect and are left out", path, unmeasured)
    if not rows:
        raise InputError(f"{path}: no row has an effect; give the table of measured variants.")
    found = pd.DataFrame(rows, columns=["row", CONTIG, "position", "ref", "alt", "effect"])
    repeated = int(found.duplicated([CONTIG, "position", "ref", "alt"]).sum())
    if repeated:
        log.warning("%s: %d rows repeat a variant; each counts", path, repeated)
    return found


def _read_rows(path: str | Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and line number and cells of each row, apart by tabs or by commas."""
    with readable(path), open_text(path) as file:
        text = file.read()
    if "\0" in text:
        raise InputError(f"{path}: it holds a NUL character, which no text does; get it again.")
    first = next(filter(str.strip, text.splitlines()), None)
    if first is None:
        raise InputError(f"{path} is empty; give a table with a header.")
    csv.field_size_limit(sys.maxsize)
    separator = "\t" if "\t" in first else ","
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator, strict=True)
    try:
        found = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: {error}; a quotation mark is not closed, or stands "
            "within a cell."
        ) from None
    for number, row in found:
        if swallows_rows(row, separator):
            raise InputError(
                f"{path}, line {number}: a quotation mark swallows the rows before it; remove it, "
                "or close it on its own line."
            )
    (_, header), *numbered = found
    header = [name.strip() for name in header]
    check_separator(path, header)
    for number, row in numbered:
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {number}: {len(row)} cells, but the header has {len(header)}; mend"
                " the line."
            )
    return header, numbered


def _place(
    path: str | Path,
    number: int,
    cell: Mapping[str, str],
    interval: Mapping[str, Any] | None,
    key: str,
) -> tuple[str, int, str, str]:
    """Return contig, position from 1, ref and alt on the forward strand."""
    ref, alt = cell["ref"].upper(), cell["alt"].upper()
    if ref not in COMPLEMENT or alt not in COMPLEMENT or ref == alt:
        raise InputError(
            f"{path}, line {number}: {cell['ref']!r:.20} to {cell['alt']!r:.20} is not one base of"
            " A, C, G, T for another; leave the row out."
        )
    if not COORDINATE.fullmatch(cell["position"]) or int(cell["position"]) < 1:
        raise InputError(
            f"{path}, line {number}: the position {cell['position']!r:.20} is no number from 1 on;"
            " mend the line."
        )
    position = int(cell["position"])
    if interval is None:
        return cell[CONTIG], position, ref, alt
    length = interval["end"] - interval["start"] + 1
    if position > length:
        raise InputError(
            f"{path}, line {number}: position {position} lies behind the {length} bases of"
            f" {key}.interval; correct either."
        )
    if interval["strand"] == "+":
        return interval["contig"], interval["start"] + position - 1, ref, alt
    return interval["contig"], interval["end"] - position + 1, COMPLEMENT[ref], COMPLEMENT[alt]


def _effect(path: str | Path, number: int, text: str) -> float:
    try:
        value = float(text if NUMBER_TEXT.fullmatch(text) else "none")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(
            f"{path}, line {number}: the effect {text!r:.20} is no number; mend it or leave it"
            " empty."
        )
    return value


def _refuse(
    path: str | Path,
    number: int,
    cell: Mapping[str, str],
    allele: Allele,
    reason: str,
    windows: Windows,
    key: str,
) -> InputError:
    where = f"{allele.contig}:{allele.start + 1}"
    if reason == "ref_mismatch":
        there = windows.genome.read_absolute(allele.contig, allele.start, allele.start + 1)
        found = "ATCGN"[int(there[0])]
        strand = " on the forward strand" if allele.reference != cell["ref"].upper() else ""
        return InputError(
            f"{path}, line {number}: REF is {allele.reference}{strand} at {where}, but the genome"
            f" has {found} there; give the genome that the table is of, or correct {key}.interval."
        )
    what = "contig is not in" if reason == "contig_missing" else "position lies outside of"
    return InputError(
        f"{path}, line {number}: the {what} the genome ({where}); correct the row or {key}."
    )


def list_alleles(table: pd.DataFrame) -> list[Allele]:
    """Return the alleles of the rows of `read_assay`."""
    columns: Sequence[str] = (CONTIG, "position", "ref", "alt")
    return [
        Allele(contig=contig, start=position - 1, reference=ref, alternative=alt)
        for contig, position, ref, alt in table[list(columns)].itertuples(index=False)
    ]
