"""Names, groups and published scores of a task's labels or targets, from a table of them."""

import math
from typing import Any

from dnalm.benchmark.tasks.label_cells import NUMBER_TEXT
from dnalm.benchmark.tasks.table_cells import read_cells
from dnalm.errors import InputError
from dnalm.genome.annotation import readable
from dnalm.suggestions import listing

OUTPUTS = "outputs"  # the key of the file among those that a table is made from
NAME, GROUP = "name", "group"  # columns
MISSING = ("", "NA", "N/A", "NaN", "nan", "None", "null", "NULL")  # of a group and a score
PUBLISHED = "published_"  # of columns; a metric of one output follows
REMEDY = "correct the file, or `outputs_file` of the task"


def describe_columns(path: str, classes: int, name: str) -> dict[str, Any]:
    """Return {names, groups, published_outputs} of a TSV with one row for each output.

    Its columns are name, group (may be missing) and `published_<metric>`; lines that begin with #
    are comments. `groups` and `published_outputs` are None where no column has them.

    Raises InputError for another number of rows, a missing or repeated name or column, text for a
    score, and as `read_cells` does.
    """
    with readable(path):
        rows = [[cell.strip() for cell in cells] for _, cells in read_cells(path, "\t", "#")]
    header, rows = (rows[0], rows[1:]) if rows else ([], [])
    wanted = [
        column for column in header if column in (NAME, GROUP) or column.startswith(PUBLISHED)
    ]
    if NAME not in wanted:
        raise InputError(
            f"{path} has no column {NAME}, its columns are {listing(map(repr, header))}: {REMEDY}."
        )
    if twice := next((column for column in wanted if header.count(column) > 1), None):
        raise InputError(f"{path} has two columns {twice}: rename one, or {REMEDY}.")
    if len(rows) != classes:
        raise InputError(
            f"{path} names {len(rows)} outputs, but task {name} has {classes}: {REMEDY}."
        )
    table = {column: [row[header.index(column)] for row in rows] for column in wanted}
    names = table.pop(NAME)
    for row, own in enumerate(names):
        if not own or own in names[:row]:
            raise InputError(
                f"{path}, row {row + 1}: the name {own!r} is missing or stands there twice; "
                f"{REMEDY}."
            )
    groups = table.pop(GROUP, None)
    return {
        "names": names,
        "groups": groups and ["" if group in MISSING else group for group in groups],
        "published_outputs": {
            column.removeprefix(PUBLISHED): [
                _read_score(text, f"{path}, row {row}", column)
                for row, text in enumerate(texts, start=1)
            ]
            for column, texts in table.items()
        }
        or None,
    }


def _read_score(text: str, place: str, column: str) -> float | None:
    if text in MISSING:
        return None
    try:
        score = float(text if NUMBER_TEXT.fullmatch(text) else "none")
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise InputError(f"{place}: the {column} {text!r} is no number; {REMEDY}.")
    return score
