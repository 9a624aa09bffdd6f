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
    values = _read_motifs(path, build["motifs_column"])
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


def _read_motifs(path: str, column: str) -> dict[str, str]:
    """Return {name: value of a column} of a table whose first column is the name."""
    place, values = None, {}
    # The header of EPDnew's own table begins with '#', as comments do.
    for number, line in lines(path, comment=None):
        fields = line.lstrip("#").split()
        if place is None:
            if column not in fields:
                raise InputError(
                    f"{path} has no column {column!r}, its columns are "
                    f"{listing(nearest_first(column, fields))}: correct build.motifs_column."
                )
            if fields.count(column) > 1:
                raise InputError(
                    f"{path} has {fields.count(column)} columns {column!r}, and one is to be read: "
                    "rename the others."
                )
            place = fields.index(column)
        elif len(fields) <= place:
            raise InputError(
                f"{path}:{number}: the line has {len(fields)} cells, fewer than its header: "
                "correct the line."
            )
        else:
            values[fields[0]] = fields[place]
    return values


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
