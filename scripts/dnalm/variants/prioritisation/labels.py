"""Labels of variants, true for those that are to be found, from fields, tables or VCF files.

A variant that is given both labels has none, and is counted; so is one that repeats another.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dnalm.errors import InputError
from dnalm.suggestions import listing
from dnalm.variants.prioritisation.allele_tables import KEY, find_rows, key_of, plain_contig

TRUE_WORDS, FALSE_WORDS = ("1", "true", "yes", "1.0"), ("0", "false", "no", "0.0")
UNKNOWN = ("", ".", "nan", "none", "na", "<na>")
SEPARATORS = r"[,|]"
MAX_OTHER_VALUES = 20  # of a field, that are counted by name

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """Where labels stand.

    In the VCF's field `info`, whose values `positive` and `negative` list; in the `column` of the
    table `path`, true or false, 1 or 0, or as the two lists say; or in two files, `positives` and
    `negatives`, VCF, BCF or tables.
    """

    info: str | None
    path: str | None
    column: str
    positives: str | None
    negatives: str | None
    positive: Sequence[str]
    negative: Sequence[str]


def read_label_field(texts: pd.Series, config: LabelConfig) -> tuple[pd.Series, dict[str, Any]]:
    """Return labels (nullable boolean) from texts of a field or column, and what else it held.

    A whole text decides where a list has it, else its parts between commas and bars; parts of both
    lists decide nothing.
    """
    labels = {text: _decide(text, config) for text in texts.unique()}
    found = texts.map(labels).astype("boolean")
    other = pd.Series(list(map(str, texts[found.isna().to_numpy()])), dtype=str).value_counts()
    counted = {str(name): int(count) for name, count in other.head(MAX_OTHER_VALUES).items()}
    if len(other) > MAX_OTHER_VALUES:
        counted["others"] = int(other.iloc[MAX_OTHER_VALUES:].sum())
    return found, {"unlabelled": counted}


def _decide(text: Any, config: LabelConfig) -> Any:
    word = str(text).strip()
    positive, negative = config.positive, config.negative
    if not positive and not negative:
        # Booleans of Parquet and of text: `True`, `true`, 1 and 1.0 are one thing.
        positive, negative, word = TRUE_WORDS, FALSE_WORDS, word.lower()
    if word in positive or word in negative:
        return word in positive
    parts = set(pd.Series([word]).str.split(SEPARATORS, regex=True)[0])
    hits = parts & set(positive), parts & set(negative)
    return bool(hits[0]) if bool(hits[0]) != bool(hits[1]) else pd.NA


def check_column(table: pd.DataFrame, labels: pd.Series, config: LabelConfig) -> None:
    """Raise InputError for a cell of a label column that is neither of two labels, nor missing."""
    if config.positive or config.negative:
        return
    text = table[config.column].map(lambda cell: str(cell).strip().lower())
    wrong = labels.isna().to_numpy() & ~text.isin(UNKNOWN).to_numpy()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{config.path}: row {row + 1} has the {config.column} "
            f"'{table[config.column].iloc[row]}', which is neither true (1) nor false (0); say "
            "under `label` which values are `positive` and which `negative`."
        )


def settle(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows with each variant once, and how many repeat one or contradict each other.

    `label` is nullable; of variants that are given twice, one label holds for both, and two
    different ones for neither.
    """
    keys = key_of(table)
    repeated = keys.duplicated(keep=False)
    if not repeated.any():
        return table.reset_index(drop=True), {"repeated": 0, "contradictory": 0}
    # 1 for true, 2 for false: 3 where a variant was called both.
    said = np.select(
        [
            table["label"].fillna(False).to_numpy(bool),
            (~table["label"]).fillna(False).to_numpy(bool),
        ],
        [1, 2],
        0,
    )
    codes, _ = pd.factorize(keys)
    both = np.zeros(codes.max() + 1, dtype=np.int64)
    np.bitwise_or.at(both, codes, said)
    merged = both[codes]
    label = pd.array(merged == 1, dtype="boolean")
    label[(merged == 0) | (merged == 3)] = pd.NA
    kept = ~keys.duplicated()
    counts = {"repeated": int((~kept).sum()), "contradictory": int((both == 3).sum())}
    if counts["contradictory"]:
        example = table[merged == 3].iloc[0]
        log.warning(
            "%d variants are called both positive and negative: no label; first %s:%d %s>%s",
            counts["contradictory"],
            *(example[name] for name in KEY),
        )
    return table.assign(label=label)[kept].reset_index(drop=True), counts


def join_labels(
    alleles: pd.DataFrame, labels: pd.DataFrame, path: str | Path
) -> tuple[pd.Series, dict[str, int]]:
    """Return the label of each allele, missing for those that `labels` has not, and counts.

    Contigs are the same with and without `chr`. Raises InputError where not one label is of an
    allele.
    """
    rows = find_rows(labels, alleles)
    if not (rows >= 0).any():
        raise InputError(f"{path}: {_explain_no_match(alleles, labels)}")
    values = labels["label"].to_numpy(dtype=object, na_value=None)
    found = pd.Series([values[row] if row >= 0 else None for row in rows]).astype("boolean")
    unmatched = int((find_rows(alleles, labels) < 0).sum())
    return found, {"labels_without_variant": unmatched}


def _explain_no_match(alleles: pd.DataFrame, labels: pd.DataFrame) -> str:
    ours, theirs = ({plain_contig(n) for n in t["chrom"].unique()} for t in (alleles, labels))
    none = f"none of its {len(labels):,} labels is of a variant that is to be scored"
    if not ours & theirs:
        return (
            f"{none}: its contigs are {listing(sorted(theirs))}, those of the variants "
            f"{listing(sorted(ours))}; give the two of one genome."
        )
    places = key_of(alleles).droplevel([2, 3])
    same = key_of(labels).droplevel([2, 3]).isin(places).sum()
    if same:
        return (
            f"{none}, though {same:,} are at the same places: alleles differ; check that both are "
            "of one genome and strand."
        )
    return f"{none}; check that both are of the same assembly and have 1-based positions."


def check_classes(labels: pd.Series, what: str) -> None:
    """Raise InputError where not both labels are there: no score can tell one from nothing."""
    counts = {value: int((labels == value).sum()) for value in (True, False)}
    for value, name, other in ((True, "positive", "negative"), (False, "negative", "positive")):
        if not counts[value]:
            rest = f"all {counts[not value]:,} with a label are {other}"
            raise InputError(
                f"{what}: no variant is {name}, {rest if counts[not value] else 'none has a label'}"
                f"; correct the {name} values or files under `label`."
            )


def count_labels(labels: pd.Series) -> Mapping[str, int]:
    """Return how many variants are positive, negative and neither."""
    return {
        "positives": int((labels == True).sum()),  # noqa: E712, missing ones are neither
        "negatives": int((labels == False).sum()),  # noqa: E712
        "without_label": int(labels.isna().sum()),
    }
