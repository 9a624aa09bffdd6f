"""Alternative alleles of VCF and BCF files and of tables, one row each, as a table.

Positions are 1-based, as in both. INFO fields are text, one value per allele.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.types import is_numeric_dtype

from dnalm.errors import InputError
from dnalm.files import check_separator, read_tsv
from dnalm.genome.annotation import open_text, readable
from dnalm.genome.names import decode
from dnalm.genome.vcf_lines import open_lines
from dnalm.suggestions import nearest

KEY = ["chrom", "pos", "ref", "alt"]
COLUMNS = ["record", "alt_index", *KEY, "id"]
SITE_COLUMNS = 8  # CHROM POS ID REF ALT QUAL FILTER INFO
MAX_POSITION = 2**31 - 1
POSITION = re.compile(r"[0-9]{1,10}")
INFO_LINE = re.compile(rb"##INFO=<(?:[^\"]*,)?ID=([^,>]+),(?:[^\"]*,)?Number=([^,>]+)")
PER_ALLELE, PER_ALLELE_AND_REFERENCE = "A", "R"
MISSING = "."
MISSING_TEXTS = ("na", "nan", "<na>", "null", "none")  # of contigs and alleles, which are none
FILE_KEYS = "the file that the entry of `variants` names"
READ_CHARACTERS = 1 << 20  # at a time
REMEDY = "it needs the columns chrom, pos, ref and alt, tab-separated"


class Neighbourhood:
    """The places at most `within` bases from one of some variants."""

    def __init__(self, variants: pd.DataFrame, within: int) -> None:
        self._within = within
        contigs = variants["chrom"].map(plain_contig)
        self._places = {
            contig: sorted(own) for contig, own in variants["pos"].groupby(contigs, sort=False)
        }

    def holds(self, chrom: str, pos: int) -> bool:
        """Return whether a place is one of them."""
        places = self._places.get(plain_contig(chrom))
        if not places:
            return False
        at = bisect_left(places, pos - self._within)
        return at < len(places) and places[at] <= pos + self._within


def plain_contig(name: str) -> str:
    """Return a contig's name without `chr`, the mitochondrion as MT: what names of it share."""
    short = name.removeprefix("chr")
    return "MT" if short == "M" else short


def read_alleles(
    path: str | Path, fields: Collection[str] = (), near: "Neighbourhood | None" = None
) -> pd.DataFrame:
    """Return a row per alternative allele of a VCF or BCF file, in file order, `fields` as text.

    With `near`, of the records there alone: of a file of all common variants memory holds few.

    A field that is given once for each alternative allele (Number=A or R) is that of the allele;
    any other is the same in all rows of a record. What is not there is the empty string. Records
    without an alternative allele give no row.

    Raises InputError for a file that is no VCF, a record that is cut, and a field that neither the
    header nor any record has.
    """
    path, fields = Path(path), list(dict.fromkeys(fields))
    numbers = read_numbers(path)
    columns: dict[str, list[Any]] = {name: [] for name in [*COLUMNS, *fields]}
    for record, (chrom, pos, name, ref, alts, info) in enumerate(_read_sites(path)):
        if near and not near.holds(chrom, pos):
            continue
        found = _split_info(info, fields)
        for index, alt in enumerate(alts):
            if alt == MISSING:
                continue
            row = (record, index, chrom, pos, ref, alt, name)
            for column, value in zip(COLUMNS, row, strict=True):
                columns[column].append(value)
            for field in fields:
                value = found.get(field, "")
                columns[field].append(_of_allele(value, numbers.get(field), index, len(alts)))
    table = pd.DataFrame(columns)
    for field in fields:
        if field not in numbers and not (table[field] != "").any():
            raise InputError(
                f"{path}: neither the header nor a record has the INFO field {field}"
                f"{nearest(field, sorted(numbers))}"
            )
    return table


def read_numbers(path: str | Path) -> dict[str, str]:
    """Return how many values each INFO field of the header has: `1`, `A`, `R`, `.` and so on."""
    lines = open_lines(Path(path), None, FILE_KEYS)
    lines.close()
    found = map(INFO_LINE.match, lines.header)
    return {decode(match[1]): decode(match[2]) for match in found if match}


def _read_sites(path: Path) -> Iterator[tuple[str, int, str, str, list[str], str]]:
    lines = open_lines(path, None, FILE_KEYS)
    for number, line in enumerate(lines.read(None), 1):
        # Genotypes behind the eighth column are not even split.
        cells = decode(line).split("\t", SITE_COLUMNS)
        if len(cells) < SITE_COLUMNS:
            raise InputError(
                f"{path}: record {number} has {len(cells)} columns instead of {SITE_COLUMNS} or "
                "more; the file is damaged, get it again."
            )
        chrom, pos, name, ref, alts, _, _, info = cells[:SITE_COLUMNS]
        if not POSITION.fullmatch(pos) or int(pos) > MAX_POSITION:
            raise InputError(f"{path}: record {number} has the position '{pos}'; mend the file.")
        yield (
            chrom,
            int(pos),
            name,
            ref.upper(),
            [alt.upper() for alt in alts.split(",")],
            info,
        )


def _split_info(info: str, fields: Collection[str]) -> dict[str, str]:
    if not fields:
        return {}
    pairs = (part.partition("=") for part in info.split(";"))
    return {key: value for key, _, value in pairs if key in fields}


def _of_allele(value: str, number: str | None, index: int, alleles: int) -> str:
    """Return the value of one alternative allele, `.` and what is not there as the empty string."""
    if number in (PER_ALLELE, PER_ALLELE_AND_REFERENCE):
        parts = value.split(",")
        skipped = 1 if number == PER_ALLELE_AND_REFERENCE else 0
        value = parts[index + skipped] if len(parts) == alleles + skipped else ""
    return "" if value == MISSING else value


def read_variant_table(path: str | Path, columns: Collection[str] = ()) -> pd.DataFrame:
    """Return the rows of a TSV or Parquet file with chrom, pos, ref and alt, and `columns`.

    All columns are kept; `pos` is 1-based. Raises InputError for one that is missing, a position
    that is no whole number and an allele that is missing.
    """
    path = Path(path)
    wanted = [*KEY, *(column for column in columns if column not in KEY)]
    if path.suffix == ".parquet":
        table = _read_parquet(path, wanted)
    else:
        _check_header(path, wanted)
        with open_text(path) as file:
            table = read_tsv(
                path,
                remedy=REMEDY,
                file=file,
                dtype={"chrom": "object", "ref": "object"} | {"alt": "object"},
                keep_default_na=False,
                na_values=[""],
            )
    check_separator(path, list(map(str, table.columns)), "tabs", ";,")
    for column in wanted:
        if column not in table:
            raise InputError(
                f"{path}: the column {column} is missing{nearest(column, map(str, table.columns))}"
            )
    return _clean(table, path)


def _check_header(path: Path, wanted: Collection[str]) -> None:
    """Raise InputError where one of the columns comes twice, or the file cannot be read.

    All of it is read, so that damaged gzip data are named as those of every other file.
    """
    with readable(path), open_text(path) as file:
        header = file.readline().rstrip("\r\n").split("\t")
        while file.read(READ_CHARACTERS):
            pass
    if twice := [column for column in wanted if header.count(column) > 1]:
        raise InputError(f"{path}: the column {twice[0]} is there twice; rename or remove one.")


def _read_parquet(path: Path, wanted: Collection[str]) -> pd.DataFrame:
    try:
        stored = pq.read_table(path)
        nested = [field for field in stored.schema if pa.types.is_nested(field.type)]
        if nested := [field.name for field in nested if field.name in wanted]:
            raise InputError(
                f"{path}: the column {nested[0]} holds lists or structures; give a row for each"
                " variant, with one value in each cell."
            )
        for number, name in enumerate(stored.column_names):
            stored = stored.set_column(number, name, _decode_column(stored.column(number)))
        # As it is stored: pandas would make an index of what was one.
        return stored.to_pandas(ignore_metadata=True, integer_object_nulls=True)
    except InputError:  # which is a ValueError
        raise
    except (OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: this is no Parquet file that can be read ({reason}).") from None


def _decode_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of values, not of their numbers in a dictionary, and bytes as text."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    is_bytes = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    return column.cast(pa.large_string()) if is_bytes else column


def _clean(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    numbers = pd.to_numeric(table["pos"], errors="coerce")
    if table["pos"].dtype.kind not in "iufO":  # True and times are numbers to pandas
        numbers = pd.Series(np.nan, index=table.index)
    wrong = ~((numbers >= 1) & (numbers <= MAX_POSITION) & (numbers == np.floor(numbers)))
    text = {name: _to_texts(table[name]) for name in ("chrom", "ref", "alt")}
    missing = pd.concat([own == "" for own in text.values()], axis=1).any(axis=1)
    several = text["alt"].str.contains(",", regex=False).astype(bool)
    merged = text["chrom"].str.contains(r"[\t\r\n]")
    for name in table:
        if not is_numeric_dtype(table[name]):
            cells = table[name].astype(str).fillna("")
            merged |= cells.str.contains("\t", regex=False) & cells.str.contains(r"[\r\n]")
    for mask, what in (
        (wrong, "no position"),
        (missing, "no chrom, ref or alt"),
        (merged, "a quotation mark that swallows other rows"),
        (several, "several alternatives, of which each has to have a row"),
    ):
        if mask.any():
            row = int(np.flatnonzero(mask)[0]) + 1
            raise InputError(f"{path}: row {row} has {what}; correct or remove it.")
    return table.assign(
        chrom=text["chrom"],
        pos=numbers.astype(np.int64),
        ref=text["ref"].str.upper(),
        alt=text["alt"].str.upper(),
    )


def _to_texts(column: pd.Series) -> pd.Series:
    codes, values = pd.factorize(column, use_na_sentinel=False)  # few differ of many
    texts = np.array([*map(_to_text, values), ""], dtype=object)
    return pd.Series(texts[codes], index=column.index, dtype=object)


def _to_text(value: Any) -> str:
    """Return the text of a cell, "" of a missing one; 1 of 1.0, as a gap makes it of contigs."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return decode(value).strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip()
    return "" if text.lower() in MISSING_TEXTS else text


def key_of(table: pd.DataFrame) -> pd.MultiIndex:
    """Return what identifies each variant: contig without `chr`, position, both alleles."""
    contigs = table["chrom"].map({name: plain_contig(name) for name in table["chrom"].unique()})
    return pd.MultiIndex.from_arrays(
        [
            contigs.astype(object),
            table["pos"].to_numpy(),
            *(table[c].astype(object) for c in KEY[2:]),
        ]
    )


def find_rows(table: pd.DataFrame, wanted: pd.DataFrame) -> np.ndarray:
    """Return for each row of `wanted` the first row of `table` of the same variant, -1 for none."""
    keys = key_of(table)
    first = ~keys.duplicated()
    rows = np.flatnonzero(first)
    found = keys[first].get_indexer(key_of(wanted))
    return np.where(found >= 0, rows[np.maximum(found, 0)], -1) if len(rows) else found


def to_numbers(values: Sequence[str] | pd.Series, what: str) -> np.ndarray:
    """Return texts as float64, empty ones as nan; raise InputError, which names `what`, for others.

    Of several values, as `0.1,0.3`, it takes none: which is meant nobody knows.
    """
    text = pd.Series(values, dtype="object")
    numbers = pd.to_numeric(text.replace("", np.nan), errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.isnan(numbers) & (text != "").to_numpy() & text.notna().to_numpy()
    if wrong.any():
        found = text[wrong].iloc[0]
        raise InputError(f"{what}: '{found}' is no number; name a field of numbers.")
    return numbers
