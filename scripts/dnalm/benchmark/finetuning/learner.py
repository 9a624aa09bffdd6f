"""Training steps of one fold, and what any number of folds have in common.

Shapes: F folds, R rows, C classes.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from dnalm.benchmark.finetuning.classifier import (
    Classifier,
    build_classifier,
    classifier_state,
    kept_state,
    load_classifier_state,
    predict,
    trained_state,
)
from dnalm.benchmark.finetuning.dropout import Noise, seed_dropout
from dnalm.benchmark.finetuning.fingerprints import Fingerprints
from dnalm.benchmark.finetuning.half_weights import HalfWeights
from dnalm.benchmark.finetuning.settings import FinetuneConfig, Finetuning
from dnalm.benchmark.finetuning.task_data import FoldData, TaskData
from dnalm.benchmark.scoring.objectives import sum_losses, weigh
from dnalm.benchmark.scoring.stored_outputs import Outputs
from dnalm.devices import best_device, send
from dnalm.genome.kmers import Vocabulary
from dnalm.methods import NETWORKS, find_function
from dnalm.model.adam import Adam
from dnalm.model.adapters import add_adapter
from dnalm.model.convolutions import VOCABULARY, Network
from dnalm.model.embedders.tunable import ForeignEncoder, ForeignTokens, open_tunable
from dnalm.model.encoder import Encoder
from dnalm.model.loading import load_model

MOMENTS = ("exp_avg", "exp_avg_sq")  # torch's names of Adam's


@dataclass(frozen=True, kw_only=True)
class FoldState:
    """What the steps of one fold change, on the CPU: trained numbers by name, Adam's moments.

    What had no gradient yet has no moments.
    """

    values: dict[str, Tensor]
    first: dict[str, Tensor]
    second: dict[str, Tensor]
    updates: int


@dataclass(frozen=True, kw_only=True)
class Tested:
    """Outputs of a fold for the test rows, and how many numbers were trained of how many."""

    outputs: Outputs
    trained: int
    parameters: int


class Learner(Protocol):
    """Folds that are trained side by side, in the order of `folds`."""

    data: TaskData
    device: torch.device
    folds: list[int]

    def begin(self, folds: Sequence[int], states: Mapping[int, FoldState]) -> None:
        """Take folds up from their states; those without one begin as their seed says."""

    def agree(self, value: float) -> float:
        """Return what all processes of the job take for a number that theirs differ in."""

    def update(self, batches: Sequence[np.ndarray], step: int, rate: float) -> Tensor:
        """Make step number `step` with a batch of each fold; return the losses [F], unread."""

    def validate(self, chosen: Sequence[np.ndarray]) -> list[Outputs]:
        """Return each fold's outputs for rows of its own, of a regression standardised.

        In the precision of training.
        """

    def kept(self, place: int) -> dict[str, Tensor]:
        """Return copies of what is trained of the fold at `place`, as `classifier_state` does."""

    def states(self) -> list[FoldState]:
        """Return copies of the folds' states."""

    def test(self, fold: int, tensors: Mapping[str, Tensor]) -> Tested:
        """Score the test rows in float32 with `tensors` of `kept`; `begin` has to follow.

        Raises RuntimeError when training has changed a frozen parameter.
        """


class SingleLearner:
    """One fold by itself, whatever its method trains.

    At most `micro_batch` rows are computed at a time, None: all of a batch; gradients add up.
    `data` is what reads the rows; outputs of bases lie in files in the folder `scratch`, None: in
    memory.
    """

    def __init__(
        self,
        finetuning: Finetuning,
        data: type[TaskData] = TaskData,
        micro_batch: int | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.scratch = scratch
        self.finetuning, self.config = finetuning, finetuning.config
        self._open_data, self.micro_batch = data, micro_batch
        self.device = best_device()
        self.folds: list[int] = []

    def agree(self, value: float) -> float:
        return value

    def build(self, fold: int, *, fresh: bool) -> None:
        """Make the classifier of a fold, on the CPU, as its seed says.

        A `fresh` one takes from the rows what a checkpoint holds.
        """
        self.folds = [fold]
        encoder, self.vocabulary = start(self.finetuning, fold)
        self.data = self._open_data(self.finetuning, self.vocabulary, encoder.config.max_tokens)
        self.fold: FoldData = self.data.fold(fold)
        # The windows of one row meet the same noise: what tells them apart is all that counts.
        self.noise = Noise(self.config.seed, self.folds * self.data.windows)
        add_adapter(encoder, self.config.adapter, self.config.options)
        self.classifier: Classifier = build_classifier(
            encoder, self.vocabulary, self.finetuning.head()
        )
        if fresh:
            self.data.prepare(self.classifier, self.fold)
        self.before = Fingerprints.of(encoder)
        seed_dropout(self.classifier, self.noise)
        self.weights = None if self.fold.weights is None else self.fold.weights.to(self.device)

    def begin(self, folds: Sequence[int], states: Mapping[int, FoldState]) -> None:
        """Load the model anew and take up the one fold of `folds`."""
        (fold,) = folds
        self.build(fold, fresh=fold not in states)
        self.classifier.to(self.device)
        self.half = HalfWeights(self.classifier.encoder, self.config.precision)
        if fold in states:
            load_classifier_state(self.classifier, states[fold].values)
        self.learned = trained_state(self.classifier)
        self.optimizer = make_optimizer(self.config, self.learned.values())
        if fold in states:
            for name, values in self.learned.items():
                restore_moments(self.optimizer, values, states[fold], name)

    def update(self, batches: Sequence[np.ndarray], step: int, rate: float) -> Tensor:
        (batch,) = batches
        self.classifier.train()
        self.optimizer.zero_grad()
        labels = send(torch.from_numpy(self.fold.labels[batch]), self.device)[None]
        weights = None if self.weights is None else self.weights[None]
        below = weigh(labels, self.finetuning.kind, weights)
        shape = len(batch), self.data.rows.count_tokens(batch)
        total = torch.zeros(1, device=self.device)
        width = self.micro_batch or len(batch)
        for first in range(0, len(batch), width):
            part = slice(first, first + width)
            tokens, padded = self.data.rows.batch(batch[part])
            self.noise.begin(step, [shape] * self.data.windows, part)
            with rounded(self.config, self.device):
                longest = self.data.rows.count_bases(batch[part])
                logits = self.classifier(send(tokens, self.device), padded=padded, longest=longest)
            own = labels[:, part]
            loss = sum_losses(logits.float()[None], own, self.finetuning.kind, weights) / below
            loss.sum().backward()
            total += loss.detach()
        if self.config.gradient_clip is not None:
            clip_grad_norm_(list(self.learned.values()), self.config.gradient_clip)
        self.optimizer.step(rate)
        return total

    def validate(self, chosen: Sequence[np.ndarray]) -> list[Outputs]:
        with rounded(self.config, self.device):
            return [self._predict(rows, scaled=False) for rows in chosen]

    def kept(self, place: int) -> dict[str, Tensor]:
        return classifier_state(self.classifier)

    def states(self) -> list[FoldState]:
        moments = {
            name: self.optimizer.state[values]
            for name, values in self.learned.items()
            if int(self.optimizer.state[values]["step"])
        }
        first, second = (
            {name: own[key].detach().cpu().clone() for name, own in moments.items()}
            for key in MOMENTS
        )
        updates = max((int(own["step"]) for own in moments.values()), default=0)
        values = classifier_state(self.classifier)
        return [FoldState(values=values, first=first, second=second, updates=updates)]

    def test(self, fold: int, tensors: Mapping[str, Tensor]) -> Tested:
        self.half.restore()
        load_classifier_state(self.classifier, tensors)
        self.before.check(self.classifier.encoder, f"fold {fold}")
        outputs = self._predict(self.data.test_rows(fold), scaled=True)
        return describe_test(outputs, self.classifier, tensors)

    def _predict(self, rows: np.ndarray, *, scaled: bool) -> Outputs:
        return predict(
            self.classifier,
            self.data.rows,
            rows,
            self.finetuning.batch_tokens,
            self.finetuning.kind,
            self.fold.scale if scaled else None,
            self.scratch,
        )


def describe_test(
    outputs: Outputs, classifier: Classifier, tensors: Mapping[str, Tensor]
) -> Tested:
    """Return the outputs of a fold beside the sizes of its classifier."""
    fixed = kept_state(classifier)
    return Tested(
        outputs=outputs,
        trained=sum(values.numel() for name, values in tensors.items() if name not in fixed),
        parameters=sum(values.numel() for values in classifier.parameters()),
    )


def start(
    finetuning: Finetuning, fold: int
) -> tuple[Encoder | Network | ForeignEncoder, Vocabulary | ForeignTokens]:
    """Return what is trained, in evaluation mode, and the vocabulary that it reads.

    Torch is seeded for the fold: a network is drawn now, an adapter and a head after it.
    """
    seed_fold(finetuning.config, fold)
    if finetuning.embedder is not None:
        return open_tunable(finetuning.embedder["entry"])
    if finetuning.network is None:
        return load_model(finetuning.run, finetuning.weights)
    settings = dict(finetuning.network)
    build = find_function(NETWORKS[settings.pop("name")].network)
    return build(**settings).eval(), VOCABULARY


def seed_fold(config: FinetuneConfig, fold: int) -> np.random.Generator:
    """Return the generator that deals a fold's batches; seed that of torch, which draws its head.

    Both depend on `config.seed` and the fold alone.
    """
    random = np.random.default_rng([config.seed, fold])
    torch.manual_seed(int(random.integers(2**31)))
    return random


def rounded(config: FinetuneConfig, device: torch.device) -> AbstractContextManager:
    """Return the context in which a forward pass has the precision of training."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


def make_optimizer(config: FinetuneConfig, parameters: Iterable[Tensor]) -> Adam:
    """Return Adam over the parameters, on a GPU one kernel for all."""
    own = list(parameters)
    return Adam(
        own,
        betas=(config.optimizer["beta1"], config.optimizer["beta2"]),
        eps=config.optimizer["eps"],
        fused=own[0].is_cuda,
    )


def restore_moments(optimizer: Adam, values: Tensor, state: FoldState, name: str) -> None:
    """Give the parameter `values` the moments that `state` has under `name`, if any."""
    if name in state.first:
        own = optimizer.state[values]
        own["step"].fill_(state.updates)
        for key, moments in zip(MOMENTS, (state.first, state.second), strict=True):
            own[key].copy_(moments[name])
