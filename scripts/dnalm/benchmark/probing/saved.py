"""Saved probes: the chosen models of every split in one safetensors file, and what they need.

Its arrays are `fold.<f>.<name>`, the state of each split's model. Its metadata are JSON: `identity`
of the result, `outputs` of the task, `model`, `features`, `selected` and `folds`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dnalm.benchmark.embedding.stored import LAYER_PREFIX
from dnalm.benchmark.scoring.results import Result
from dnalm.benchmark.tasks.summary import describe_outputs
from dnalm.errors import InputError
from dnalm.methods import find_function, find_probe
from dnalm.model.config import describe_model
from dnalm.model.tensors import MAX_REASON, UNREADABLE, read_arrays, save_arrays

# What the metadata of embeddings say of how they were made, and predictions have to repeat.
FEATURE_KEYS = ("pooling", "centre_bases", "strands", "precision", "dtype")
KEYS = ("identity", "outputs", "model", "features", "selected", "folds")


class Fitted(Protocol):
    """A fitted model of one split."""

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities or values float64 [N, C] of features [N, D]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedProbe:
    """The models of a probe by fold, and its metadata; `layer` is the one whose states it reads."""

    models: Mapping[int, Fitted]
    layer: int
    metadata: Mapping[str, Any]


def save_probe(
    result: Result,
    identity: Mapping[str, Any],
    task: Mapping[str, Any],
    embeddings: Mapping[str, str],
    run: str | Path | None,
    path: str | Path,
) -> None:
    """Write the chosen models of a probe's result and all that it takes to predict with them.

    `identity` is what the result's summary begins with, `task` the content of the task's JSON,
    `embeddings` the metadata of the features, `run` the run.json of the model; empty where there is
    none, of foreign embeddings, with which nothing else can be predicted.
    """
    features = {key: embeddings[key] for key in FEATURE_KEYS}
    metadata = {
        "identity": identity,
        "outputs": describe_outputs(task),
        "model": describe_model(run) if run else None,
        "features": features | {"centre_bases": int(features["centre_bases"])},
        "selected": result.selected,
        "folds": list(result.fitted),
    }
    arrays = {
        f"fold.{fold}.{name}": array
        for fold, state in result.fitted.items()
        for name, array in state.items()
    }
    save_arrays(arrays, path, {key: json.dumps(metadata[key]) for key in KEYS})


def read_probe(path: str | Path) -> SavedProbe:
    """Return the probe that `save_probe` wrote; InputError for a damaged or another file."""
    try:
        arrays, texts = read_arrays(path)
        metadata = {key: json.loads(texts[key]) for key in KEYS}
        kind, selected = metadata["outputs"]["kind"], metadata["selected"]
        load = find_function(find_probe(metadata["identity"]["method"]).fitted).load
        models = {
            fold: load(_below(f"fold.{fold}.", arrays), kind, selected)
            for fold in metadata["folds"]
        }
        layer = int(selected["feature"].removeprefix(LAYER_PREFIX))
    except UNREADABLE as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
        raise InputError(
            f"{path} is no file of a probe, or is damaged ({reason}); make it again with the target"
            " probes."
        ) from error
    return SavedProbe(models=models, layer=layer, metadata=metadata)


def _below(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
