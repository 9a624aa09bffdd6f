"""Training steps of several folds at once, on one frozen encoder.

A batch holds the rows of fold after fold, as many of each; every row meets the adapter and head of
its own fold. All trained numbers of a fold lie in one row of a matrix, and so do their gradients.

Shapes: F folds, B rows of a fold's batch, P trained numbers of a fold.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dnalm.benchmark.finetuning.classifier import (
    build_classifier,
    classifier_state,
    load_classifier_state,
    predict,
    predict_folds,
    trained_state,
)
from dnalm.benchmark.finetuning.dropout import Noise, seed_dropout
from dnalm.benchmark.finetuning.fingerprints import Fingerprints, warn_of_unchanged
from dnalm.benchmark.finetuning.half_weights import HalfWeights
from dnalm.benchmark.finetuning.learner import (
    MOMENTS,
    FoldState,
    Tested,
    describe_test,
    make_optimizer,
    restore_moments,
    rounded,
    seed_fold,
)
from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.finetuning.task_data import TaskData
from dnalm.benchmark.scoring.objectives import sum_losses, weigh
from dnalm.benchmark.scoring.stored_outputs import Outputs
from dnalm.devices import best_device, send
from dnalm.model.adapters import add_adapter, stack_adapter
from dnalm.model.heads import StackedLinear
from dnalm.model.loading import load_model

ADAPTER = "adapter."
ALL = "all"  # in states, the name of a fold's whole row
USABLE_SHARE = 0.8  # of free memory; the rest is for gradients on their way and gaps
CLIP_EPS = 1e-6  # as torch's clip_grad_norm_


class StackedLearner:
    """Folds side by side on an encoder that is loaded once.

    At most `micro_batch` rows of each fold are computed at a time, None: all; gradients add up.
    Outputs of bases lie in files in the folder `scratch`, None: in memory.
    """

    def __init__(
        self,
        finetuning: Finetuning,
        micro_batch: int | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.scratch = scratch
        self.finetuning, self.config = finetuning, finetuning.config
        self.device = best_device()
        self.micro_batch = micro_batch
        self.encoder, self.vocabulary = load_model(finetuning.run, finetuning.weights)
        self.data = TaskData(finetuning, self.vocabulary, self.encoder.config.max_tokens)
        self.before = Fingerprints.of(self.encoder.requires_grad_(False))
        # On the CPU, whose generator is that of all machines.
        self.drawn = {fold: self._draw(fold) for fold in self.data.splits.folds}
        self.half = HalfWeights(self.encoder, "float32")
        self.folds: list[int] = []

    def begin(self, folds: Sequence[int], states: Mapping[int, FoldState]) -> None:
        self.half.restore()
        found = [states.get(fold) for fold in folds]
        values = [
            state.values if state else self.drawn[fold]
            for fold, state in zip(folds, found, strict=True)
        ]
        self._stack(list(folds), values)
        self.checked = False
        for row, state in zip(self.rows, found, strict=True):
            if state and state.first:
                restore_moments(self.optimizer, row, self._in_rows(state), ALL)

    def agree(self, value: float) -> float:
        return value

    def _draw(self, fold: int) -> dict[str, Tensor]:
        """Return what a fold begins with, drawn as `SingleLearner` draws it."""
        seed_fold(self.config, fold)
        return classifier_state(self._make_plain())

    def _make_plain(self) -> nn.Module:
        add_adapter(self.encoder, self.config.adapter, self.config.options)
        return build_classifier(self.encoder, self.vocabulary, self.finetuning.head())

    def _stack(self, folds: list[int], values: Sequence[Mapping[str, Tensor]]) -> None:
        self.folds, self.parts = folds, [self.data.fold(fold) for fold in folds]
        self.noise = Noise(self.config.seed, folds)
        self.classifier = self._make_plain()
        stacked = {name: torch.stack([own[name] for own in values]) for name in values[0]}
        stack_adapter(
            self.encoder,
            {
                name.removeprefix(ADAPTER): tensor
                for name, tensor in stacked.items()
                if name.startswith(ADAPTER)
            },
        )
        self.classifier.output = StackedLinear(stacked["head.weight"], stacked["head.bias"])
        self.classifier.to(self.device)
        seed_dropout(self.classifier, self.noise)
        self.half = HalfWeights(self.encoder, self.config.precision)
        self.learned = trained_state(self.classifier)
        self._lay_out()
        weights = [part.weights for part in self.parts]
        self.weights = None if weights[0] is None else torch.stack(weights).to(self.device)

    def _lay_out(self) -> None:
        """Make all trained numbers, and their gradients, parts of one matrix each, [F, P]."""
        flat = torch.cat([own.detach().flatten(1) for own in self.learned.values()], dim=1)
        self.gradients = torch.zeros_like(flat)
        self.places: dict[str, tuple[slice, torch.Size]] = {}
        first = 0
        for name, own in self.learned.items():
            last = first + own[0].numel()
            self.places[name] = (slice(first, last), own.shape[1:])
            own.data = flat[:, first:last].unflatten(1, own.shape[1:])
            first = last
        self.rows = [nn.Parameter(row) for row in flat]
        for row, gradient in zip(self.rows, self.gradients, strict=True):
            row.grad = gradient
        self.optimizer = make_optimizer(self.config, self.rows)

    def fit(self, folds: Sequence[int]) -> int:
        """Return how many of `folds` the device's memory has room for at a time, on a CPU all.

        Where no `micro_batch` was given, it is set to as many rows as there is room for, too.
        """
        if self.device.type == "cpu":
            return len(folds)
        self.begin(folds, {})
        free, _ = torch.cuda.mem_get_info(self.device)
        room = USABLE_SHARE * free / self.count_saved_bytes()  # rows of each fold
        if self.micro_batch is None:
            self.micro_batch = max(1, min(int(room), self.config.batch_size))
        return max(1, min(len(folds), int(len(folds) * room / self.micro_batch)))

    def count_saved_bytes(self) -> int:
        """Return what autograd keeps of a forward pass with one row of each fold, the longest."""
        rows = [self.data.rows.longest_first(part.split.training)[:1] for part in self.parts]
        tokens = [(1, int(self.data.rows.lengths[own[0]])) for own in rows]
        labels = [part.labels[own] for part, own in zip(self.parts, rows, strict=True)]
        given = send(torch.from_numpy(np.stack(labels)), self.device)
        weights = {own.untyped_storage().data_ptr() for own in self.classifier.parameters()}
        found: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                found[storage.data_ptr()] = storage.nbytes()
            return tensor

        self.classifier.train()
        self.noise.begin(1, tokens, slice(None))
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            losses = self._forward(np.concatenate(rows), given)
        del losses  # the graph, which was alive up to here, so that no address was used twice
        return sum(found.values())

    def update(self, batches: Sequence[np.ndarray], step: int, rate: float) -> Tensor:
        size = len(batches[0])
        labels = np.stack(
            [part.labels[batch] for part, batch in zip(self.parts, batches, strict=True)]
        )
        given = send(torch.from_numpy(labels), self.device)
        below = weigh(given, self.finetuning.kind, self.weights)
        lengths = self.data.rows.lengths
        shapes = [(size, int(lengths[batch].max())) for batch in batches]
        losses = torch.zeros(len(batches), device=self.device)
        self.classifier.train()
        for own in self.learned.values():
            own.grad = None
        width = self.micro_batch or size
        for first in range(0, size, width):
            part = slice(first, first + width)
            self.noise.begin(step, shapes, part)
            chosen = np.concatenate([batch[part] for batch in batches])
            some = self._forward(chosen, given[:, part]) / below
            some.sum().backward()
            losses += some.detach()
        grown = [own.grad.flatten(1) for own in self.learned.values()]
        torch.cat(grown, dim=1, out=self.gradients)
        self._clip()
        self.optimizer.step(rate)
        return losses

    def _forward(self, chosen: np.ndarray, given: Tensor) -> Tensor:
        """Return the summed losses [F] of rows of fold after fold, with their labels."""
        tokens, padded = self.data.rows.batch(chosen)
        with rounded(self.config, self.device):
            longest = self.data.rows.count_bases(chosen)
            logits = self.classifier(send(tokens, self.device), padded=padded, longest=longest)
        by_fold = logits.float().unflatten(0, (len(given), -1))
        return sum_losses(by_fold, given, self.finetuning.kind, self.weights)

    def _clip(self) -> None:
        if self.config.gradient_clip is not None:
            norms = self.gradients.norm(dim=1, keepdim=True)
            self.gradients *= (self.config.gradient_clip / (norms + CLIP_EPS)).clamp(max=1.0)

    def validate(self, chosen: Sequence[np.ndarray]) -> list[Outputs]:
        with rounded(self.config, self.device):
            return predict_folds(
                self.classifier,
                self.data.rows,
                chosen,
                self.finetuning.batch_tokens,
                self.finetuning.kind,
                self.scratch,
            )

    def kept(self, place: int) -> dict[str, Tensor]:
        return self._by_name(self.rows[place])

    def states(self) -> list[FoldState]:
        return [self._state(row) for row in self.rows]

    def _state(self, row: nn.Parameter) -> FoldState:
        own = self.optimizer.state[row]
        updates = int(own["step"])
        first, second = (self._by_name(own[key]) if updates else {} for key in MOMENTS)
        return FoldState(values=self._by_name(row), first=first, second=second, updates=updates)

    def _by_name(self, row: Tensor) -> dict[str, Tensor]:
        """Return copies on the CPU of the parts of a fold's row [P]."""
        row = row.detach().cpu()
        return {
            name: row[place].view(shape).clone() for name, (place, shape) in self.places.items()
        }

    def _in_rows(self, state: FoldState) -> FoldState:
        """Return a state whose moments are whole rows [P]."""
        first, second = (
            torch.cat([moments[name].flatten() for name in self.places])
            for moments in (state.first, state.second)
        )
        return FoldState(values={}, first={ALL: first}, second={ALL: second}, updates=state.updates)

    def test(self, fold: int, tensors: Mapping[str, Tensor]) -> Tested:
        self.half.restore()
        classifier = self._make_plain().to(self.device)
        load_classifier_state(classifier, tensors)
        if not self.checked:  # once for all folds that end together
            self.before.check_frozen(classifier.encoder, f"fold {fold}")
            self.checked = True
        drawn = [name for name in self.drawn[fold] if name.startswith(ADAPTER)]
        same = [name for name in drawn if torch.equal(tensors[name], self.drawn[fold][name])]
        warn_of_unchanged(same, len(drawn), f"fold {fold}")
        outputs = predict(
            classifier,
            self.data.rows,
            self.data.splits.test,
            self.finetuning.batch_tokens,
            self.finetuning.kind,
            self.data.fold(fold).scale,
            self.scratch,
        )
        return describe_test(outputs, classifier, tensors)
