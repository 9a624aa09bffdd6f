"""Files of one part of a fine-tuning, whose folds are spread over jobs: adapters, predictions."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.benchmark.finetuning.classifier import Fold
from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.scoring.metrics import score
from dnalm.benchmark.scoring.results import prediction_rows
from dnalm.benchmark.tasks.kinds import cut_to, find_kind
from dnalm.benchmark.tasks.splits import Splits
from dnalm.benchmark.tasks.table import read_task
from dnalm.files import atomic_path
from dnalm.model.loading import describe_model
from dnalm.model.weights import save_tensors

log = logging.getLogger(__name__)


def write_folds(
    folds: Sequence[Fold],
    finetuning: Finetuning,
    identity: Mapping[str, Any],
    outputs: Mapping[str, Any],
    *,
    adapters: str | Path,
    predictions: str | Path,
    history: str | Path,
) -> None:
    """Write some folds of one fine-tuning: adapters, test predictions with probabilities, history.

    A regression has no probabilities. `identity` is what their result's summary begins with,
    `outputs` what `describe_outputs` says of the task. Both travel in the metadata of `adapters`,
    beside the scores, what it takes to build the classifier again, and what tells the parts of one
    fine-tuning from those of another.
    """
    table, kind = read_task(finetuning.table), find_kind(finetuning.kind)
    splits = Splits(table, kind.name)
    test, truth = table.iloc[splits.test], splits.labels[splits.test]
    frames, scores = [], []
    for fold in folds:
        decided = kind.decide(fold.outputs)
        known = cut_to(decided, truth, kind)
        scores.append(score(known, decided, fold.outputs, kind.name))
        probabilities = fold.outputs if kind.probabilistic else None
        frames.append(prediction_rows(test, fold.fold, decided, probabilities))
    with atomic_path(predictions) as temporary:
        pd.concat(frames, ignore_index=True).to_parquet(temporary, index=False)
    rows = pd.DataFrame(
        [{"fold": fold.fold} | row for fold in folds for row in fold.history],
        columns=["fold", "step", "train_loss", f"validation_{kind.headline}"],
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
            "settings": finetuning.identity(),
            "splits": json.dumps(splits.folds),
            "adapter": finetuning.config.adapter,
            "outputs": json.dumps(outputs),
            "model": json.dumps(describe_model(finetuning.run)),
            "classifier": json.dumps(finetuning.head()),
            "folds": json.dumps([fold.fold for fold in folds]),
            "steps": json.dumps([fold.step for fold in folds]),
            "seconds": json.dumps([fold.seconds for fold in folds]),
            "scores": json.dumps(scores),
        },
    )
    metric = kind.headline
    told = ", ".join(
        f"{fold.fold} {own[metric]:.4f}" for fold, own in zip(folds, scores, strict=True)
    )
    log.info("test %s of %d folds: %s", metric, len(folds), told)
