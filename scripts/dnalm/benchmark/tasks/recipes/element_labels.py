"""What a second file says about elements: the motifs of promoters, what enhancers overlap."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dnalm.errors import InputError
from dnalm.genome.annotation import lines
from dnalm.genome.intervals import merge_spans, read_bed, touch
from dnalm.suggestions import listing, nearest_first

UNLABELLED = -1


def label_by_motif(elements: pd.DataFrame, build: Mapping[str, Any], path: str, name: str) -> None:
    """Give elements, in place, the label that `labels_by_motif` gives to their value in a table.

    The table is one of names and motifs with a header, as EPDnew's promoter_motifs.txt;
    `motifs_column` is the motif. An element that has a label already and whose name is not in the
    table, or has there a value without a label, loses it.

    Raises InputError for a table without the column, and if it names none of the elements.
    """
    values = read_motifs(path, build["motifs_column"])
    found = elements["name"].map(values)
    if not found.notna().any():
        raise InputError(
            f"Task {name}: {path} names none of the {len(elements):,} elements, whose names are "
            f"{', '.join(elements['name'].iloc[:2])} and the like: give both of one release."
        )
    labelled = elements["label"] != UNLABELLED
    by_motif = {str(value): label for value, label in build["labels_by_motif"].items()}
    new = found.map(by_motif).where(labelled)
    elements["label"] = new.fillna(UNLABELLED).astype("int64")


def read_motifs(path: str, column: str) -> dict[str, str]:
    """Return {name: value of a column} of a table whose first column is the name.

    Its cells are apart by tabs or, where its header has none, by blanks.
    """
    header: list[str] = []
    place, separator, values = 0, None, dict[str, str]()
    # The header of EPDnew's own table begins with '#', as comments do.
    for number, line in lines(path, comment=None):
        if not header:
            separator = "\t" if "\t" in line else None
            header = [cell.strip() for cell in line.lstrip("# ").split(separator)]
            place = _find_motif(path, header, column)
        elif not line.startswith("#"):
            cells = [cell.strip() for cell in line.split(separator if "\t" in line else None)]
            while len(cells) > len(header) and not cells[-1]:
                cells.pop()
            if len(cells) != len(header):
                raise InputError(
                    f"{path}:{number}: the line has {len(cells)} cells, its header has "
                    f"{len(header)}: correct the line."
                )
            if values.setdefault(cells[0], cells[place]) != cells[place]:
                raise InputError(
                    f"{path}:{number}: {cells[0]} has {cells[place]!r} for {column!r}, and an "
                    f"earlier line says {values[cells[0]]!r}: remove one of them."
                )
    return values


def _find_motif(path: str, header: list[str], column: str) -> int:
    if column not in header:
        raise InputError(
            f"{path} has no column {column!r}, its columns are "
            f"{listing(nearest_first(column, header))}: correct build.motifs_column."
        )
    if header.count(column) > 1:
        raise InputError(
            f"{path} has {header.count(column)} columns {column!r}, and one is to be read: "
            "rename the others."
        )
    return header.index(column)


def label_by_overlap(
    elements: pd.DataFrame, build: Mapping[str, Any], paths: Sequence[str]
) -> None:
    """Give labelled elements, in place, the label `types_label` where they overlap a region.

    Regions are those of `paths` with `types_pattern` in their column `types_column`; one shared
    base is an overlap.

    Raises InputError when no region is of that type.
    """
    columns = {"name": build["types_column"], "strand": None}
    regions = pd.concat([read_bed(path, **columns) for path in paths], ignore_index=True)
    kinds = regions["name"].unique()
    wanted = [kind for kind in kinds if re.search(build["types_pattern"], kind)]
    if not wanted:
        raise InputError(
            f"{', '.join(map(str, paths))}: none of {len(regions):,} regions is of type "
            f"{build['types_pattern']!r}, they are {', '.join(kinds[:5])} and the like: correct "
            "build.types_pattern or build.types_column."
        )
    regions = regions[regions["name"].isin(wanted)]
    spans = {
        contig: merge_spans(part["start"].to_numpy(), part["end"].to_numpy())
        for contig, part in regions.groupby("contig", sort=False)
    }
    for contig, part in elements[elements["label"] != UNLABELLED].groupby("contig", sort=False):
        if contig in spans:
            hit = touch(part["start"].to_numpy(), part["end"].to_numpy(), spans[contig])
            elements.loc[part.index[hit], "label"] = build["types_label"]
