"""Task rows cut from a genome and its annotation: promoters, splice sites, enhancers, peaks.

Coordinates are absolute (those of the annotation), 0-based and half-open.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.elements import Elements, Files, find_elements
from dnalm.benchmark.inventory import SPLITS
from dnalm.benchmark.labelled import LabelledRow
from dnalm.benchmark.places import Places, Window
from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import to_sequence

SHOWN = 200  # characters of a list of contigs in a message

logger = logging.getLogger(__name__)


def cut_windows(
    build: Mapping[str, Any], name: str, files: Files
) -> tuple[list[LabelledRow], dict[str, Any]]:
    """Return the rows of a task, training rows first, and how they came about.

    Positives of label 1 and up are windows around the elements, in their direction; negatives
    (label 0) are windows of the same length and of either strand that overlap neither an element
    nor each other, unless `decoys` is none and the elements themselves have label 0.
    `build` has all keys of the section of that name in the configuration; `files` holds bases and
    contigs of the genome and what the recipe reads: intervals, annotation, motifs, types.

    Raises InputError for an unknown contig, for elements that are not of this genome, when a
    split keeps no element, and when there is no room for negatives.
    """
    random = np.random.default_rng(build["seed"])
    with closing(GenomeBases(files["bases"][0], files["contigs"][0])) as genome:
        contigs = _contigs(build, name, list(dict.fromkeys(genome.contigs["contig"])))
        elements = find_elements(build, name, files, random)
        places = Places(genome, contigs, elements.avoided, build["gaps"])
        facts = _check_records(elements, places, build, files)
        windows = elements.windows[elements.windows["contig"].isin(contigs)]
        inside = places.is_inside(windows)
        has_gap = places.has_gap(windows) & inside
        facts |= {
            "elements": len(windows) + elements.longer,
            "dropped_longer": elements.longer,
            "dropped_at_ends": int((~inside).sum()),
            "dropped_with_n": int(has_gap.sum()),
        }
        rows = []
        for split in SPLITS:
            held = [c for c in contigs if (c in build["test_contigs"]) == (split == "test")]
            here = windows["contig"].isin(held).to_numpy()
            _check_split(split, held, here, inside, has_gap, name)
            kept = windows[here & inside & ~has_gap]
            rows += _rows(places, kept, set(windows["label"]), held, split, build, name, random)
    return rows, {"genome": build["genome"], "recipe": build["recipe"], **facts}


def _contigs(build: Mapping[str, Any], name: str, known: Sequence[str]) -> list[str]:
    """Return the contigs to use, in the genome's order."""
    wanted = known if build["contigs"] is None else build["contigs"]
    for key, contigs in (("contigs", wanted), ("test_contigs", build["test_contigs"])):
        if unknown := [contig for contig in contigs if contig not in known]:
            raise InputError(
                f"Task {name} asks for {unknown[0]!r} in build.{key}, which genome "
                f"{build['genome']} does not hold; it holds {', '.join(known)[:SHOWN]}."
            )
    if unused := [contig for contig in build["test_contigs"] if contig not in wanted]:
        raise InputError(
            f"Task {name} has the test contig {unused[0]!r}, which is not among its "
            "build.contigs: add it there or drop it."
        )
    return [contig for contig in known if contig in wanted]


def _check_records(
    elements: Elements, places: Places, build: Mapping[str, Any], files: Files
) -> dict[str, Any]:
    """Return how many records there are, and how many on contigs that are not used.

    Raises InputError when none is on a contig of the genome, or one reaches over a contig's end.
    """
    records = elements.records
    source = ", ".join(map(str, files.get("intervals", files.get("annotation", []))))
    used = records["contig"].isin(places.pieces)
    if not used.any():
        raise InputError(
            f"{source} names no element inside genome {build['genome']}: its {len(records):,} "
            f"records are on {', '.join(records['contig'].unique())[:SHOWN]}, the genome's contigs "
            f"are {', '.join(places.pieces)[:SHOWN]}: give both the same names (`contigs` of the "
            "genome renames its records)."
        )
    if not used.all():
        logger.warning(
            "%s: %d of %d records are on contigs that genome %s does not hold or the task does not "
            "use, as %s; they are left out.",
            source,
            (~used).sum(),
            len(records),
            build["genome"],
            records.loc[~used, "contig"].iloc[0],
        )
    # A stored piece that begins elsewhere has its elements outside rightly, a whole contig has not.
    whole = {c: max(last for _, last in p) for c, p in places.pieces.items() if p[0][0] == 0}
    beyond = records[records["end"] > records["contig"].map(whole).fillna(np.inf)]
    if len(beyond) and build["outside"] == "refuse":
        first = beyond.iloc[0]
        raise InputError(
            f"{source}: {len(beyond):,} of {len(records):,} records reach over the end of their "
            f"contig in genome {build['genome']}, the first is {first['contig']}:{first['start']}-"
            f"{first['end']} of {whole[first['contig']]:,} bases: give the file of this assembly, "
            "or set build.outside: drop if only a part of the contig is stored."
        )
    return {"records": len(records), "records_on_other_contigs": int((~used).sum())}


def _check_split(
    split: str,
    contigs: Sequence[str],
    here: np.ndarray,
    inside: np.ndarray,
    has_gap: np.ndarray,
    name: str,
) -> None:
    """Raise InputError for a split with contigs and without a window."""
    if contigs and not (here & inside & ~has_gap).any():
        raise InputError(
            f"Task {name} has no {split} rows: of the {int(here.sum()):,} elements with a label on "
            f"{', '.join(contigs)[:SHOWN]}, {int((here & ~inside).sum()):,} reach over an end and "
            f"{int((here & has_gap).sum()):,} hold an N: choose other build.test_contigs or "
            "build.contigs."
        )


def _rows(
    places: Places,
    windows: pd.DataFrame,
    labels: set[int],
    contigs: Sequence[str],
    split: str,
    build: Mapping[str, Any],
    name: str,
    random: np.random.Generator,
) -> list[LabelledRow]:
    """Return the rows of one split in random order."""
    negatives = build["decoys"] != "none"
    classes, maximum = len(labels) + negatives, build["maximum"][split]
    if maximum is not None and maximum < classes:
        raise InputError(
            f"Task {name} has {classes} classes, of which build.maximum.{split} {maximum} leaves "
            "some without a row: raise it."
        )
    chosen = _capped(windows, classes, build, maximum, random)
    parts = [chosen]
    if negatives and len(chosen):
        # On each contig as many as rows of a positive class, on average.
        counts = chosen.groupby("contig").size().reindex(contigs, fill_value=0)
        groups = [list(contigs)] if build["negatives"] == "split" else [[c] for c in contigs]
        wanted = _shares([int(counts[group].sum()) for group in groups], len(labels))
        for group, number in zip(groups, wanted, strict=True):
            parts.append(_negatives(places, group, number, build, name, random))
    table = pd.concat(parts, ignore_index=True)
    table = table.iloc[random.permutation(len(table))]
    return [_row(places, Window(*place), label, split) for *place, label in table.to_numpy(object)]


def _row(places: Places, window: Window, label: int, split: str) -> LabelledRow:
    return LabelledRow(
        sequence=to_sequence(places.codes(window)),
        label=str(label),
        split=split,
        provenance=f"{window.contig}:{window.start}-{window.end}({window.strand})",
    )


def _capped(
    windows: pd.DataFrame,
    classes: int,
    build: Mapping[str, Any],
    maximum: int | None,
    random: np.random.Generator,
) -> pd.DataFrame:
    """Draw windows of each class, so that with negatives all rows stay below `maximum`.

    With `balance: equal` there are as many of each class as of the rarest.
    """
    sizes = windows["label"].value_counts()
    share = len(windows) if maximum is None else maximum // classes
    if build["balance"] == "equal" and len(sizes):
        share = min(share, int(sizes.min()))
    drawn = [
        rows.iloc[np.sort(random.permutation(len(rows))[:share])]
        for _, rows in windows.groupby("label")
    ]
    return pd.concat([windows.iloc[:0], *drawn])


def _shares(counts: Sequence[int], divisor: int) -> list[int]:
    """Return each count over a divisor as whole numbers whose sum is that of all, rounded down."""
    shares = [count // divisor for count in counts]
    rest = sum(counts) // divisor - sum(shares)
    largest = sorted(range(len(counts)), key=lambda i: (-(counts[i] % divisor), i))
    for i in largest[:rest]:
        shares[i] += 1
    return shares


def _negatives(
    places: Places,
    contigs: Sequence[str],
    wanted: int,
    build: Mapping[str, Any],
    name: str,
    random: np.random.Generator,
) -> pd.DataFrame:
    length, kinds = build["length"], []
    if build["decoys"] == "dinucleotide":
        kinds = sorted(build["labels_by_kind"])
        found = places.draw_on_dinucleotides(contigs, length, wanted, random, kinds)
    else:
        found = places.draw(contigs, length, wanted, random)
    if len(found) < wanted:
        where = f"contig {contigs[0]}" if len(contigs) == 1 else f"{len(contigs)} contigs"
        raise InputError(
            f"Task {name}: on {where} {len(found):,} windows of {length} bases were found that "
            f"hold no element and no N, but {wanted:,} are needed: lower build.maximum or length"
            f"{', set build.negatives: split' if build['negatives'] == 'contig' else ''}"
            f"{', or use decoys: genome' if kinds else ''}."
        )
    return found.assign(label=0)
