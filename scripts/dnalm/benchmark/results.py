"""The result of one method on one task: scores, summary and predictions, in three files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.metrics import METRICS
from dnalm.files import atomic_path, sha256_of, write_json

SCORE_COLUMNS = ["fold", *METRICS]
PREDICTION_COLUMNS = ["id", "fold", "label", "prediction"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a probe, a baseline or a fine-tuning gives.

    `selected` is the choice made on validation rows; `edge` is true when it lies on the border of
    what was searched, so that a wider search may do better; `grid` holds one row per candidate;
    `scores` one row per split, on the test rows (columns `SCORE_COLUMNS`); `predictions` one row
    per split and test row (columns `PREDICTION_COLUMNS`); `seconds` the time of the work;
    `not_converged` the number of fits that met their iteration limit.
    """

    selected: dict[str, Any]
    edge: bool
    grid: list[dict[str, Any]]
    scores: pd.DataFrame
    predictions: pd.DataFrame
    seconds: float
    not_converged: int


def identify(
    *, method: str, task: dict[str, Any], table_path: str | Path, **names: str | None
) -> dict[str, Any]:
    """Return what a result belongs to, the first part of its summary.

    `task` is the content of the task's JSON; `names` are `model` or `baseline`, and
    `weights_sha256` where a model was used (`None` otherwise). The hash of the task table is taken
    here, from the file that was read.
    """
    return {
        "method": method,
        **names,
        "task": task["name"],
        "kind": task["kind"],
        "rows": task["rows"],
        "task_sha256": sha256_of(table_path),
        "weights_sha256": names.get("weights_sha256"),
    }


def prediction_rows(test: pd.DataFrame, fold: int, predictions: np.ndarray) -> pd.DataFrame:
    """Return one split's part of a result's predictions; `test` holds the task's test rows."""
    return pd.DataFrame(
        {
            "id": test["id"].to_numpy(),
            "fold": fold,
            "label": test["label"].to_numpy(),
            "prediction": predictions,
        }
    )


def write_result(
    result: Result,
    identity: dict[str, Any],
    *,
    scores: str | Path,
    summary: str | Path,
    predictions: str | Path,
) -> None:
    """Write a result: scores as TSV, predictions as Parquet, and, last, the summary as JSON."""
    with atomic_path(scores) as temporary:
        result.scores[SCORE_COLUMNS].to_csv(temporary, sep="\t", index=False, na_rep="nan")
    with atomic_path(predictions) as temporary:
        result.predictions[PREDICTION_COLUMNS].to_parquet(temporary, index=False)
    write_json(
        summary,
        identity
        | {
            "splits": len(result.scores),
            "selected": result.selected,
            "edge": result.edge,
            "grid": result.grid,
            "seconds": round(result.seconds, 3),
            "not_converged": result.not_converged,
        },
    )
