"""Names, groups and published scores of a task's labels or targets, from a table of them."""

import math
from typing import Any

from dnalm.errors import InputError
from dnalm.files import read_tsv

OUTPUTS = "outputs"  # the key of the file among those that a table is made from
PUBLISHED = "published_"  # of columns; a metric of one output follows
REMEDY = "correct the file, or `outputs_file` of the task"


def describe_columns(path: str, classes: int, name: str) -> dict[str, Any]:
    """Return {names, groups, published_outputs} of a TSV with one row for each output.

    Its columns are name, group (may be missing) and `published_<metric>`; lines that begin with #
    are comments. `groups` and `published_outputs` are None where no column has them.

    Raises InputError for another number of rows, a missing or repeated name, and text for a score.
    """
    table = read_tsv(path, ["name"], comment="#", remedy=REMEDY, dtype={"name": str, "group": str})
    if len(table) != classes:
        raise InputError(
            f"{path} names {len(table)} outputs, but task {name} has {classes}: {REMEDY}."
        )
    if table["name"].isna().any() or table["name"].duplicated().any():
        row = table["name"].isna().to_numpy() | table["name"].duplicated().to_numpy()
        raise InputError(
            f"{path}, row {int(row.argmax()) + 1}: the name {table['name'][row.argmax()]!r} is "
            f"missing or stands there twice; {REMEDY}."
        )
    columns = [column for column in table if column.startswith(PUBLISHED)]
    published = read_tsv(path, numbers=columns, comment="#", remedy=REMEDY)[columns]
    return {
        "names": table["name"].tolist(),
        "groups": table["group"].fillna("").tolist() if "group" in table else None,
        "published_outputs": {
            column.removeprefix(PUBLISHED): [
                None if math.isnan(value) else value for value in published[column].tolist()
            ]
            for column in columns
        }
        or None,
    }
