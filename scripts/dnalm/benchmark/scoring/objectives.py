"""Loss functions and activations in torch, and the scale of regression targets.

Shapes: F folds, B batch, N rows, C classes (multilabel: labels, regression: targets), L bases.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from dnalm.benchmark.tasks.kinds import (
    BINARY_CROSS_ENTROPY,
    CLASS,
    CROSS_ENTROPY,
    FLAG,
    IDENTITY,
    NUMBER,
    SIGMOID,
    SOFTMAX,
    SQUARED_ERROR,
    find_kind,
)
from dnalm.benchmark.tasks.labels import NO_LABEL, count_classes
from dnalm.devices import send
from dnalm.errors import InputError

TARGET_MEAN, TARGET_DEVIATION = "targets.mean", "targets.deviation"  # in files


def loss_of(logits: Tensor, labels: np.ndarray, kind: str, weights: Tensor | None = None) -> Tensor:
    """Return the mean loss of a batch, on the device of `logits`.

    Cross entropy of classes; of 0 and 1 for each label (multilabel); squares (regression, targets
    in the units of the logits); cross entropy over the labelled bases (per_base: logits [B, L, C],
    `labels` [B, L or more]), 0 where there is none. With `weights` of `balanced_weights` means of
    classes are weighted ones, sum of weights below the line.
    """
    given = send(torch.from_numpy(labels), logits.device)[None]
    stacked = None if weights is None else weights[None]
    return (sum_losses(logits[None], given, kind, stacked) / weigh(given, kind, stacked))[0]


def sum_losses(logits: Tensor, given: Tensor, kind: str, weights: Tensor | None) -> Tensor:
    """Return the summed losses [F] of batches side by side: `logits` [F, B, C] or [F, B, L, C].

    `given` are their labels, `weights` None or those of `balanced_weights`, [F, ...]. Over `weigh`
    of the same labels they are the means of `loss_of`; parts of a batch add up.
    """
    return LOSSES[find_kind(kind).loss](logits, given, weights)


def weigh(given: Tensor, kind: str, weights: Tensor | None) -> Tensor:
    """Return what the sums of `sum_losses` have to be divided by to be means, float32[F]."""
    if find_kind(kind).loss != CROSS_ENTROPY:
        return torch.full((len(given),), float(given[0].numel()), device=given.device)
    known = given.flatten(1) != NO_LABEL
    if weights is None:
        return known.sum(1).clamp(min=1).float()
    smallest = torch.finfo(torch.float32).tiny
    return (_weights_of(given, weights) * known).sum(1).clamp(min=smallest)


def weigh_classes(
    weights: str | float, labels: np.ndarray, kind: str, classes: int
) -> Tensor | None:
    """Return the weights of a loss: None for none, those of `balanced_weights`, or of a 0 and a 1.

    A number is what a 1 of a label counts beside a 0, multilabel [2, C]. Raises InputError for a
    number where labels are no 0 and 1 each, and balanced where there are no classes.
    """
    if weights == "none":
        return None
    if weights == "balanced":
        return balanced_weights(labels, kind, classes)
    if find_kind(kind).value != FLAG:
        raise InputError(
            f"class_weights is {weights}, what a label's 1 counts beside a 0, but a {kind} task has"
            " no such labels: set it to none or balanced for this task."
        )
    return torch.tensor([[1.0], [float(weights)]]).expand(2, classes).contiguous()


def balanced_weights(labels: np.ndarray, kind: str, classes: int) -> Tensor:
    """Return weights by which all classes count alike among rows with `labels`, float32.

    Of classes [C]: labels / (C · labels of the class), as scikit-learn's `balanced`, 0 where there
    is none; multilabel [2, C]: of a 0 and a 1 of each label. Raises InputError for a regression,
    which has no classes.
    """
    traits = find_kind(kind)
    if traits.value == NUMBER:
        raise InputError(
            f"class_weights is balanced, but a {kind} has no classes: set it to none for this task."
        )
    if traits.value == CLASS:
        counts = np.array(count_classes(labels, classes))
        wanted = counts.sum() / classes
    else:
        positive = (labels == 1).sum(axis=0)
        counts, wanted = np.stack([len(labels) - positive, positive]), len(labels) / 2
    weights = np.where(counts > 0, wanted / np.maximum(counts, 1), 0.0)
    return torch.from_numpy(weights.astype(np.float32))


def _cross_entropy(logits: Tensor, given: Tensor, weights: Tensor | None) -> Tensor:
    if logits.ndim == 4:
        given = given[:, :, : logits.shape[2]]
    each = cross_entropy(
        logits.flatten(0, -2),
        given.flatten().long(),
        ignore_index=NO_LABEL,
        reduction="none",
    ).view(len(logits), -1)
    return (each if weights is None else each * _weights_of(given, weights)).sum(1)


def _weights_of(given: Tensor, weights: Tensor) -> Tensor:
    """Return the weight of each class in `given`, [F, N]; of no label any."""
    return weights.gather(1, given.flatten(1).long().clamp(min=0))


def _binary_cross_entropy(logits: Tensor, given: Tensor, weights: Tensor | None) -> Tensor:
    if weights is not None:
        weights = torch.where(given == 1, weights[:, 1:], weights[:, :1])
    given = given.to(logits.dtype)
    each = binary_cross_entropy_with_logits(logits, given, weight=weights, reduction="none")
    return each.flatten(1).sum(1)


def _squared_error(logits: Tensor, given: Tensor, weights: Tensor | None) -> Tensor:
    return mse_loss(logits, given.to(logits.dtype), reduction="none").flatten(1).sum(1)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    CROSS_ENTROPY: _cross_entropy,
    BINARY_CROSS_ENTROPY: _binary_cross_entropy,
    SQUARED_ERROR: _squared_error,
}


def activate(logits: Tensor, kind: str) -> Tensor:
    """Return probabilities float64 of the shape of `logits`; of a regression the values."""
    return ACTIVATIONS[find_kind(kind).activation](logits.double())


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(dim=-1)


def _identity(logits: Tensor) -> Tensor:
    return logits


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    SOFTMAX: _softmax,
    SIGMOID: torch.sigmoid,
    IDENTITY: _identity,
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Mean and standard deviation float64 [C] of the targets of a regression."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> "Scale":
        """Return the scale of some rows' targets [N, C]; a constant target keeps its units."""
        # The deviation of equal numbers need not be 0: their mean is rounded.
        deviation = np.where(np.ptp(labels, axis=0) > 0, labels.std(axis=0), 0.0)
        return cls(mean=labels.mean(axis=0), deviation=np.where(deviation > 0, deviation, 1.0))

    @classmethod
    def load(cls, state: Mapping[str, Tensor]) -> "Scale | None":
        """Return the scale that `state` gave, None where there is none."""
        if TARGET_MEAN not in state:
            return None
        return cls(mean=state[TARGET_MEAN].numpy(), deviation=state[TARGET_DEVIATION].numpy())

    def state(self) -> dict[str, Tensor]:
        """Return the scale as tensors float64 [C], to be kept beside a classifier's."""
        return {
            TARGET_MEAN: torch.from_numpy(self.mean),
            TARGET_DEVIATION: torch.from_numpy(self.deviation),
        }

    def standardise(self, labels: np.ndarray) -> np.ndarray:
        """Return targets [N, C] in standard deviations from the mean."""
        return (labels - self.mean) / self.deviation

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Return standardised values [N, C] in the units of the targets."""
        return values * self.deviation + self.mean
