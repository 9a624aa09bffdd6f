"""Task rows cut from a genome and its annotation: promoters, splice sites, enhancers, peaks.

Coordinates are absolute (those of the annotation), 0-based and half-open.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.tasks.recipes.checks import check_records, check_split
from dnalm.benchmark.tasks.recipes.contigs import list_contigs
from dnalm.benchmark.tasks.recipes.elements import find_elements
from dnalm.benchmark.tasks.recipes.recipe import Files
from dnalm.benchmark.tasks.recipes.window_sampler import Window, WindowSampler
from dnalm.benchmark.tasks.row_files import LabelledRow
from dnalm.benchmark.tasks.summary import SPLITS
from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import to_sequence


def cut_windows(
    build: Mapping[str, Any], name: str, files: Files
) -> tuple[list[LabelledRow], dict[str, Any]]:
    """Return the rows of a task, training rows first, and how they came about.

    Positives of label 1 and up are windows around the elements, in their direction or, where these
    have none, as `unstranded` says; negatives (label 0) are windows of the same length and of
    either strand that overlap neither an element nor each other, unless `decoys` is none and the
    elements themselves have label 0.
    `build` has all keys of the section of that name in the configuration; `files` holds bases and
    contigs of the genome and what the recipe reads: intervals, annotation, motifs, types.

    Raises InputError for an unknown contig, for elements that are not of this genome, when a
    split keeps no element, and when there is no room for negatives.
    """
    random = np.random.default_rng(build["seed"])
    with closing(GenomeBases(files["bases"][0], files["contigs"][0])) as genome:
        contigs = list_contigs(build, name, list(dict.fromkeys(genome.contigs["contig"])))
        elements = find_elements(build, name, files, random)
        sampler = WindowSampler(genome, contigs, elements.avoided, build["gaps"])
        facts = check_records(elements, sampler, build, files)
        windows = elements.windows[elements.windows["contig"].isin(contigs)]
        inside = sampler.is_inside(windows)
        has_gap = sampler.has_gap(windows) & inside
        facts |= {
            "dropped_at_ends": int((~inside).sum()),
            "dropped_with_n": int(has_gap.sum()),
            "dropped_by_balance_or_maximum": 0,
            "kept": 0,
        }
        rows: list[LabelledRow] = []
        for split in SPLITS:
            held = [c for c in contigs if (c in build["test_contigs"]) == (split == "test")]
            here = windows["contig"].isin(held).to_numpy()
            check_split(split, held, here, inside, has_gap, name)
            labels = set(windows["label"])
            usable = windows[here & inside & ~has_gap]
            chosen = _choose(usable, labels, split, build, name, random)
            rows += _rows(sampler, chosen, len(labels), held, split, build, name, random)
            facts["dropped_by_balance_or_maximum"] += len(usable) - len(chosen)
            facts["kept"] += len(chosen)
    return rows, {"genome": build["genome"], "recipe": build["recipe"], **facts}


def _choose(
    windows: pd.DataFrame,
    labels: set[int],
    split: str,
    build: Mapping[str, Any],
    name: str,
    random: np.random.Generator,
) -> pd.DataFrame:
    """Return the windows of one split that become rows."""
    classes, maximum = len(labels) + (build["decoys"] != "none"), build["maximum"][split]
    if maximum is not None and maximum < classes:
        raise InputError(
            f"Task {name} has {classes} classes, of which build.maximum.{split} {maximum} leaves "
            "some without a row: raise it."
        )
    return _capped(windows, classes, build, maximum, random)


def _rows(
    sampler: WindowSampler,
    chosen: pd.DataFrame,
    labels: int,
    contigs: Sequence[str],
    split: str,
    build: Mapping[str, Any],
    name: str,
    random: np.random.Generator,
) -> list[LabelledRow]:
    """Return the rows of one split in random order, those of negatives among them."""
    parts = [chosen]
    if build["decoys"] != "none" and len(chosen):
        # On each contig as many as rows of a positive class, on average.
        counts = chosen.groupby("contig").size().reindex(contigs, fill_value=0)
        groups = [list(contigs)] if build["negatives"] == "split" else [[c] for c in contigs]
        wanted = _shares([int(counts[group].sum()) for group in groups], labels)
        for group, number in zip(groups, wanted, strict=True):
            parts.append(_negatives(sampler, group, number, build, name, random))
    table = pd.concat(parts, ignore_index=True)
    table = table.iloc[random.permutation(len(table))]
    return [_row(sampler, Window(*place), label, split) for *place, label in table.to_numpy(object)]


def _row(sampler: WindowSampler, window: Window, label: int, split: str) -> LabelledRow:
    return LabelledRow(
        sequence=to_sequence(sampler.codes(window)),
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
    sampler: WindowSampler,
    contigs: Sequence[str],
    wanted: int,
    build: Mapping[str, Any],
    name: str,
    random: np.random.Generator,
) -> pd.DataFrame:
    length, kinds = build["length"], []
    if build["decoys"] == "dinucleotide":
        kinds = sorted(build["labels_by_kind"])
        found = sampler.draw_on_dinucleotides(contigs, length, wanted, random, kinds)
    else:
        found = sampler.draw(contigs, length, wanted, random)
    if len(found) < wanted:
        where = f"contig {contigs[0]}" if len(contigs) == 1 else f"{len(contigs)} contigs"
        raise InputError(
            f"Task {name}: on {where} {len(found):,} windows of {length} bases were found that "
            f"hold no element and no N, but {wanted:,} are needed: lower build.maximum or length"
            f"{', set build.negatives: split' if build['negatives'] == 'contig' else ''}"
            f"{', or use decoys: genome' if kinds else ''}."
        )
    return found.assign(label=0)
