"""The result of one method on one task: scores, summary and predictions, in three files."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from dnalm.benchmark.parquet import write_blocks, write_parquet
from dnalm.benchmark.scoring.stored_outputs import Decided, Outputs, row_blocks
from dnalm.benchmark.tasks.kinds import BASES, COLUMNS, Kind, cut_to, find_kind
from dnalm.benchmark.tasks.labels import pad
from dnalm.errors import InputError
from dnalm.files import atomic_path, sha256_of, write_json
from dnalm.jobs.partial import discard

BLOCK_ROWS = 8192  # that are read of a predictions.parquet at a time
PREDICTION_COLUMNS = ["id", "fold", "label", "prediction"]
PROBABILITY = "probability."  # columns of predictions, one per class or label

RESULT_NAMES = ("method", "model", "baseline", "task")
log = logging.getLogger(__name__)


def score_columns(kind: str) -> list[str]:
    """Return the columns of a task's scores: the split and the metrics of its kind."""
    return ["fold", *find_kind(kind).metrics]


@dataclass(frozen=True, kw_only=True)
class BasePredictions:
    """Predictions of the test rows of a task of bases: made block by block, never all at once.

    `test` holds the task's test rows, `outputs` [R, L, C] of each fold.
    """

    test: pd.DataFrame
    outputs: Mapping[int, Outputs]
    kind: Kind

    def blocks(self) -> Iterator[pd.DataFrame]:
        """Yield the rows of `prediction_rows`, fold after fold, classes as their labels' type."""
        for fold, outputs in self.outputs.items():
            for rows in row_blocks(*outputs.shape[:2]):
                test, own = self.test.iloc[rows], outputs[rows]
                decided = self.kind.decide(own).astype(np.asarray(test["label"].iloc[0]).dtype)
                yield prediction_rows(test, fold, decided, own)

    def splits(self) -> Iterator[tuple[np.ndarray, Outputs, Outputs]]:
        """Yield labels, predictions and probabilities of each fold, as `metrics.score` takes."""
        labels = self.kind.stack(self.test["label"])
        for outputs in self.outputs.values():
            decided = Decided(outputs, self.kind.decide)
            yield cut_to(decided, labels, self.kind), decided, outputs

    def frame(self) -> pd.DataFrame:
        """Return all blocks as one table."""
        return pd.concat(self.blocks(), ignore_index=True)


Predicted = pd.DataFrame | BasePredictions


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a probe, a baseline or a fine-tuning gives.

    `selected` is the choice made on validation rows; `edge` is true when it lies on the border of
    what was searched, so that a wider search may do better; `grid` holds one row per candidate;
    `scores` one row per split, on the test rows (`score_columns`); `predictions` one row per split
    and test row (columns `PREDICTION_COLUMNS`; of `probabilistic` kinds the probabilities too, see
    `prediction_rows`), of tasks of bases what makes these rows; `seconds` the time of the work;
    `not_converged` the number of fits that met their iteration limit; `fitted` the arrays of each
    split's chosen model, by fold and name, none where they are kept elsewhere or not at all;
    `computed` the device and precision of the fits, where they follow from the machine.
    """

    selected: dict[str, Any]
    edge: bool
    grid: list[dict[str, Any]]
    scores: pd.DataFrame
    predictions: Predicted
    seconds: float
    not_converged: int
    fitted: dict[int, dict[str, np.ndarray]]
    computed: dict[str, str]


# What the metadata of embeddings say of how they were made.
MADE_WITH = ("pooling", "strands", "precision", "dtype")


def identify(
    *,
    method: str,
    task: dict[str, Any],
    table_path: str | Path,
    embeddings: Mapping[str, str] | None = None,
    **names: str | None,
) -> dict[str, Any]:
    """Return what a result belongs to, the first part of its summary.

    `task` is the content of the task's JSON, `embeddings` the metadata of those that were read, of
    which `MADE_WITH` are kept, and how many rows were cropped; `names` are `model` or `baseline`,
    and `weights_sha256` where a model was used (`None` otherwise). The hash of the task table is
    taken here, from the file that was read.
    """
    made: dict[str, Any] = {}
    if embeddings:
        made = {"embeddings": {key: embeddings[key] for key in MADE_WITH}}
        # Older files, and those of other programs, do not say.
        made["cropped_rows"] = int(embeddings.get("cropped", 0))
    return {
        "method": method,
        **names,
        "task": task["name"],
        "kind": task["kind"],
        "rows": task["rows"],
        "task_sha256": sha256_of(table_path),
        "weights_sha256": names.get("weights_sha256"),
        **made,
    }


def result_names(identity: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of a result, from its summary or the first part of it.

    They are method, task and model or baseline, as far as they are given.
    """
    return {key: identity[key] for key in RESULT_NAMES if identity.get(key)}


def prediction_rows(
    test: pd.DataFrame,
    fold: int,
    predictions: np.ndarray,
    probabilities: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return one split's part of a result's predictions; `test` holds the task's test rows.

    `predictions` have the shape of the labels; several numbers of a row become a list, as long as
    its label. `probabilities` [R, C] or per_base [R, L, C] become columns `probability.<class>` of
    float32: scores are computed before, and of hundreds of labels they fill the memory.
    """
    lengths = [np.size(label) for label in test["label"]]
    # Of bases they are float32 already, and views: a copy for every split would fill the memory.
    columns = []
    if probabilities is not None:
        columns = list(np.moveaxis(probabilities.astype(np.float32, copy=False), -1, 0))
    return pd.DataFrame(
        {
            "id": test["id"].to_numpy(),
            "fold": fold,
            "label": test["label"].to_numpy(),
            "prediction": _cells(predictions, lengths),
            **{f"{PROBABILITY}{c}": _cells(column, lengths) for c, column in enumerate(columns)},
        }
    )


def _cells(array: np.ndarray, lengths: list[int]) -> np.ndarray | list[np.ndarray]:
    if array.ndim == 1:
        return array
    return [row[:length] for row, length in zip(array, lengths, strict=True)]


def prediction_arrays(
    rows: pd.DataFrame, kind: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return labels, predictions and probabilities of rows made by `prediction_rows`.

    As `metrics.score` takes them; no probabilities where there are no columns, as in older results.
    """
    traits = find_kind(kind)
    columns = [name for name in rows if name.startswith(PROBABILITY)]
    probabilities = None
    if columns and traits.shape == BASES:
        arrays = [pad(rows[name], np.float32, 0.0) for name in columns]
        probabilities = np.stack(arrays, axis=-1)
    elif columns:
        probabilities = rows[columns].to_numpy(np.float32)
        if traits.two_classes and len(columns) == 1:  # class 0 is not kept
            probabilities = np.concatenate([1 - probabilities, probabilities], axis=1)
    return traits.stack(rows["label"]), traits.stack(rows["prediction"]), probabilities


def read_arrays(
    path: str | Path, kind: str, columns: Sequence[str] | None = None
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the columns id and fold of a predictions.parquet, and what `prediction_arrays` gives.

    Of `columns`, of all without. Rows are read in blocks: as lists, hundreds of labels of each take
    many times the memory of the arrays.
    """
    with pq.ParquetFile(path) as file:
        total, start = file.metadata.num_rows, 0
        named: list[pd.DataFrame] = []
        whole: list[np.ndarray | None] | None = None
        for batch in file.iter_batches(BLOCK_ROWS, columns=columns):
            rows = batch.to_pandas()
            named.append(rows[["id", "fold"]])
            block = prediction_arrays(rows, kind)
            if whole is None:
                whole = [
                    None if own is None else np.empty((total, *own.shape[1:]), own.dtype)
                    for own in block
                ]
            for array, own in zip(whole, block, strict=True):
                if array is not None:
                    array[start : start + len(rows)] = own
            start += len(rows)
    if whole is None:
        raise InputError(f"{path}: there is no row; delete the file and run again.")
    return pd.concat(named, ignore_index=True), whole[0], whole[1], whole[2]


def check_folds(table: pd.DataFrame, path: str | Path) -> None:
    """Raise InputError where a fold of a predictions.parquet misses a test row or has one twice.

    `table` has its columns id and fold.
    """
    folds, ids = table["fold"].nunique(), table["id"].nunique()
    if len(table) != folds * ids or table.duplicated(["fold", "id"]).any():
        raise InputError(
            f"{path}: {len(table)} rows for {folds} folds and {ids} test rows, while every "
            f"fold predicts every test row once; delete the file and run again."
        )


def no_probabilities(path: str | Path, kind: str) -> str:
    """Return the sentence on predictions without the probabilities that a kind is scored by."""
    return (
        f"{path}: there are no probabilities, by which a {kind} task is scored "
        f"({find_kind(kind).headline}); delete the file and run again."
    )


def write_result(
    result: Result,
    identity: dict[str, Any],
    *,
    scores: str | Path,
    summary: str | Path,
    predictions: str | Path,
    partial: str | Path | None = None,
) -> None:
    """Write a result: scores as TSV, predictions as Parquet, and, last, the summary as JSON.

    Of several labels or targets the summary has the scores of each. Probabilities are kept for
    curves, but for that of class 0 of two, which follows from the other. The metadata of the
    predictions hold `result_names`. Then the folder `partial`, whose finished parts nobody needs
    any more, is removed, and the one that it shares with those of other tasks if nothing else is in
    it.
    """
    with atomic_path(scores) as temporary:
        result.scores[score_columns(identity["kind"])].to_csv(
            temporary, sep="\t", index=False, na_rep="nan"
        )
    kind = find_kind(identity["kind"])
    if isinstance(result.predictions, BasePredictions):
        write_blocks(result.predictions.blocks(), predictions, result_names(identity))
        arrays = result.predictions.splits()
    else:
        left_out = [f"{PROBABILITY}0"] if kind.two_classes else []
        kept = [c for c in result.predictions if c.startswith(PROBABILITY) and c not in left_out]
        rows = result.predictions[[*PREDICTION_COLUMNS, *kept]]
        write_parquet(rows, predictions, result_names(identity))
        splits = (own for _, own in result.predictions.groupby("fold", sort=True))
        arrays = (prediction_arrays(own, kind.name) for own in splits)
    outputs = {}
    if kind.shape in (COLUMNS, BASES):
        from dnalm.benchmark.scoring.output_scores import output_scores  # scikit-learn

        outputs = {"outputs": output_scores(arrays, kind.name)}
    write_json(
        summary,
        identity
        | {
            "splits": len(result.scores),
            "selected": result.selected,
            "edge": result.edge,
            # JSON has no word for a score that is not defined but null.
            "grid": [{key: _defined(value) for key, value in row.items()} for row in result.grid],
            "seconds": round(result.seconds, 3),
            "not_converged": result.not_converged,
            **({"computed": result.computed} if result.computed else {}),
            **outputs,
        },
    )
    if partial is not None:
        discard(partial)
    metric = kind.headline
    name = identity.get("model") or identity.get("baseline")
    log.info(
        "%s %s on %s: test %s %.4f, the mean of %d splits; selected %s",
        *(identity["method"], name, identity["task"], metric, result.scores[metric].mean()),
        *(len(result.scores), result.selected),
    )


def _defined(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
