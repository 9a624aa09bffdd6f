"""Merging the parts of a fine-tuning into one result; needs no torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.scoring.results import Result
from dnalm.errors import InputError
from dnalm.files import atomic_path, read_tsv
from dnalm.model.tensors import read_arrays, save_arrays

SHARED_METADATA = ("identity", "settings", "splits", "classifier")  # all parts have them alike


def collect(
    adapters: Sequence[str | Path],
    predictions: Sequence[str | Path],
    histories: Sequence[str | Path],
    *,
    keep: str,
    merged_adapters: str | Path,
    merged_history: str | Path,
) -> tuple[Result, dict[str, Any]]:
    """Return the result and identity of a fine-tuning whose folds lie in several files.

    Writes the files of all adapters and of the whole history. `selected` holds the kept step of
    every fold; `edge` says that most folds kept their last evaluation, so that more steps may do
    better, where `keep`, the method's own key, let them choose. Raises InputError when the parts
    belong to different runs or settings, share a fold, or lack one.
    """
    parts = [read_arrays(path) for path in adapters]
    first = parts[0][1]
    for path, (_, metadata) in zip(adapters, parts, strict=True):
        if any(metadata.get(key) != first.get(key) for key in SHARED_METADATA):
            raise InputError(
                f"{path} belongs to another fine-tuning than {adapters[0]}: delete both and run "
                "again."
            )
    folds = [fold for _, metadata in parts for fold in json.loads(metadata["folds"])]
    if len(set(folds)) < len(folds):
        raise InputError(f"{adapters[0]} and its other parts share a fold: run them again.")
    splits = json.loads(first.get("splits", "[]"))
    if set(folds) != set(splits):
        raise InputError(
            f"{adapters[0]} and its other parts hold the folds {sorted(folds)}, but were made for "
            f"{splits}: delete them and run again."
        )
    facts = {key: _joined(parts, key) for key in ("folds", "steps", "seconds", "scores")}
    save_arrays(
        {name: array for arrays, _ in parts for name, array in arrays.items()},
        merged_adapters,
        first | {key: json.dumps(value) for key, value in facts.items()},
    )
    history = pd.concat(
        [read_tsv(path, numbers=("fold", "step")) for path in histories], ignore_index=True
    )
    history = history.sort_values(["fold", "step"], ignore_index=True)
    with atomic_path(merged_history) as temporary:
        history.to_csv(temporary, sep="\t", index=False)

    identity = json.loads(first["identity"])
    table = pd.concat([pd.read_parquet(path) for path in predictions], ignore_index=True)
    table = table.sort_values("fold", kind="stable", ignore_index=True)
    scores = [
        {"fold": fold} | own for fold, own in zip(facts["folds"], facts["scores"], strict=True)
    ]
    last = int(history["step"].max())
    result = Result(
        selected={"steps": facts["steps"]},
        edge=keep == "best" and 2 * facts["steps"].count(last) > len(folds),
        grid=[],
        scores=pd.DataFrame(scores),
        predictions=table,
        seconds=sum(facts["seconds"]),
        not_converged=0,
    )
    return result, identity


def _joined(parts: Sequence[tuple[dict[str, np.ndarray], dict[str, str]]], key: str) -> list[Any]:
    """Return the list of one metadata key over all parts, by ascending fold."""
    pairs = [
        pair
        for _, metadata in parts
        for pair in zip(json.loads(metadata["folds"]), json.loads(metadata[key]), strict=True)
    ]
    return [value for _, value in sorted(pairs)]
