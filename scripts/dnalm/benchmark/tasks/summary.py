"""Summary of a task's table: rows per class, lengths, duplicates, the identity of its files."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from dnalm.benchmark.tasks.folds import canonical
from dnalm.benchmark.tasks.kinds import CLASS, COLUMNS, find_kind
from dnalm.files import sha256_of

SPLITS = ("train", "test")
COUNTED = ("rows_per_class", "bases_per_class", "targets")  # keys of a summary

logger = logging.getLogger(__name__)


class Facts(Protocol):
    """What the config says about a task's rows."""

    kind: str
    classes: int
    label_column: str | Sequence[str]
    labels: Mapping[Any, int] | None
    rows: Mapping[str, int] | None
    length: int | None
    shuffle_labels: bool


def name_files(files: Mapping[str, Sequence[str]], split: str) -> str:
    """Return the files of a split, or the genome that a task is cut from, for messages."""
    return ", ".join(map(str, files.get(split, files.get("genome", [])))) or "no file"


def count_duplicates(table: pd.DataFrame) -> dict[str, int]:
    """Count rows whose sequence, on either strand, stands in the table already.

    `within_train` and `within_test` count the rows after the first of each sequence, `across` the
    test rows whose sequence is also a training row's.
    """
    groups = pd.Series([_digest(text) for text in table["sequence"]], index=table.index)
    train, test = (groups[table["split"] == split] for split in SPLITS)
    return {
        "within_train": int(train.duplicated().sum()),
        "within_test": int(test.duplicated().sum()),
        "across": int(test.isin(set(train)).sum()),
    }


def _digest(sequence: str) -> bytes:
    """Return a hash of a sequence on either strand: of millions the texts would fill the memory."""
    return hashlib.blake2b(canonical(sequence).encode(), digest_size=16).digest()


def name_outputs(facts: Facts) -> list[str] | None:
    """Return the names of a task's classes, labels or targets; None where they are numbered alone.

    Those of columns are the columns'; a class is named by the raw labels that mean it.
    """
    kind = find_kind(facts.kind)
    if kind.shape == COLUMNS and not isinstance(facts.label_column, str):
        return list(facts.label_column)
    if kind.value != CLASS or not facts.labels:
        return None
    raw = [[str(r) for r, c in facts.labels.items() if c == own] for own in range(facts.classes)]
    return ["|".join(texts) or str(number) for number, texts in enumerate(raw)]


def describe_outputs(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a trained classifier keeps of a task's summary; old ones name no outputs."""
    kept = {"kind": summary["kind"], "classes": summary["classes"], "names": summary.get("names")}
    return {**kept, "lengths": summary.get("lengths")}


def count_labels(table: pd.DataFrame, facts: Facts) -> dict[str, Any]:
    """Return, by split, one of three things, the others None.

    `rows_per_class`: the rows of each class, or with each label (multilabel); `bases_per_class`
    (per_base); `targets`: the least, mean and largest value of each target (regression).
    """
    kind = find_kind(facts.kind)
    arrays = {split: kind.stack(table["label"][table["split"] == split]) for split in SPLITS}
    counts = {split: kind.count(labels, facts.classes) for split, labels in arrays.items()}
    return {each: counts if each == kind.counted else None for each in COUNTED}


def summarise(
    table: pd.DataFrame,
    name: str,
    facts: Facts,
    files: Mapping[str, Sequence[str]],
    *,
    cleaned: Mapping[str, int],
    simulated: bool,
    build: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return what the report says about a task; repeated rows are logged as a warning.

    `files` maps a role (train, test, bases ...) to the paths that were read, `cleaned` what was
    left out or replaced to how often, as `clean_rows` counts it.
    """
    duplicates = count_duplicates(table)
    if any(duplicates.values()):
        logger.warning(
            "%s: %d training and %d test rows repeat an earlier row of their split, %d test rows "
            "a training row (either strand); they are kept and reported.",
            name,
            duplicates["within_train"],
            duplicates["within_test"],
            duplicates["across"],
        )
    lengths = table["sequence"].str.len()
    counts = {split: int((table["split"] == split).sum()) for split in SPLITS}
    published = dict(facts.rows) if facts.rows else None
    return {
        "name": name,
        "kind": facts.kind,
        "classes": facts.classes,
        "names": name_outputs(facts),
        "rows": counts,
        **count_labels(table, facts),
        "lengths": {
            "min": int(lengths.min()),
            "median": float(lengths.median()),
            "max": int(lengths.max()),
        },
        "duplicates": duplicates,
        **cleaned,
        "published_rows": published,
        "published_rows_match": published == counts if published else None,
        "shuffled_labels": facts.shuffle_labels,
        "simulated": simulated,
        "build": dict(build) if build else None,
        "sources": [
            {"role": role, "path": str(path), "sha256": sha256_of(path)}
            for role, paths in files.items()
            for path in paths
        ],
    }
