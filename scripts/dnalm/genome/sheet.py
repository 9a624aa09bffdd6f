"""A sheet of genomes: one row each, for corpora of many species."""

import csv
import re
from pathlib import Path

from dnalm.errors import InputError

NAME = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
COLUMNS = ("name", "accession", "species", "group", "url", "path", "sha256", "md5")
DIGITS = {"sha256": 64, "md5": 32}


def read_sheet(path: str | Path) -> dict[str, dict[str, str]]:
    """Return {name: row} of a tab-separated sheet, in file order; empty cells are left out.

    Raises:
        InputError: the sheet is missing or empty, has an unknown column, a row with too many
            cells or without name or source, a name that cannot be part of a path, the same name
            twice, or a checksum that is none.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"The genome sheet {path} does not exist; make it, a tab-separated table with the"
            f" columns {', '.join(COLUMNS)}, of which name and one of url and path must be filled."
        )
    with open(path, newline="") as file:
        reader = csv.DictReader(file, delimiter="\t")
        if unknown := set(reader.fieldnames or ()) - set(COLUMNS):
            raise InputError(
                f"{path}: the column '{min(unknown)}' is unknown; known are {', '.join(COLUMNS)}."
            )
        rows = [
            (reader.line_num, {key: cell for key, cell in row.items() if cell}) for row in reader
        ]
    if not rows:
        raise InputError(f"{path}: the sheet has no rows; add one genome a line.")
    genomes: dict[str, dict[str, str]] = {}
    for line, row in rows:
        if None in row:
            raise InputError(
                f"{path}:{line}: the row has {len(row[None])} cells more than the "
                f"{len(reader.fieldnames)} columns; remove them or the tabs before them."
            )
        name = row.pop("name", "")
        if not re.fullmatch(NAME, name):
            raise InputError(
                f"{path}:{line}: the name '{name}' does not fit a path; use letters, digits, _-."
            )
        if ("url" in row) == ("path" in row):
            raise InputError(f"{path}:{line}: '{name}' needs either a url or a path; fill one.")
        if name in genomes:
            raise InputError(f"{path}:{line}: '{name}' is listed twice; rename or drop one.")
        for key, digits in DIGITS.items():
            if key in row and not re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", row[key]):
                raise InputError(
                    f"{path}:{line}: the {key} of '{name}' is '{row[key]}'; "
                    f"give its {digits} hexadecimal digits or leave the cell empty."
                )
        genomes[name] = row
    return genomes
