"""A downstream task: labelled sequences of one or more files as one checked table."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.benchmark.tasks.checks import check_sums, check_table, warn_of_parts
from dnalm.benchmark.tasks.deepsea_files import profile_table
from dnalm.benchmark.tasks.folds import CrossValidationConfig, assign_folds, hold_out
from dnalm.benchmark.tasks.grouped_folds import (
    HELD_OUT,
    Dealt,
    assign_groups,
    check_parts,
    describe_folds,
    is_grouped,
    read_groups,
)
from dnalm.benchmark.tasks.kinds import BASES, BY_NAME, FLAG, NUMBER, ROWS, Kind, find_kind
from dnalm.benchmark.tasks.label_cells import infer_kind, read_label
from dnalm.benchmark.tasks.label_files import LABELS_OF, join_labels
from dnalm.benchmark.tasks.labels import NO_LABEL
from dnalm.benchmark.tasks.output_names import OUTPUTS, describe_columns
from dnalm.benchmark.tasks.row_files import LabelledRow, read_labelled
from dnalm.benchmark.tasks.summary import SPLITS, name_files, summarise
from dnalm.errors import InputError
from dnalm.files import atomic_path, read_json, sha256_of, write_json
from dnalm.suggestions import check_choice

COLUMN_TYPES = {
    "id": pa.string(),
    "sequence": pa.string(),
    "label": None,  # by kind
    "split": pa.string(),
    "provenance": pa.string(),
    "folds": pa.list_(pa.int64()),
}

DEEPSEA = "deepsea"  # the format of its three files
BLOCK_LABELS = 1 << 24  # that are written at once, and read: a number takes 8 bytes meanwhile
if TYPE_CHECKING:  # compiled loops
    from dnalm.benchmark.tasks.row_cleaning import Cleaned

ROLES = tuple(LABELS_OF)  # of files of rows
VALIDATION = "validation"  # that of rows which are held out in every split

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What the rows of a task mean; where they come from is given beside it.

    `classes` is the number of classes; of labels (multilabel) or targets (regression). It and
    `kind` are None where the rows are to say them.
    """

    kind: str | None
    classes: int | None
    format: str
    sequence_column: str
    label_column: str | Sequence[str]
    label_separator: str | None
    label_pattern: str | None
    labels: Mapping[Any, int] | None
    rows: Mapping[str, int] | None
    length: int | None
    test_share: float | None
    missing_labels: str | None
    other_letters: str | None
    min_bases: int | None
    shuffle_labels: bool
    seed: int

    @classmethod
    def of(cls, name: str, task: Mapping[str, Any]) -> "TaskConfig":
        """Read the keys of one entry of `tasks:`; keys that may be null may also be missing."""
        nullable = {"kind", "classes", "label_separator", "label_pattern", "labels", "rows"}
        nullable |= {"length", "test_share", "missing_labels", "other_letters", "min_bases"}
        missing = [key for key in cls.__annotations__ if key not in task and key not in nullable]
        if missing:
            raise InputError(
                f"Task {name} lacks the key `{missing[0]}`; add it to its entry in the config."
            )
        if task.get("kind") is not None:
            check_choice(f"tasks.{name}.kind", task["kind"], BY_NAME)
        return cls(**{key: task.get(key) for key in cls.__annotations__})


def make_task(
    sources: Mapping[str, str | Sequence[str]],
    task: Mapping[str, Any],
    name: str,
    cross_validation: Mapping[str, Any],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a task's table and its summary.

    `sources` names the files: `train`, `test` and, where it is given, `validation` for labelled
    rows (whose labels may stand in files of their own, `train_labels` and so on), or `bases`,
    `contigs` and `genome` (its manifest) with `intervals` (BED) or `annotation` (GTF), `motifs` and
    `types` for a task with `build:`, which is cut from a genome.
    `file_labels` of the task are the labels of its files, by split, where each has one of its own.
    The table has the columns id, sequence (upper case, ACGTN), label (0 .. classes - 1, or several
    numbers, see `read_label`), split (train or test), provenance (file name and row, or
    contig:start-end(strand), 0-based half-open) and folds (splits in which a training row is
    validation). Rows of `validation` files are training rows of the table.

    Raises InputError, naming file and row, when the rows are not what the config says.
    """
    # Compiled loops, which those who only read a table do without.
    from dnalm.benchmark.tasks.recipes.table import find_recipe
    from dnalm.benchmark.tasks.recipes.windows import cut_windows
    from dnalm.benchmark.tasks.row_cleaning import clean_rows

    config, folds = TaskConfig.of(name, task), CrossValidationConfig.of(cross_validation)
    files = {
        key: [paths] if isinstance(paths, str | Path) else list(paths)
        for key, paths in sources.items()
    }
    simulated, built = False, None
    ready = None
    if task.get("build"):
        check_sums(files, task["build"].get("sha256") or {}, name, "build.sha256")
        recipe = find_recipe(task["build"]["recipe"])
        if recipe.cut is not None:
            ready, built = recipe.cut(task["build"], name, files)
            rows = []
        else:
            rows, built = cut_windows(task["build"], name, files)
            rows = [replace(row, group=row.provenance.rpartition(":")[0]) for row in rows]
        simulated = bool(read_json(files["genome"][0])["simulated"])
    elif config.format == DEEPSEA:
        check_sums(files, task.get("sha256") or {}, name, "sha256")
        held = {VALIDATION: HELD_OUT}
        ready, rows = profile_table(files, ROLES, held, config.classes, name), []
    else:
        check_sums(files, task.get("sha256") or {}, name, "sha256")
        warn_of_parts(files, name)
        given = task.get("file_labels") or {}
        rows = [
            row
            for role in ROLES
            for path, label, labels in zip(
                files.get(role, []),
                given.get(role) or [None] * len(files.get(role, [])),
                files.get(LABELS_OF[role]) or [None] * len(files.get(role, [])),
                strict=True,
            )
            for row in _read_rows(path, role, config, label, labels, folds)
        ]
    log.info("%s: %d rows are read", name, len(rows) if ready is None else len(ready))
    cleaned = clean_rows(rows, config, name)
    if ready is None:
        config = replace(config, **infer_kind(cleaned.rows, config, name))
    table = _tabulate(cleaned, config) if ready is None else ready
    if config.test_share is not None and rows:  # without rows the checks say so
        try:
            table = hold_out(table, config.kind, config.test_share, config.seed)
        except InputError as error:
            raise InputError(f"Task {name} ({name_files(files, 'train')}): {error}") from None
    table.insert(0, "id", _ids(table["split"]))
    check_table(table, name, config, files)
    if config.shuffle_labels:
        table["label"] = _shuffled(table, config)
    train = table[table["split"] == "train"]
    try:
        dealt = _deal(train, config, folds)
    except InputError as error:
        raise InputError(f"Task {name} ({name_files(files, 'train')}): {error}") from None
    # Training rows come first, so the test rows' empty lists follow.
    table["folds"] = dealt.folds + [[] for _ in range(len(table) - len(train))]
    summary = summarise(
        table, name, config, files, cleaned=cleaned.counts, simulated=simulated, build=built
    )
    if built and "names" in built:
        summary["names"] = built["names"]
    if OUTPUTS in files:
        summary |= describe_columns(files[OUTPUTS][0], config.classes, name)
    return table.drop(columns="group"), summary | {"cross_validation": describe_folds(dealt, folds)}


def _tabulate(cleaned: "Cleaned", config: TaskConfig) -> pd.DataFrame:
    rows, sequences = cleaned.rows, cleaned.sequences
    return pd.DataFrame(
        {
            "sequence": sequences,
            "label": [
                read_label(row, sequence, config)
                for row, sequence in zip(rows, sequences, strict=True)
            ],
            "split": [row.split for row in rows],
            "provenance": [row.provenance for row in rows],
            "group": [row.group for row in rows],
        }
    )


def _read_rows(
    path: str,
    role: str,
    config: TaskConfig,
    label: str | None,
    labels: str | None,
    folds: CrossValidationConfig,
) -> list[LabelledRow]:
    """Return the rows of a file, of the split train or test, with their groups.

    `label` is that of all its rows, `labels` a file of theirs; of both None they have their own.
    """
    split = "test" if role == "test" else "train"
    if labels is None:
        rows = list(read_labelled(path, split, config, label))
    else:
        rows = join_labels(path, labels, split, config)
    if role == VALIDATION:
        return [replace(row, group=HELD_OUT) for row in rows]
    if role == "test" or folds.group is None:
        return rows
    groups = read_groups(path, config.format, folds.group)
    return [replace(row, group=group) for row, group in zip(rows, groups, strict=True)]


def _deal(train: pd.DataFrame, config: TaskConfig, folds: CrossValidationConfig) -> Dealt:
    """Return the folds of a table's training rows."""
    kind = find_kind(config.kind)
    labels = kind.stack(train["label"])
    if is_grouped(folds):
        dealt = assign_groups(train["group"].tolist(), train["provenance"].tolist(), folds)
        check_parts(labels, dealt, kind, config.classes)
        return dealt
    strata = kind.strata(labels).tolist()
    sequences = train["sequence"].tolist()
    return Dealt(folds=assign_folds(sequences, strata, folds, merge=not kind.one_class), groups={})


def _ids(splits: Iterable[str]) -> list[str]:
    counts: Counter[str] = Counter()
    ids = []
    for split in splits:
        ids.append(f"{split}.{counts[split]}")
        counts[split] += 1
    return ids


def _shuffled(table: pd.DataFrame, config: TaskConfig) -> np.ndarray | list[np.ndarray]:
    """Return the labels permuted within each split: what no method can learn.

    Labels of bases are permuted within each sequence.
    """
    random = np.random.default_rng(config.seed)
    labels = table["label"].to_numpy().copy()
    if find_kind(config.kind).shape == BASES:
        return [_permuted(bases, random) for bases in labels]
    for split in SPLITS:
        rows = np.flatnonzero(table["split"] == split)
        labels[rows] = labels[random.permutation(rows)]
    return labels


def _permuted(bases: np.ndarray, random: np.random.Generator) -> np.ndarray:
    shuffled, known = bases.copy(), bases != NO_LABEL
    shuffled[known] = random.permutation(bases[known])
    return shuffled


def write_task(
    table: pd.DataFrame, summary: Mapping[str, Any], table_path: str, summary_path: str
) -> None:
    """Write the table as Parquet and the summary, with the table's sha256, as JSON."""
    with atomic_path(table_path) as temporary:
        label = _label_type(find_kind(summary["kind"]), summary["classes"])
        schema = pa.schema(COLUMN_TYPES | {"label": label})
        with pq.ParquetWriter(temporary, schema) as writer:
            block = BLOCK_LABELS // max(1, max(map(np.size, table["label"]), default=1))
            for start in range(0, max(len(table), 1), max(1, block)):
                rows = table.iloc[start : start + max(1, block)]
                writer.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False))
    write_json(summary_path, {**summary, "sha256": sha256_of(table_path)})
    rows = ", ".join(f"{count} {split} rows" for split, count in summary["rows"].items())
    log.info("%s, %s: %s", summary["name"], summary["kind"], rows)


def _label_type(kind: Kind, classes: int) -> pa.DataType:
    number = pa.float64() if kind.value == NUMBER else pa.int64()
    if kind.value == FLAG or (kind.shape == BASES and classes <= np.iinfo(np.int8).max):
        number = pa.int8()  # of which there are millions in a row's list, or in all lists
    return number if kind.shape == ROWS else pa.list_(number)


def read_task(table_path: str) -> pd.DataFrame:
    """Return a task's table as `make_task` made it; `folds` holds lists of int.

    Several labels of a row are an array.
    """
    return (
        pq.read_table(table_path)
        .to_pandas()
        .assign(folds=lambda table: [[int(fold) for fold in folds] for folds in table["folds"]])
    )
