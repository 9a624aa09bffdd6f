"""The files of a fine-tuning whose folds are spread over jobs: one part each, joined at the end."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from dnalm.benchmark.finetune import Finetuning
from dnalm.benchmark.finetuned import Fold, read_tensors
from dnalm.benchmark.metrics import score
from dnalm.benchmark.results import Result, prediction_rows
from dnalm.benchmark.tasks import read_task
from dnalm.errors import InputError
from dnalm.files import atomic_path
from dnalm.model.weights import save_tensors

HISTORY_COLUMNS = ["fold", "step", "train_loss", "validation_mcc"]
PROBABILITY = "probability."


def write_folds(
    folds: Sequence[Fold],
    finetuning: Finetuning,
    identity: Mapping[str, Any],
    *,
    adapters: str | Path,
    predictions: str | Path,
    history: str | Path,
) -> None:
    """Write some folds of one fine-tuning: adapters, test predictions with probabilities, history.

    `identity` is what their result's summary begins with. It travels in the metadata of `adapters`,
    beside what it takes to build the classifier again.
    """
    table = read_task(finetuning.table)
    test = table[table["split"] == "test"]
    classifier = {
        "classes": finetuning.classes,
        "pooling": finetuning.pooling,
        "centre_bases": finetuning.centre_bases,
    }
    frames = [
        prediction_rows(test, fold.fold, fold.probabilities.argmax(axis=1)).assign(
            **{f"{PROBABILITY}{c}": column for c, column in enumerate(fold.probabilities.T)}
        )
        for fold in folds
    ]
    with atomic_path(predictions) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
    rows = pd.DataFrame(
        [{"fold": fold.fold} | row for fold in folds for row in fold.history],
        columns=HISTORY_COLUMNS,
    )
    with atomic_path(history) as temporary:
        rows.to_csv(temporary, sep="\t", index=False)
    save_tensors(
        {
            f"fold.{fold.fold}.{name}": tensor
            for fold in folds
            for name, tensor in fold.tensors.items()
        },
        adapters,
        {
            "identity": json.dumps(identity),
            "classifier": json.dumps(classifier),
            "folds": json.dumps([fold.fold for fold in folds]),
            "steps": json.dumps([fold.step for fold in folds]),
            "seconds": json.dumps([fold.seconds for fold in folds]),
        },
    )


def collect(
    adapters: Sequence[str | Path],
    predictions: Sequence[str | Path],
    histories: Sequence[str | Path],
    *,
    merged_adapters: str | Path,
    merged_history: str | Path,
) -> tuple[Result, dict[str, Any]]:
    """Return the result and identity of a fine-tuning whose folds lie in several files.

    Writes the files of all adapters and of the whole history. `selected` holds the kept step of
    every fold; `edge` says that most folds kept their last evaluation, so that more steps may do
    better. Raises InputError when the parts belong to different runs or share a fold.
    """
    parts = [read_tensors(path) for path in adapters]
    first = parts[0][1]
    for path, (_, metadata) in zip(adapters, parts, strict=True):
        if any(metadata[key] != first[key] for key in ("identity", "classifier")):
            raise InputError(
                f"{path} belongs to another fine-tuning than {adapters[0]}: delete both and run "
                "again."
            )
    folds = [fold for _, metadata in parts for fold in json.loads(metadata["folds"])]
    if len(set(folds)) < len(folds):
        raise InputError(f"{adapters[0]} and its other parts share a fold: run them again.")
    facts = {key: _joined(parts, key) for key in ("folds", "steps", "seconds")}
    save_tensors(
        {name: tensor for tensors, _ in parts for name, tensor in tensors.items()},
        merged_adapters,
        first | {key: json.dumps(value) for key, value in facts.items()},
    )
    history = pd.concat([pd.read_csv(path, sep="\t") for path in histories], ignore_index=True)
    history = history.sort_values(["fold", "step"], ignore_index=True)
    with atomic_path(merged_history) as temporary:
        history.to_csv(temporary, sep="\t", index=False)

    identity = json.loads(first["identity"])
    table = pd.concat([pd.read_parquet(path) for path in predictions], ignore_index=True)
    table = table.sort_values("fold", kind="stable", ignore_index=True)
    columns = [name for name in table if name.startswith(PROBABILITY)]
    scores = [
        {"fold": fold}
        | score(
            rows["label"].to_numpy(),
            rows["prediction"].to_numpy(),
            rows[columns].to_numpy(),
            identity["kind"],
        )
        for fold, rows in table.groupby("fold")
    ]
    last = int(history["step"].max())
    result = Result(
        selected={"steps": facts["steps"]},
        edge=2 * facts["steps"].count(last) > len(folds),
        grid=[],
        scores=pd.DataFrame(scores),
        predictions=table,
        seconds=sum(facts["seconds"]),
        not_converged=0,
    )
    return result, identity


def _joined(parts: Sequence[tuple[dict[str, Tensor], dict[str, str]]], key: str) -> list[Any]:
    """Return one list of the metadata over all parts, by ascending fold."""
    pairs = [
        pair
        for _, metadata in parts
        for pair in zip(json.loads(metadata["folds"]), json.loads(metadata[key]), strict=True)
    ]
    return [value for _, value in sorted(pairs)]
