"""What fine-tuning has trained: saved by fold, loaded again, and used to predict.

A fold's tensors are `adapter.<parameter>` of what was trained of the encoder and
`head.{weight,bias}`, of a regression, whose head gives standardised values,
`targets.{mean,deviation}` too, of batch normalisation `batches.<layer>.running_{mean,var}`; in a
file of several folds the names begin with `fold.<f>.`.

Shapes: R rows, C classes (multilabel: labels, regression: targets),
L bases of the longest row.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dnalm.benchmark.scoring.objectives import Scale, activate
from dnalm.benchmark.scoring.stored_outputs import Outputs, StoredOutputs, new_outputs, put_rows
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.devices import device_of, fetch, send
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.methods import ADAPTER_NAMES
from dnalm.model.adapters import add_adapter, load_adapter, trained_parameters
from dnalm.model.convolutions import Network
from dnalm.model.embedders.tunable import (
    ForeignBaseClassifier,
    ForeignClassifier,
    ForeignEncoder,
    ForeignTokens,
)
from dnalm.model.encoder import Encoder
from dnalm.model.heads import BaseClassifier, PairClassifier, PooledClassifier
from dnalm.model.tensors import MAX_REASON, UNREADABLE, read_metadata, stream_arrays
from dnalm.model.token_batches import TokenRows, limit_tokens

Classifier = PooledClassifier | PairClassifier | BaseClassifier
NOTHING = "scores"  # as `save` of a method, and in files: no tensors
FACTS = (
    "step",
    "seconds",
    "peak_bytes",
    "history",
    "trained",
    "parameters",
)  # of a fold, in its file
OUTPUTS = "probabilities"  # in files; what a regression puts there are values


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One finished fold: the kept adapter and head, and what they give for the test rows.

    `tensors` are none where only scores are saved; `outputs` are those of `predict`. `history` has
    one row per evaluation (step, train_loss, validation_<first metric of the kind>), `step` is the
    kept one. `peak_bytes` is the most memory that was held while it was trained: on a GPU what
    torch had given out there, to all folds beside each other; else by the process, up to then.
    `trained` of `parameters` numbers of the classifier were trained, its head included.
    """

    fold: int
    tensors: dict[str, Tensor]
    outputs: Outputs
    history: list[dict[str, Any]]
    step: int
    seconds: float
    peak_bytes: int
    trained: int
    parameters: int

    def validation_score(self, metric: str) -> float:
        """Return the validation score of the kept step."""
        row = next(row for row in self.history if row["step"] == self.step)
        return row[f"validation_{metric}"]

    def save(self, path: str | Path) -> None:
        """Write the fold as one safetensors file, outputs of bases that lie in a file in blocks."""
        facts = {name: getattr(self, name) for name in FACTS}
        metadata = {"fold": str(self.fold), "facts": json.dumps(facts)}
        if isinstance(self.outputs, StoredOutputs):
            arrays: dict[str, Any] = {name: own.numpy() for name, own in self.tensors.items()}
            arrays |= {OUTPUTS: self.outputs}
            shapes = {name: own.shape for name, own in arrays.items()}
            types = {name: own.dtype.name for name, own in arrays.items()}
            stream_arrays(arrays.items(), shapes, types, path, metadata)
        else:
            tensors = self.tensors | {OUTPUTS: torch.from_numpy(self.outputs)}
            save_file(tensors, path, metadata)

    @classmethod
    def load(cls, path: str | Path) -> "Fold":
        """Return a fold that `save` wrote; outputs of bases stay in the file."""
        with safe_open(path, framework="pt") as file:
            metadata, shape = file.metadata(), file.get_slice(OUTPUTS).get_shape()
            names = [name for name in file.keys() if name != OUTPUTS]  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in names}
            of_bases = len(shape) == StoredOutputs.ndim
            outputs = None if of_bases else file.get_tensor(OUTPUTS).numpy()
        if of_bases:
            outputs = StoredOutputs.open(path, OUTPUTS)
        return cls(
            fold=int(metadata["fold"]),
            tensors=tensors,
            outputs=outputs,
            **json.loads(metadata["facts"]),
        )


def build_classifier(
    encoder: Encoder | Network | ForeignEncoder,
    vocabulary: Vocabulary | ForeignTokens,
    facts: Mapping[str, Any],
) -> Classifier:
    """Return a new classifier; `facts` are kind, classes, pooling and centre_bases.

    `bins` is there where each of the targets of a regression is an expectation over so many,
    `pairs` where a row is a pair of sequences. Raises InputError for a task of bases and a model
    that does not say how long its tokens are.
    """
    if facts.get("pairs"):
        return PairClassifier(encoder, facts["classes"], facts["pooling"], vocabulary)
    if find_kind(facts["kind"]).pooled:
        of_kind = ForeignClassifier if isinstance(encoder, ForeignEncoder) else PooledClassifier
        return of_kind(
            encoder,
            facts["classes"],
            facts["pooling"],
            vocabulary,
            facts["centre_bases"],
            facts.get("bins"),
        )
    of_bases = ForeignBaseClassifier if isinstance(encoder, ForeignEncoder) else BaseClassifier
    return of_bases(encoder, facts["classes"], vocabulary)


def trained_state(classifier: Classifier) -> dict[str, nn.Parameter]:
    """Return what fine-tuning changes, by name: the adapter's parameters and the head."""
    adapter = trained_parameters(classifier.encoder)
    return {f"adapter.{name}": values for name, values in adapter.items()} | {
        f"head.{name}": values for name, values in classifier.output.named_parameters()
    }


def kept_state(classifier: Classifier) -> dict[str, Tensor]:
    """Return what a trained classifier holds beside `trained_state`, by name: bins, statistics."""
    bins = {f"head.{name}": values for name, values in classifier.output.named_buffers()}
    return bins | batch_statistics(classifier.encoder)


def batch_statistics(encoder: nn.Module) -> dict[str, Tensor]:
    """Return the running means and variances of an encoder's batch normalisation, by name."""
    return {
        f"batches.{name}.{own}": getattr(module, own)
        for name, module in encoder.named_modules()
        if isinstance(module, nn.BatchNorm1d)
        for own in ("running_mean", "running_var")
    }


def classifier_state(classifier: Classifier) -> dict[str, Tensor]:
    """Return copies on the CPU of `trained_state` and `kept_state`."""
    kept = trained_state(classifier) | kept_state(classifier)
    return {name: values.detach().cpu().clone() for name, values in kept.items()}


def load_classifier_state(classifier: Classifier, state: Mapping[str, Tensor]) -> None:
    """Give a classifier whose encoder has its adapter the state of `classifier_state`."""
    load_adapter(classifier.encoder, _below("adapter.", state))
    classifier.output.load_state_dict(_below("head.", state))
    for name, values in batch_statistics(classifier.encoder).items():
        values.copy_(state[name])


class FoldClassifiers:
    """The classifiers of an adapters file on one encoder, which each `load` changes in place.

    The encoder may be a network, all of which the file then holds. `metadata` is that of the file.
    Raises InputError for a file that cannot be read.
    """

    def __init__(
        self,
        encoder: Encoder | Network | ForeignEncoder,
        vocabulary: Vocabulary | ForeignTokens,
        adapters: str | Path,
    ) -> None:
        self._encoder, self._vocabulary, self._path = encoder, vocabulary, adapters
        with self._explained():
            self.metadata = read_metadata(adapters)

    def load(self, fold: int) -> tuple[Classifier, Scale | None]:
        """Return the encoder with the adapter and head of one fold, to predict with.

        The scale of its targets comes with it, of other kinds than regression None. Raises
        InputError when the file has no such fold, or does not fit the encoder.
        """
        prefix = f"fold.{fold}."
        with self._explained():
            state = _below(prefix, read_tensors(self._path, prefix)[0])
        if not state:
            if self.metadata.get("saved") == NOTHING:
                raise InputError(
                    f"{self._path} holds scores alone, as its method says (save: scores): to "
                    "predict with it, write save: trained and make it again."
                )
            folds = self.metadata.get("folds", "none, it is another file")
            raise InputError(f"{self._path} holds no fold {fold}: choose one of {folds}.")
        if broken := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
            raise InputError(f"{self._path}: {broken[0]} is not finite; make the file again.")
        with self._explained():
            # Files without the names were written when there was the first one alone.
            options = json.loads(self.metadata.get("options", "{}"))
            add_adapter(self._encoder, self.metadata.get("adapter", ADAPTER_NAMES[0]), options)
            facts = json.loads(self.metadata["classifier"])
            classifier = build_classifier(self._encoder, self._vocabulary, facts)
            load_classifier_state(classifier, state)
        classifier.to(device_of(self._encoder))
        return classifier.eval(), Scale.load(state)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except InputError:  # which is a ValueError
            raise
        except UNREADABLE as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
            raise InputError(
                f"{self._path} is no file of adapters that fits this model, or is damaged "
                f"({reason}); make it again with the target finetunes."
            ) from error


def predict(
    classifier: Classifier,
    rows: TokenRows,
    chosen: np.ndarray,
    batch_tokens: int,
    kind: str,
    scale: Scale | None,
    folder: Path | None = None,
) -> Outputs:
    """Return probabilities float64 [R, C] of the rows `chosen`, in their order.

    regression: the values [R, C], in the targets' units with their `scale`; per_base: float32
    [R, L, C], where what stands behind the end of a sequence means nothing, in a file without a
    name in `folder` where one is given (`StoredOutputs`). Batches have at most
    `batch_tokens` tokens, on a CPU no more than fit its cache.
    """
    (outputs,) = predict_folds(classifier, rows, [chosen], batch_tokens, kind, folder)
    return scale.restore(outputs) if scale and find_kind(kind).pooled else outputs


@torch.inference_mode()
def predict_folds(
    classifier: Classifier,
    rows: TokenRows,
    chosen: Sequence[np.ndarray],
    batch_tokens: int,
    kind: str,
    folder: Path | None = None,
) -> list[Outputs]:
    """Return the outputs of `predict` for the rows of each fold, without a scale.

    Batches hold rows of fold after fold, as many of each.
    """
    classifier.eval()
    device = classifier.output.weight.device
    order = [rows.longest_first(own) for own in chosen]

    def compute(batch: np.ndarray) -> Tensor:
        tokens, padded = rows.batch(batch)
        logits = classifier(send(tokens, device), padded=padded, longest=rows.count_bases(batch))
        return activate(logits.float(), kind)

    batches = map(np.concatenate, rows.side_by_side(order, limit_tokens(batch_tokens, device)))
    computed = fetch((None, compute(batch)) for batch in batches)
    places = list(map(find_places, order, chosen))
    pooled, width = find_kind(kind).pooled, max(map(rows.count_bases, chosen))
    found: list[Outputs] = []
    start = 0
    for _, outputs in computed:
        classes = outputs.shape[-1]
        found = found or [
            np.empty((len(own), classes))
            if pooled
            else new_outputs(folder, (len(own), width, classes))
            for own in chosen
        ]
        parts = np.split(outputs, len(chosen))
        for own, ordered, part in zip(found, places, parts, strict=True):
            some = ordered[start : start + len(part)]  # behind a list's end its last row came again
            put_rows(own, some, part[: len(some)])
        start += len(parts[0])
    return found


def find_places(order: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return where each row of `order` stands among the same rows as `chosen`."""
    place = np.empty(int(chosen.max(initial=-1)) + 1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    return place[order]


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def read_tensors(path: str | Path, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors, those whose names begin with `prefix`, and the metadata of a file."""
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        return {name: file.get_tensor(name) for name in names}, file.metadata()
