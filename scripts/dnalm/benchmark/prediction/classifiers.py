"""Probes, fine-tuned models and networks as one: what reads sequences, and a task's folds on it.

Shapes: N sequences, C classes (multilabel: labels, regression: targets), L bases.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dnalm.benchmark.embedding.embed import choose_layers
from dnalm.benchmark.finetuning.classifier import FoldClassifiers
from dnalm.benchmark.prediction.folds import (
    AnyEncoder,
    Base,
    Facts,
    ProbeFolds,
    Rows,
    TunedFolds,
)
from dnalm.benchmark.probing.saved import read_probe
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.devices import device_of
from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.genome.kmers import Vocabulary
from dnalm.methods import NETWORKS, find_function
from dnalm.model.config import SHAPE
from dnalm.model.convolutions import VOCABULARY, Network
from dnalm.model.embedders.frozen import FrozenEmbedder
from dnalm.model.embedders.tunable import ForeignLimits, ForeignTokens
from dnalm.model.tensors import UNREADABLE, read_metadata
from dnalm.model.token_batches import Limits

ADAPTERS, PROBE = "adapters.safetensors", ".safetensors"  # what the files are called


class Classifier:
    """Folds of one task, ready to predict; `kind` and `classes` are those of the task.

    `encoder` may be moved to another device, but for an embedder. Its own weights stay as they are.
    """

    def __init__(self, base: Base, facts: Facts, models: ProbeFolds | TunedFolds) -> None:
        self.encoder: AnyEncoder = base.encoder
        self.vocabulary = base.vocabulary
        self.facts, self.folds, self.names = facts, facts.folds, facts.names
        self.kind, self.classes = facts.kind.name, facts.classes
        self._models = models

    @property
    def both_strands(self) -> bool:
        """Whether its outputs are the same for both strands of a sequence."""
        return self.facts.made.get("strands") == "both"

    @property
    def device(self) -> torch.device:
        """The device that its encoder computes on."""
        own = self.encoder
        return own.device if isinstance(own, FrozenEmbedder) else device_of(own)

    def limits(self, both: bool = False) -> Limits:
        """Return what its model reads; with `both` it is given both strands."""
        if isinstance(self.vocabulary, ForeignTokens):
            return ForeignLimits.of(self.vocabulary, both or self.both_strands)
        return Limits(vocabulary=self.vocabulary, max_tokens=self.encoder.config.max_tokens)

    def outputs(
        self, sequences: Sequence[str], names: Sequence[str], folds: Sequence[int], batch: int
    ) -> Iterator[np.ndarray]:
        """Yield the outputs of each of `folds`: probabilities float64 [N, C].

        regression: values in the targets' units; per_base: float32 [N, L, C], where what stands
        behind the end of a sequence means nothing. `sequences` are of A, C, G, T and N; `names`
        name them in errors; `batch` is the most tokens of a batch. Raises InputError for a sequence
        longer than the model's context.
        """
        rows = Rows(
            sequences=sequences,
            names=names,
            encoder=self.encoder,
            vocabulary=self.vocabulary,
            batch=batch,
        )
        return self._models.outputs(rows, self.facts, folds)


@dataclass(frozen=True, kw_only=True, eq=False)
class _NetworkBase:
    encoder: Network
    vocabulary: Vocabulary
    weights: Path


def load_classifier(base: Base | None, path: str | Path) -> Classifier:
    """Return the probe or fine-tuned model of a file, on the model that it was made from.

    A network that was trained from scratch has no such model: `base` plays no part. The encoder of
    `base` is changed in place by adapters. Raises InputError for a file of another sort, one that
    was made from other weights or another vocabulary, and where there is no base but for networks.
    """
    path = Path(path)
    with _explained(path):
        if texts := _find_network(path):
            return _load_network(path, texts)
        if base is None:
            raise InputError(f"{path} is no network, and needs the model that it was made from.")
        if path.name == ADAPTERS:
            tuned = FoldClassifiers(base.encoder, base.vocabulary, path)
            metadata = _read_metadata(path, tuned.metadata)
            outputs = metadata.get("outputs") or metadata["classifier"]
            made = {key: metadata["classifier"][key] for key in ("pooling", "centre_bases")}
            facts = _facts(path, metadata, outputs, made)
            _check_base(path, metadata, base)
            return Classifier(base, facts, TunedFolds(tuned=tuned))
        probe = read_probe(path)
        metadata = probe.metadata
        made = {key: value for key, value in metadata["features"].items() if key != "dtype"}
        facts = _facts(path, metadata, metadata["outputs"], {"layer": probe.layer, **made})
        _check_base(path, metadata, base)
        return Classifier(base, facts, ProbeFolds(probe=probe))


def _find_network(path: Path) -> Mapping[str, str]:
    """Return the metadata of a file of networks; none of any other file, whatever is in it."""
    try:
        texts = read_metadata(path)
    except UNREADABLE:
        return {}
    return texts if "network" in texts else {}


def _load_network(path: Path, texts: Mapping[str, str]) -> Classifier:
    settings, metadata = json.loads(texts["network"]), _read_metadata(path, texts)
    row = NETWORKS[settings.pop("name")]
    network = find_function(row.network)(**settings).eval()
    base = _NetworkBase(encoder=network, vocabulary=VOCABULARY, weights=path)
    facts = _facts(path, metadata, metadata["outputs"], {})
    tuned = FoldClassifiers(network, VOCABULARY, path)
    return Classifier(base, replace(facts, method=row.name), TunedFolds(tuned=tuned))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what damaged metadata raise into InputError."""
    try:
        yield
    except InputError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path} is no file of a classifier, or is damaged ({type(error).__name__}: {error}); "
            "make it again."
        ) from error


def find_classifier(folder: str | Path) -> Path:
    """Return the file of a classifier, given the folder of a fine-tuning or the name of another.

    The first is `results/finetunes/<method>/<model>/<task>`; the others, files without their
    ending, `results/probes/<model>/<task>` and `results/baselines/<network>/<task>`. Raises
    InputError where there is none.
    """
    folder = Path(folder)
    adapters, probe = folder / ADAPTERS, folder.with_name(folder.name + PROBE)
    for path in (adapters, probe):
        if path.is_file():
            return path
    raise InputError(
        f"{folder} holds no {ADAPTERS}, and there is no {probe}: give the folder of one fine-tuned"
        " task, or a probe's name as results/probes/<model>/<task>."
    )


def check_made(facts: Facts, asked: Mapping[str, Any], layers: int) -> None:
    """Raise InputError where a classifier was made with other settings than are asked for.

    `asked` are pooling and, of probes, the section `embed`; `layers` those of the model.
    """
    for key, value in facts.made.items():
        if key == "centre_bases" and facts.made["pooling"] != "centre":
            continue  # which other poolings do not read
        if key == "precision" and (asked[key], value) in (("auto", value), ("tf32", "float32")):
            continue  # what the machine had that made the embeddings
        if key == "layer":
            wanted = choose_layers(asked["layers"], layers)
            right, words = value in wanted, f"the layers {', '.join(map(str, wanted))}"
        else:
            right, words = value == asked[key], repr(asked[key])
        if not right:
            raise InputError(
                f"{facts.path} was made with {key} {value!r}, but the configuration asks for "
                f"{words}: make it again, or set the key back."
            )


def _read_metadata(path: Path, texts: Mapping[str, str]) -> dict[str, Any]:
    wanted = ("identity", "classifier", "folds", "outputs", "model")
    try:
        found = {key: json.loads(texts[key]) for key in wanted if key in texts}
        found["folds"] = [int(fold) for fold in found["folds"]]
        found["identity"]["weights_sha256"], found["classifier"]["kind"]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path} is no file of adapters, or is damaged ({type(error).__name__}: {error}); make"
            " it again with the target finetunes."
        ) from error
    return found


def _facts(
    path: Path, metadata: Mapping[str, Any], outputs: Mapping[str, Any], made: Mapping[str, Any]
) -> Facts:
    identity, classes, names = metadata["identity"], int(outputs["classes"]), outputs.get("names")
    lengths = outputs.get("lengths")
    return Facts(
        path=path,
        method=identity.get("method", ""),
        model=identity.get("model", ""),
        task=identity.get("task", ""),
        kind=find_kind(outputs["kind"]),
        classes=classes,
        names=names or [str(number) for number in range(classes)],
        numbered=not names,
        lengths=(int(lengths["min"]), int(lengths["max"])) if lengths else None,
        folds=tuple(metadata["folds"]),
        made=made,
    )


def _check_base(path: Path, metadata: Mapping[str, Any], base: Base) -> None:
    identity, model = metadata["identity"], metadata.get("model")
    if identity["weights_sha256"] != (getattr(base, "sha256", None) or sha256_of(base.weights)):
        raise InputError(
            f"{path} was made from other weights than {base.weights}, those of the model "
            f"{identity.get('model')}: load that one."
        )
    if not model:
        return
    own = {
        "k": base.vocabulary.k,
        "vocabulary": base.vocabulary.version,
        "encoder": vars(base.encoder.config),
    }
    for key in SHAPE:
        if model[key] != own[key]:
            raise InputError(
                f"{path} was made with {key} {str(model[key])[:200]}, but the model of "
                f"{base.weights} has {str(own[key])[:200]}: load the model that it was made from."
            )
