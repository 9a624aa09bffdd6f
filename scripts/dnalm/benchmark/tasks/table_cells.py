"""Cells of tables of text: rows of as many cells as the header, none of them lost in quotes."""

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dnalm.errors import InputError
from dnalm.genome.annotation import open_text

LINE_END = re.compile(r"\r\n|\r|\n")


def read_cells(
    path: str | Path, separator: str, comment: str | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of the header and of each row of a table, plain or gzip.

    Empty lines, and those that begin with `comment`, are left out.

    Raises InputError for a row of more or fewer cells than the header, a line that cannot be split,
    and a quotation mark that swallows rows.
    """
    csv.field_size_limit(sys.maxsize)  # a cell may hold a long sequence, or many targets
    with open_text(path) as file:
        # A comment stays an empty line, so that lines are counted rightly.
        own = (("\n" if comment and line.startswith(comment) else line) for line in file)
        rows = csv.reader(own, delimiter=separator, strict=True)
        columns, before = 0, 0
        try:
            for cells in rows:
                first, before = before + 1, rows.line_num
                if not cells:
                    continue
                columns = columns or len(cells)
                if len(cells) != columns:
                    raise InputError(
                        f"{path}, line {before}: {len(cells)} cells under a header of {columns}: "
                        "correct the line."
                    )
                if before > first and swallows_rows(cells, separator):
                    raise InputError(
                        f"{path}, line {first}: a quotation mark swallows the rows up to line "
                        f"{before}: remove it, or close it on its own line."
                    )
                yield before, cells
        except csv.Error as error:
            raise InputError(
                f"{path}, line {rows.line_num}: the line cannot be read ({error}): correct it."
            ) from None


def swallows_rows(cells: Sequence[str], separator: str) -> bool:
    """Return whether one of the cells of a row holds the end of a row and the beginning of another.

    A mark opened in some column and closed in the same one of a later row leaves the right number
    of cells: its cell then begins with as many separators as there are columns behind it, and ends
    with as many as there are before it. A quoted text of several lines has others.
    """
    for place, cell in enumerate(cells):
        parts = LINE_END.split(cell)
        ends = parts[0].count(separator), parts[-1].count(separator)
        if len(parts) > 1 and ends == (len(cells) - 1 - place, place):
            return True
    return False
