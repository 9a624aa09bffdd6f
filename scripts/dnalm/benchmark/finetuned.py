"""Fine-tuned adapters and heads: saved by fold, loaded again, and used to predict.

A fold's tensors are `adapter.<vector>` and `head.{weight,bias}`; in a file of several folds the
names begin with `fold.<f>.`. Shapes: R test rows, C classes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from dnalm.benchmark.tokens import TokenRows
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.model.adapters import adapter_state, load_adapter
from dnalm.model.encoder import Encoder
from dnalm.model.heads import PooledClassifier
from dnalm.model.weights import save_tensors


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One finished fold: the kept adapter and head, the test probabilities [R, C] they give.

    `history` has one row per evaluation (step, train_loss, validation_mcc), `step` is the kept one.
    """

    fold: int
    tensors: dict[str, Tensor]
    probabilities: np.ndarray
    history: list[dict[str, Any]]
    step: int
    seconds: float

    def save(self, path: str | Path) -> None:
        """Write the fold as one safetensors file, complete or not at all."""
        facts = {"step": self.step, "seconds": self.seconds, "history": self.history}
        tensors = self.tensors | {"probabilities": torch.from_numpy(self.probabilities)}
        save_tensors(tensors, path, {"fold": str(self.fold), "facts": json.dumps(facts)})

    @classmethod
    def load(cls, path: str | Path) -> "Fold":
        """Return a fold that `save` wrote."""
        tensors, metadata = read_tensors(path)
        probabilities = tensors.pop("probabilities").numpy()
        return cls(
            fold=int(metadata["fold"]),
            tensors=tensors,
            probabilities=probabilities,
            **json.loads(metadata["facts"]),
        )


def classifier_state(classifier: PooledClassifier) -> dict[str, Tensor]:
    """Return copies of what fine-tuning changes: the adapter's vectors and the head."""
    head = classifier.output.state_dict()
    return {
        f"adapter.{name}": tensor for name, tensor in adapter_state(classifier.encoder).items()
    } | {f"head.{name}": tensor.detach().cpu().clone() for name, tensor in head.items()}


def load_classifier_state(classifier: PooledClassifier, state: Mapping[str, Tensor]) -> None:
    """Give a classifier the adapter and head of `classifier_state`."""
    load_adapter(classifier.encoder, _below("adapter.", state))
    classifier.output.load_state_dict(_below("head.", state))


def load_classifier(
    encoder: Encoder, vocabulary: Vocabulary, adapters: str | Path, fold: int
) -> PooledClassifier:
    """Return `encoder` with the adapter and head of one fold of an adapters file, to predict with.

    The encoder is changed in place. Raises InputError when the file has no such fold.
    """
    tensors, metadata = read_tensors(adapters)
    state = _below(f"fold.{fold}.", tensors)
    if not state:
        raise InputError(f"{adapters} holds no fold {fold}: choose one of {metadata['folds']}.")
    facts = json.loads(metadata["classifier"])
    classifier = PooledClassifier(
        encoder, facts["classes"], facts["pooling"], vocabulary, facts["centre_bases"]
    )
    load_classifier_state(classifier, state)
    return classifier.eval()


@torch.inference_mode()
def predict(
    classifier: PooledClassifier, rows: TokenRows, chosen: np.ndarray, batch_tokens: int
) -> np.ndarray:
    """Return class probabilities float64 [R, C] of the rows `chosen`, in their order."""
    classifier.eval()
    device = classifier.output.weight.device
    probabilities = np.empty((len(rows), classifier.output.out_features))
    for batch in rows.by_length(chosen, batch_tokens):
        tokens, _ = rows.batch(batch)
        logits = classifier(tokens.to(device))
        probabilities[batch] = logits.double().softmax(dim=-1).cpu().numpy()
    return probabilities[chosen]


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
