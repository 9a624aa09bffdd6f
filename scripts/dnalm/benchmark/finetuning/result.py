"""The result of a fine-tuning: scores and predictions of its folds, their adapters and history."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.benchmark.finetuning.classifier import Fold
from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.probing.choice import mean_and_sd, score_test_rows
from dnalm.benchmark.scoring.results import Result, write_result
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.benchmark.tasks.splits import Splits
from dnalm.benchmark.tasks.table import read_task
from dnalm.devices import best_device
from dnalm.files import atomic_path
from dnalm.model.config import describe_model
from dnalm.model.weights import save_tensors


def make_result(folds: Sequence[Fold], finetuning: Finetuning) -> Result:
    """Return the scores and predictions of the test rows by every fold, ascending.

    `selected` holds the kept step of every fold; `edge` says that most folds kept their last
    evaluation though they might have kept any, so that more steps may do better.
    """
    device = best_device().type
    table, kind = read_task(finetuning.table), find_kind(finetuning.kind)
    splits = Splits(table, kind.name)
    outputs, numbers = [fold.outputs for fold in folds], [fold.fold for fold in folds]
    scores, predictions = score_test_rows(table, splits, kind.name, outputs, numbers)
    steps = [fold.step for fold in folds]
    last = max(row["step"] for fold in folds for row in fold.history)
    return Result(
        selected={"steps": steps},
        edge=finetuning.config.keep == "best" and 2 * steps.count(last) > len(folds),
        grid=[] if finetuning.network is None else [_validation(folds, kind.headline)],
        scores=scores,
        predictions=predictions,
        seconds=sum(fold.seconds for fold in folds),
        not_converged=0,
        fitted={},  # adapters and heads have a file of their own
        computed={"device": device, "precision": finetuning.on(device).config.precision},
    )


def _validation(folds: Sequence[Fold], metric: str) -> dict[str, float]:
    """Return the validation scores of the kept steps as a row of a grid: baselines are ranked."""
    mean, deviation = mean_and_sd([fold.validation_score(metric) for fold in folds])
    return {f"validation_{metric}_mean": mean, f"validation_{metric}_sd": deviation}


def write_finetuning(
    folds: Sequence[Fold],
    finetuning: Finetuning,
    identity: Mapping[str, Any],
    outputs: Mapping[str, Any],
    *,
    trained: str | Path,
    history: str | Path,
    partial: str | Path,
    **files: str | Path,
) -> None:
    """Write the folds of one fine-tuning; `files` are those of `write_result`.

    `identity` is what the summary begins with, `outputs` what `describe_outputs` says of the task.
    Both travel in the metadata of `trained`, the adapters or networks, beside the scores and what
    it takes to build the classifier again. `partial`, where the folds were kept, is removed at the
    end.
    """
    result, metric = make_result(folds, finetuning), find_kind(finetuning.kind).headline
    rows = pd.DataFrame(
        [{"fold": fold.fold} | row for fold in folds for row in fold.history],
        columns=["fold", "step", "train_loss", f"validation_{metric}"],
    )
    with atomic_path(history) as temporary:
        rows.to_csv(temporary, sep="\t", index=False)
    _write_trained(folds, finetuning, identity, outputs, result, trained)
    counts = {
        "trained_parameters": folds[0].trained,
        "all_parameters": folds[0].parameters,
        "peak_memory": {
            "of": "GPU" if best_device().type == "cuda" else "process",
            "bytes": [fold.peak_bytes for fold in folds],
        },
        "cropped_rows": int(finetuning.crop(read_task(finetuning.table)["sequence"])[1].sum()),
    }
    write_result(result, dict(identity) | counts, partial=partial, **files)


def _write_trained(
    folds: Sequence[Fold],
    finetuning: Finetuning,
    identity: Mapping[str, Any],
    outputs: Mapping[str, Any],
    result: Result,
    path: str | Path,
) -> None:
    scores = result.scores.drop(columns="fold").to_dict("records")
    below = {"network": json.dumps(finetuning.network)}
    if finetuning.embedder is not None:
        below = {"embedder": json.dumps(dict(finetuning.embedder["entry"]))}
    elif finetuning.network is None:
        below = {"model": json.dumps(describe_model(finetuning.run))}
    save_tensors(
        {
            f"fold.{fold.fold}.{name}": tensor
            for fold in folds
            for name, tensor in fold.tensors.items()
        },
        path,
        {
            "identity": json.dumps(identity),
            "settings": finetuning.identity(),
            "adapter": finetuning.config.adapter,
            "options": json.dumps(finetuning.config.options),
            "saved": finetuning.config.save,
            "outputs": json.dumps(outputs),
            **below,
            "classifier": json.dumps(finetuning.head()),
            "folds": json.dumps([fold.fold for fold in folds]),
            "steps": json.dumps(result.selected["steps"]),
            "seconds": json.dumps([fold.seconds for fold in folds]),
            "peak_memory_bytes": json.dumps([fold.peak_bytes for fold in folds]),
            "scores": json.dumps(scores),
        },
    )
