"""A sheet of genomes: one row each, for corpora of many species."""

import csv
import re
from pathlib import Path

from dnalm.errors import InputError

NAME = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
COLUMNS = ("name", "accession", "species", "group", "url", "path", "sha256", "md5")


def read_sheet(path: str | Path) -> dict[str, dict[str, str]]:
    """Return {name: row} of a tab-separated sheet, in file order; empty cells are left out.

    Raises:
        InputError: the sheet is missing or empty, has an unknown column, a row without name or
            source, a name that cannot be part of a path, or the same name twice.
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
        rows = [{key: cell for key, cell in row.items() if cell} for row in reader]
    if not rows:
        raise InputError(f"{path}: the sheet has no rows; add one genome a line.")
    genomes: dict[str, dict[str, str]] = {}
    for line, row in enumerate(rows, 2):
        name = row.pop("name", "")
        if not re.fullmatch(NAME, name):
            raise InputError(
                f"{path}:{line}: the name '{name}' does not fit a path; use letters, digits, _-."
            )
        if ("url" in row) == ("path" in row):
            raise InputError(f"{path}:{line}: '{name}' needs either a url or a path; fill one.")
        if name in genomes:
            raise InputError(f"{path}:{line}: '{name}' is listed twice; rename or drop one.")
        genomes[name] = row
    return genomes
