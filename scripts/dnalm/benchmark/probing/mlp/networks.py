"""Multilayer perceptrons of several trials and all splits, trained at once by batched products.

Shapes: S splits, T trials, D features, U units of the widest trial, C outputs, R rows of a batch.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from dnalm.benchmark.probing.mlp.search_space import Hyperparameters
from dnalm.benchmark.tasks.kinds import BINARY_CROSS_ENTROPY, SQUARED_ERROR, find_kind

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's own
CHUNK_ROWS = 512  # rows whose outputs are computed at once


class Networks:
    """Equally deep multilayer perceptrons and their Adam states: one for each trial and split.

    `settings` and `seeds` are those of the T trials, `width` is D, `outputs` is C.
    """

    def __init__(
        self,
        settings: Sequence[Hyperparameters],
        seeds: Sequence[int],
        splits: int,
        width: int,
        outputs: int,
        device: str,
    ) -> None:
        widest = max(max(one.units) for one in settings)
        # Trials are padded to the widest. A padded unit has weights of 0 on both sides, so its
        # output and its gradients are 0 and it stays as it is.
        deeper = [(widest, widest)] * (len(settings[0].units) - 1)
        shapes = [(widest, width), *deeper, (outputs, widest)]
        self.weights = [torch.zeros(splits, len(settings), *shape) for shape in shapes]
        self.biases = [torch.zeros(splits, len(settings), shape[0], 1) for shape in shapes]
        for trial, (hyperparameters, seed) in enumerate(zip(settings, seeds, strict=True)):
            # Drawn on the CPU and trial by trial: neither the device nor the other trials matter.
            generator = torch.Generator().manual_seed(seed)
            sizes = [width, *hyperparameters.units, outputs]
            layers = zip(self.weights, self.biases, pairwise(sizes), strict=True)
            for weights, biases, (fan_in, fan_out) in layers:
                bound = 1 / math.sqrt(fan_in)  # as torch.nn.Linear
                weight = torch.empty(splits, fan_out, fan_in).uniform_(
                    -bound, bound, generator=generator
                )
                bias = torch.empty(splits, fan_out).uniform_(-bound, bound, generator=generator)
                weights[:, trial, :fan_out, :fan_in] = weight
                biases[:, trial, :fan_out, 0] = bias

        def of_trials(values: list[float]) -> Tensor:
            return torch.tensor(values, device=device)[None, :, None, None]

        self.weights, self.biases = (
            [array.to(device) for array in arrays] for arrays in (self.weights, self.biases)
        )
        self.rates = of_trials([one.learning_rate for one in settings])
        # Known to the host as well, which would wait for the device to tell it at every layer.
        self._tanh = [one.activation == "tanh" for one in settings]
        self.is_tanh = of_trials(self._tanh)
        self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in self.parameters]
        self.steps = 0

    @property
    def parameters(self) -> list[Tensor]:
        """All weights and biases, [S, T, ...] each."""
        return [*self.weights, *self.biases]

    def take(self, kept: list[int]) -> None:
        """Keep some of the trials, by their positions, with the states of their optimizer."""
        self.weights, self.biases = (
            [array[:, kept] for array in arrays] for arrays in (self.weights, self.biases)
        )
        self.moments = [(first[:, kept], second[:, kept]) for first, second in self.moments]
        self.rates, self.is_tanh = (values[:, kept] for values in (self.rates, self.is_tanh))
        self._tanh = [self._tanh[trial] for trial in kept]

    def logits(self, rows: Tensor) -> Tensor:
        """Return logits [S, T, C, R] for the rows [S, R, D] of each split, standardised."""
        return compute_logits(self.weights, self.biases, self._activate, rows)

    def _activate(self, values: Tensor) -> Tensor:
        if all(self._tanh):
            return values.tanh()
        if not any(self._tanh):
            return values.relu()
        return torch.where(self.is_tanh, values.tanh(), values.relu())

    def predict(self, rows: Tensor) -> Tensor:
        """Return the logits [S, T, R, C] of many rows [S, R, D], without gradients."""
        with torch.no_grad():
            parts = [self.logits(part) for part in rows.split(CHUNK_ROWS, dim=1)]
        return torch.cat(parts, dim=3).transpose(2, 3)

    def step(self, rows: Tensor, labels: Tensor, counted: Tensor, kind: str) -> None:
        """Take a step of Adam (Kingma and Ba 2015) on a batch [S, R, D], each network its own.

        `labels` are as for `losses_of`, `counted` [S, R] is 1, or 0 for rows that pad the batch.
        """
        parameters = self.parameters
        for parameter in parameters:
            parameter.requires_grad_(True)
        losses = losses_of(self.logits(rows), labels, kind)
        shares = counted / counted.sum(dim=1, keepdim=True)
        # The networks share nothing, so the gradient of the sum holds each one's own.
        gradients = torch.autograd.grad((losses * shares[:, None]).sum(), parameters)
        for parameter in parameters:
            parameter.requires_grad_(False)
        # Written out: within one tensor the learning rate differs by trial, unlike in torch.optim.
        self.steps += 1
        rates = self.rates / (1 - BETA1**self.steps)
        for parameter, gradient, (first, second) in zip(
            parameters, gradients, self.moments, strict=True
        ):
            first.lerp_(gradient, 1 - BETA1)
            second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            # Both moments corrected for their start at 0, the first one in `rates`.
            size = (second / (1 - BETA2**self.steps)).sqrt_().add_(EPSILON)
            parameter.sub_((first / size).mul_(rates))


def compute_logits(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    activate: Callable[[Tensor], Tensor],
    rows: Tensor,
) -> Tensor:
    """Return logits [S, T, C, R] of perceptrons for the rows [S, R, D] of each split.

    Of each layer `weights` are [S, T, outputs, inputs] and `biases` [S, T, outputs, 1]; `activate`
    is the function of the hidden units [S, T, outputs, R].
    """
    # All trials of a split see the same rows: one product for them together.
    states = weights[0].flatten(1, 2) @ rows.transpose(1, 2)
    states = activate(states.unflatten(1, weights[0].shape[1:3]) + biases[0])
    for inner, bias in zip(weights[1:-1], biases[1:-1], strict=True):
        states = activate(inner @ states + bias)
    return weights[-1] @ states + biases[-1]


def losses_of(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    """Return the loss of every row [S, T, R]: cross-entropy or squared error, the mean over labels.

    `logits` are [S, T, C, R]; `labels` class numbers [S, R], or 0 and 1 (multilabel) or
    standardised targets [S, R, C].
    """
    loss = find_kind(kind).loss
    if loss == BINARY_CROSS_ENTROPY:
        truth = labels.transpose(1, 2)[:, None]
        return (torch.nn.functional.softplus(logits) - truth * logits).mean(dim=2)
    if loss == SQUARED_ERROR:
        return (logits - labels.transpose(1, 2)[:, None]).square().mean(dim=2)
    targets = labels[:, None, None].expand(-1, logits.shape[1], 1, -1)
    return logits.logsumexp(dim=2) - logits.gather(2, targets)[:, :, 0]
