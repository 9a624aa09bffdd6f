"""A downstream task: labelled sequences of one or more files as one checked table."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.benchmark.checks import check_sums, check_table
from dnalm.benchmark.folds import CrossValidationConfig, assign_folds
from dnalm.benchmark.inventory import SPLITS, name_files, summarise
from dnalm.benchmark.labelled import LabelledRow, read_labelled
from dnalm.benchmark.recipes import cut_windows
from dnalm.errors import InputError
from dnalm.files import atomic_path, read_json, sha256_of, write_json

KINDS = {"binary", "multiclass"}
AMBIGUOUS = "RYSWKMBDHV"  # the IUPAC codes that stand for several bases
TO_N = str.maketrans(AMBIGUOUS, "N" * len(AMBIGUOUS))
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("sequence", pa.string()),
        ("label", pa.int64()),
        ("split", pa.string()),
        ("provenance", pa.string()),
        ("folds", pa.list_(pa.int64())),
    ]
)


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What the rows of a task mean; where they come from is given beside it."""

    kind: str
    classes: int
    format: str
    sequence_column: str
    label_column: str
    label_pattern: str | None
    labels: Mapping[Any, int] | None
    rows: Mapping[str, int] | None
    length: int | None
    shuffle_labels: bool
    seed: int

    @classmethod
    def of(cls, name: str, task: Mapping[str, Any]) -> "TaskConfig":
        """Read the keys of one entry of `tasks:`; keys that may be null may also be missing."""
        nullable = {"label_pattern", "labels", "rows", "length"}
        missing = [key for key in cls.__annotations__ if key not in task and key not in nullable]
        if missing:
            raise InputError(
                f"Task {name} lacks the key `{missing[0]}`; add it to its entry in the config."
            )
        if task["kind"] not in KINDS:
            raise InputError(
                f"Task {name} has kind {task['kind']!r}; known kinds: {', '.join(sorted(KINDS))}."
            )
        return cls(**{key: task.get(key) for key in cls.__annotations__})


def make_task(
    sources: Mapping[str, str | Sequence[str]],
    task: Mapping[str, Any],
    name: str,
    cross_validation: Mapping[str, Any],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a task's table and its summary.

    `sources` names the files: `train` and `test` for labelled rows, or `bases`, `contigs` and
    `genome` (its manifest) with `intervals` (BED) or `annotation` (GTF) for a task with `build:`,
    which is cut from a genome.
    The table has the columns id, sequence (upper case, ACGTN), label (0 .. classes - 1), split
    (train or test), provenance (file name and row, or contig:start-end(strand), 0-based
    half-open) and folds (splits in which a training row is validation).

    Raises InputError, naming file and row, when the rows are not what the config says.
    """
    config = TaskConfig.of(name, task)
    files = {
        key: [paths] if isinstance(paths, str | Path) else list(paths)
        for key, paths in sources.items()
    }
    simulated, built = False, None
    if task.get("build"):
        rows, built = cut_windows(
            task["build"], name, {key: paths[0] for key, paths in files.items()}
        )
        simulated = bool(read_json(files["genome"][0])["simulated"])
    else:
        check_sums(files, task.get("sha256") or {}, name)
        rows = [
            row
            for split in SPLITS
            for path in files[split]
            for row in read_labelled(path, split, config)
        ]
    cleaned, replaced = zip(*map(_clean, rows), strict=True) if rows else ((), ())
    table = pd.DataFrame(
        {
            "id": _ids(rows),
            "sequence": list(cleaned),
            "label": [_label(row, config) for row in rows],
            "split": [row.split for row in rows],
            "provenance": [row.provenance for row in rows],
        }
    )
    check_table(table, name, config.classes, config.length, files)
    folds = CrossValidationConfig(**cross_validation)
    if config.shuffle_labels:
        table["label"] = _shuffled(table, config.seed)
    train = table[table["split"] == "train"]
    try:
        assigned = assign_folds(train["sequence"].tolist(), train["label"].tolist(), folds)
    except InputError as error:
        raise InputError(f"Task {name} ({name_files(files, 'train')}): {error}") from None
    # Training rows come first, so the test rows' empty lists follow.
    table["folds"] = assigned + [[] for _ in range(len(table) - len(train))]
    return table, summarise(
        table, name, config, files, iupac_replaced=sum(replaced), simulated=simulated, build=built
    )


def _ids(rows: Sequence[LabelledRow]) -> list[str]:
    counts: Counter[str] = Counter()
    ids = []
    for row in rows:
        ids.append(f"{row.split}.{counts[row.split]}")
        counts[row.split] += 1
    return ids


def _clean(row: LabelledRow) -> tuple[str, int]:
    """Return the sequence in upper case with IUPAC letters as N, and how many there were."""
    sequence = row.sequence.strip().upper()
    if not sequence:
        raise InputError(f"{row.place} has an empty sequence: remove the row or fill it in.")
    cleaned = sequence.translate(TO_N)
    strange = cleaned.translate(str.maketrans("", "", "ACGTN"))
    if strange:
        raise InputError(
            f"{row.place} holds {strange[0]!r} in its sequence: "
            f"write DNA with the letters A, C, G, T, N or an IUPAC code ({AMBIGUOUS})."
        )
    return cleaned, sum(map(sequence.count, AMBIGUOUS))


def _label(row: LabelledRow, config: TaskConfig) -> int:
    raw = str(row.label).strip()
    if config.labels is not None:
        known = {str(key): value for key, value in config.labels.items()}
        if raw not in known:
            raise InputError(
                f"{row.place} has the label {raw!r}, which `labels` of the task does not "
                f"list (it lists {', '.join(known)}): add it there."
            )
        raw = str(known[raw])
    if not re.fullmatch(r"[+-]?[0-9]+", raw):
        raise InputError(
            f"{row.place} has the label {raw!r}, which is not an integer: "
            "map it to a class number with `labels` in the task's config."
        )
    if not 0 <= int(raw) < config.classes:
        raise InputError(
            f"{row.place} has the label {raw}, but {config.classes} classes allow only "
            f"0 to {config.classes - 1}: correct `classes` of the task or map it with `labels`."
        )
    return int(raw)


def _shuffled(table: pd.DataFrame, seed: int) -> np.ndarray:
    """Return the labels permuted within each split: what no method can learn."""
    random = np.random.default_rng(seed)
    labels = table["label"].to_numpy().copy()
    for split in SPLITS:
        rows = np.flatnonzero(table["split"] == split)
        labels[rows] = labels[random.permutation(rows)]
    return labels


def write_task(
    table: pd.DataFrame, summary: Mapping[str, Any], table_path: str, summary_path: str
) -> None:
    """Write the table as Parquet and the summary, with the table's sha256, as JSON."""
    with atomic_path(table_path) as temporary:
        pq.write_table(pa.Table.from_pandas(table, SCHEMA, preserve_index=False), temporary)
    write_json(summary_path, {**summary, "sha256": sha256_of(table_path)})


def read_task(table_path: str) -> pd.DataFrame:
    """Return a task's table as `make_task` made it; `folds` holds lists of int."""
    return (
        pq.read_table(table_path)
        .to_pandas()
        .assign(folds=lambda table: [[int(fold) for fold in folds] for folds in table["folds"]])
    )
