"""Tables of samples and their populations, as panels of genomes publish them."""

import csv
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from dnalm.download.compression import FOREIGN_BYTES, name_foreign, open_binary
from dnalm.errors import InputError
from dnalm.files import check_separator
from dnalm.genome.vcf_lines import decode

COLUMNS = ["sample", "population", "superpopulation"]
# Names of columns in published sample tables, letters and digits in lower case.
COLUMN_SYNONYMS = {
    "sample": ("sample", "sampleid", "samplename", "individualid", "individual", "iid"),
    "population": ("population", "pop", "populationcode"),
    "superpopulation": ("superpopulation", "superpop", "superpopulationcode"),
}
CSV_CELL_CHARACTERS = 1 << 24  # longer than any; the csv module stops at 131,072 unasked

log = logging.getLogger(__name__)


def read_populations(path: str | Path, samples: Collection[str]) -> pd.DataFrame:
    """Return sample, population and superpopulation of a table with a header.

    Its cells are apart by tabs where the header has one, else by commas, else by blanks; empty
    where the table does not say. `samples` are the panel's: the column of samples is known by its
    name and by holding some of them.

    Raises InputError for a file that is no table, a row with other cells than the header, no or
    more than one column that fits, and a sample in two populations.
    """
    header, rows = _read_rows(path)
    plain = ["".join(filter(str.isalnum, name)).lower() for name in header]
    known = set(samples)
    found = {}
    for column, names in COLUMN_SYNONYMS.items():
        fitting = [at for at, name in enumerate(plain) if name in names]
        if column == "sample":
            if not fitting:
                raise InputError(
                    f"{path}: no column is called {', '.join(names)} or the like, it has "
                    f"{', '.join(header)[:200]}; name the one with the samples so."
                )
            named = fitting
            fitting = [at for at in named if any(row[at] in known for row in rows)]
            if rows and known and not fitting:
                raise InputError(
                    f"{path}: none of the panel's samples ({next(iter(samples))}, …) is in the "
                    f"column {' or '.join(header[at] for at in named)} ({rows[0][named[0]]!r}, …); "
                    "give the table of this panel, or call the right column sample."
                )
        found[column] = _only(path, header, rows, fitting)
    chosen = pd.DataFrame(
        {
            column: [row[at] if at is not None else "" for row in rows]
            for column, at in found.items()
        },
        dtype=object,
    )
    chosen = chosen[chosen["sample"] != ""].drop_duplicates()
    if chosen["sample"].duplicated().any():
        twice = chosen.loc[chosen["sample"].duplicated(), "sample"].iloc[0]
        raise InputError(
            f"{path}: sample {twice} stands in two rows of different populations; remove one."
        )
    if nameless := len(known - set(chosen["sample"])):
        log.warning("%s: %d of %d samples are not in the table.", path, nameless, len(known))
    return chosen.reset_index(drop=True)


def _only(
    path: str | Path, header: Sequence[str], rows: Sequence[Sequence[str]], fitting: Sequence[int]
) -> int | None:
    """Return the one column that fits, None where there is none."""
    contents = {tuple(row[at] for row in rows) for at in fitting}
    if len(contents) > 1:
        raise InputError(
            f"{path}: the columns {' and '.join(header[at] for at in fitting)} may be meant alike, "
            "but differ; remove or rename all but one."
        )
    return fitting[0] if fitting else None


def _read_rows(path: str | Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows, each as long as the header, cells without blanks around."""
    try:
        with open_binary(path) as file:
            if foreign := name_foreign(file.peek(FOREIGN_BYTES)):
                raise InputError(f"{path}: this is {foreign[0]}, no table; {foreign[1]}.")
            text = decode(file.read())
    except OSError as error:
        raise InputError(
            f"{path}: the populations cannot be read ({error.strerror}); correct the panel's "
            "`populations`."
        ) from None
    lines = [
        (number, line)
        for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1)
        if line.strip() and not line.startswith("##")
    ]
    if not lines or "\0" in text:
        raise InputError(
            f"{path}: this is no table of populations; give one with a header, separated by tabs."
        )
    first = lines[0][1]
    separator = "\t" if "\t" in first else "," if "," in first else None
    header = _split(first, separator)
    check_separator(path, header)
    rows = []
    for number, line in lines[1:]:
        cells = _split(line, separator)
        extra = [cell for cell in cells[len(header) :] if cell]
        # Between blanks an empty cell cannot be seen, so that every row has to be whole.
        if extra or (separator is None and len(cells) != len(header)):
            raise InputError(
                f"{path}:{number}: the row has {len(cells)} cells, the header {len(header)}; "
                "separate cells by tabs where they hold blanks, and mend the row."
            )
        rows.append([*cells, *[""] * (len(header) - len(cells))][: len(header)])
    return header, rows


def _split(line: str, separator: str | None) -> list[str]:
    if separator == ",":
        csv.field_size_limit(max(csv.field_size_limit(), CSV_CELL_CHARACTERS))
        return [cell.strip() for cell in next(csv.reader([line]))]
    # Between tabs a quote is a letter like others.
    return [cell.strip() for cell in line.split(separator)]
