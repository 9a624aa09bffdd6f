"""Genome sheets: tables or URL lists of genomes, one row each, for corpora of many species.

It is a table with a header, its cells apart by tabs or commas, or a plain list of URLs, one a line,
as the authors publish theirs (`urls.txt` of the data set InstaDeepAI/multi_species_genomes).
"""

import csv
import hashlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dnalm.errors import InputError
from dnalm.files import check_separator, refuse_stream
from dnalm.suggestions import listing, nearest_first

NAME = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
COLUMNS = ("name", "accession", "species", "group", "url", "path", "sha256", "md5")
CHECKSUM_DIGITS = {"sha256": 64, "md5": 32}
URL_PATTERN = r"(?:https?|ftp)://[^\s/]+/\S+"
ACCESSION_PATTERN = r"GC[AF]_\d{9}\.\d+"
FASTA_ENDINGS = r"(?:_genomic)?\.(?:fna|fasta|fa)(?:\.b?gz)?$"
URL_HASH_DIGITS = 8
MAX_NAME = 200  # letters; a name in a file system has at most 255 bytes
MAX_SHOWN = 200  # letters of a cell that an error message spells out


def read_sheet(path: str | Path) -> dict[str, dict[str, str]]:
    """Return {name: row} of a genome sheet, in file order; empty cells are left out.

    Blank lines and lines that begin with # are skipped. Column names may be capital, `urls` is
    `url`, and a column without a name (an index) is skipped. A row without a name takes it from
    its URL: `…/GCF_000001405.40_GRCh38.p14_genomic.fna.gz` has name and accession
    GCF_000001405.40, any other file is called as it is without its ending.

    Raises:
        InputError: the sheet is missing or empty, has an unknown column, a row with too many
            cells, without source or with a source that is no URL, a name that cannot be part of a
            path, the same name or file twice, or a checksum that is none.
    """
    path = Path(path)
    genomes: dict[str, dict[str, str]] = {}
    files: dict[str, int] = {}
    for line, row in _rows(path):
        place = f"{path}:{line}"
        source = row.get("url")
        if source and not _is_address(source):
            raise InputError(
                f"{place}: '{source[:MAX_SHOWN]}' is not an address of a file; give http(s):// or"
                " ftp://host/path, or a table with the column path for files that are here."
            )
        if source and "name" not in row:
            if (first := files.setdefault(source.split("://")[1], line)) != line:
                raise InputError(f"{place}: {source} is listed in line {first} too; drop one.")
            row = _describe(source, taken=genomes) | row
        name = row.pop("name", "")
        _check(place, name, row)
        if name in genomes:
            raise InputError(f"{place}: '{name}' is listed twice; rename or drop one.")
        genomes[name] = row
    return genomes


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return (line number, filled cells by column) of every row of a table or list."""
    try:
        refuse_stream(path)
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"The genome sheet {path} does not exist; make it, a list of URLs or a table with the"
            f" columns {', '.join(COLUMNS)} of which one of url and path must be filled, or draw"
            " one with `snakemake species_sheet`, before an overlay names it."
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: the sheet is not text in UTF-8; give a table or a list."
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: the sheet cannot be read ({error.strerror}); give a file with a table or a "
            "list."
        ) from None
    if "\0" in text:
        raise InputError(f"{path}: the sheet is not text; give a table or a list.")
    lines = [
        (number, line)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip() and not line.startswith("#")
    ]
    if lines and re.match(r'\s*"?[a-z]+://', lines[0][1]):
        lines.insert(0, (0, "url"))  # a list has no header
    delimiter = "\t" if lines and "\t" in lines[0][1] else ","
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # it stops at 131,072 unasked
    rows = _by_column(
        path, [(number, _split(path, number, line, delimiter)) for number, line in lines]
    )
    if not rows:
        raise InputError(f"{path}: the sheet has no rows; add one genome a line.")
    return rows


def _split(path: Path, number: int, line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter))
    except csv.Error as error:
        raise InputError(
            f"{path}:{number}: the line cannot be split into cells ({error}); mend it."
        ) from None


def _is_address(source: str) -> bool:
    """Return whether a text is a URL; brackets around no IPv6 address and odd ports are not."""
    try:
        parts = urlsplit(source)
        return bool(re.fullmatch(URL_PATTERN, source) and parts.hostname and parts.port != 0)
    except ValueError:
        return False


def _by_column(path: Path, lines: list[tuple[int, list[str]]]) -> list[tuple[int, dict[str, str]]]:
    header: list[str] = []
    check_separator(path, lines[0][1] if lines else [])
    for cell in lines[0][1] if lines else []:
        place = f"{path}:{lines[0][0]}"
        column = {"urls": "url"}.get(cell.strip().lower(), cell.strip().lower())
        if column and column not in COLUMNS:
            raise InputError(
                f"{place}: the column '{cell[:MAX_SHOWN]}' is unknown; known are"
                f" {listing(nearest_first(column, COLUMNS))}; a list without a header begins with a"
                " URL."
            )
        if column and column in header:
            raise InputError(f"{place}: the column '{column}' is there twice; remove one.")
        header.append(column)
    rows = []
    for number, cells in lines[1:]:
        while cells and not cells[-1].strip():
            cells.pop()
        if len(cells) > len(header):
            raise InputError(
                f"{path}:{number}: the row has {len(cells) - len(header)} cells more than the "
                f"{len(header)} columns; remove them or what separates them."
            )
        filled = zip(header, map(str.strip, cells), strict=False)
        rows.append((number, {column: cell for column, cell in filled if column and cell}))
    return rows


def _describe(url: str, taken: dict[str, dict[str, str]]) -> dict[str, str]:
    """Return the name of the file of a URL, and its accession if it is one of NCBI's."""
    file = unquote(urlsplit(url).path).rstrip("/").rsplit("/", 1)[-1]
    if accession := re.match(ACCESSION_PATTERN, file):
        return {"name": accession[0], "accession": accession[0]}
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", re.sub(FASTA_ENDINGS, "", file))
    name = re.sub(r"\.{2,}", ".", name).strip("._") or "genome"
    if name in taken:  # by the URL, not by a count: the name stays when other rows come or go
        name = f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:URL_HASH_DIGITS]}"
    return {"name": name}


def _check(place: str, name: str, row: dict[str, str]) -> None:
    if not re.fullmatch(NAME, name):
        raise InputError(
            f"{place}: the name '{name[:MAX_SHOWN]}' does not fit a path; use letters, digits, _-."
        )
    if len(name) > MAX_NAME:
        raise InputError(
            f"{place}: the name '{name[:MAX_SHOWN]}…' has {len(name)} letters; give one of at most"
            f" {MAX_NAME} in the column name."
        )
    if ("url" in row) == ("path" in row):
        raise InputError(f"{place}: '{name}' needs either a url or a path; fill one.")
    for key, digits in CHECKSUM_DIGITS.items():
        if key in row and not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", row[key]):
            raise InputError(
                f"{place}: the {key} of '{name}' is '{row[key][:MAX_SHOWN]}'; "
                f"give its {digits} hexadecimal digits or leave the cell empty."
            )
