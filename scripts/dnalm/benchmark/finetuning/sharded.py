"""Training steps of one fold whose encoder lies in shards on several processes, one per GPU.

All of the encoder is trained. The head is on every process. Each computes its part of every batch;
what is decided, such as the kept step, is decided on numbers that all of them have.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from dnalm.benchmark.finetuning.classifier import find_places, kept_state, trained_state
from dnalm.benchmark.finetuning.fingerprints import Fingerprints
from dnalm.benchmark.finetuning.learner import (
    MOMENTS,
    FoldState,
    SingleLearner,
    Tested,
    describe_test,
    make_optimizer,
    rounded,
)
from dnalm.benchmark.finetuning.settings import Finetuning
from dnalm.benchmark.scoring.objectives import activate, sum_losses, weigh
from dnalm.benchmark.scoring.stored_outputs import Outputs, new_outputs, put_rows
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.devices import send
from dnalm.model.token_batches import limit_tokens
from dnalm.parallel.distributed import Group
from dnalm.parallel.sharding import Layout, arrange, fill, is_shard, part_of

CLIP_EPS = 1e-6  # as in torch's `clip_grad_norm_`


class ShardedLearner(SingleLearner):
    """One process's part of one fold. Every process makes the same calls in the same order.

    Whole tensors, those of checkpoints and of the kept step, are in the memory of the first process
    alone: in the others `kept` and `states` hold the same names with nothing in them.
    """

    def __init__(
        self,
        finetuning: Finetuning,
        group: Group,
        micro_batch: int | None = None,
        scratch: Path | None = None,
    ) -> None:
        super().__init__(finetuning, micro_batch=micro_batch, scratch=scratch)
        self.group, self.device = group, group.device

    def begin(self, folds: Sequence[int], states: Mapping[int, FoldState]) -> None:
        """Load the model anew, keep this process's shard, and take up the one fold of `folds`."""
        (fold,) = folds
        self.build(fold, fresh=True)
        encoder = self.classifier.encoder
        layout = Layout(shards=self.group.size, reshard=True, activation_checkpointing=False)
        arrange(encoder, layout, self.group, precision=self.config.precision, compiled=False)
        register_fsdp_forward_method(encoder, "compute_states")
        self.classifier.to(self.device)
        # Kept, because a gathered shard is another tensor under the same name.
        self.named = dict(encoder.named_parameters())
        self.trained = {name for name, values in self.named.items() if values.requires_grad}
        self.learned = trained_state(self.classifier)
        self.local = {name: part_of(values.detach()) for name, values in self.learned.items()}
        if fold in states:
            self._put(states[fold].values)
        self.optimizer = make_optimizer(self.config, self.local.values())
        if fold in states:
            self._restore(states[fold])

    def agree(self, value: float) -> float:
        """Return the first process's number, whose clock counts."""
        return self.group.sum_numbers(value if self.group.first else 0.0)[0]

    def update(self, batches: Sequence[np.ndarray], step: int, rate: float) -> Tensor:
        (batch,) = batches
        self.classifier.train()
        for values in self.learned.values():
            values.grad = None
        places, real = deal(len(batch), self.group)
        rows, kind = self.data.rows, self.finetuning.kind
        weights = None if self.weights is None else self.weights[None]
        below = weigh(self._labels(batch), kind, weights)
        shape, bases = (len(batch), rows.count_tokens(batch)), rows.count_bases(batch)
        total = torch.zeros(1, device=self.device)
        width = self.micro_batch or len(places)
        for first in range(0, len(places), width):
            part = places[first : first + width]
            own = batch[part[: max(0, real - first)]]
            tokens, padded = rows.batch(batch[part])
            self.noise.begin(step, [shape], part)
            with rounded(self.config, self.device):
                logits = self.classifier(send(tokens, self.device), padded=padded, longest=bases)
            logits = logits[: len(own)].float()
            # A part of the mean over the whole batch, whoever computes the others.
            loss = sum_losses(logits[None], self._labels(own), kind, weights) / below
            loss.sum().backward()
            total += loss.detach()
        self._collect_gradients()
        if self.config.gradient_clip is not None:
            self._clip(self.config.gradient_clip)
        self.optimizer.step(rate)
        return self.group.sum(total)

    def _labels(self, rows: np.ndarray) -> Tensor:
        return send(torch.from_numpy(self.fold.labels[rows]), self.device)[None]

    def _collect_gradients(self) -> None:
        """Put gradients where Adam finds them; those of shards are summed by the backward pass."""
        for name, values in self.learned.items():
            gradient = values.grad
            if gradient is not None and not is_shard(values):
                self.group.sum(gradient)
            self.local[name].grad = None if gradient is None else part_of(gradient)

    def _clip(self, bound: float) -> None:
        """Cut the gradients to a norm of all of them, as `clip_grad_norm_` does on one device."""
        sharded, whole = (
            [
                own.grad
                for name, own in self.local.items()
                if own.grad is not None and is_shard(self.learned[name]) is shard
            ]
            for shard in (True, False)
        )
        norms = [
            torch.stack(torch._foreach_norm(part)).square().sum()
            if part
            else torch.zeros((), device=self.device)
            for part in (sharded, whole)
        ]
        norm = (self.group.sum(norms[0]) + norms[1]).sqrt()
        torch._foreach_mul_(sharded + whole, (bound / (norm + CLIP_EPS)).clamp(max=1.0))

    def validate(self, chosen: Sequence[np.ndarray]) -> list[Outputs]:
        with rounded(self.config, self.device):
            return [self._predict(rows, scaled=False) for rows in chosen]

    def kept(self, place: int) -> dict[str, Tensor]:
        found = {name: self._whole(own, self.learned[name]) for name, own in self.local.items()}
        beside = kept_state(self.classifier)
        return found | {name: values.detach().cpu().clone() for name, values in beside.items()}

    def states(self) -> list[FoldState]:
        moments = {
            name: self.optimizer.state[own]
            for name, own in self.local.items()
            if int(self.optimizer.state[own]["step"])
        }
        first, second = (
            {name: self._whole(own[key], self.learned[name]) for name, own in moments.items()}
            for key in MOMENTS
        )
        updates = max((int(own["step"]) for own in moments.values()), default=0)
        return [FoldState(values=self.kept(0), first=first, second=second, updates=updates)]

    def test(self, fold: int, tensors: Mapping[str, Tensor]) -> Tested:
        self._put(tensors)
        named = {name: self._whole(part_of(own), own) for name, own in self.named.items()}
        if self.group.first:
            after = Fingerprints.of_parameters(named, self.trained)
            self.before.compare(after, f"fold {fold}")
        del named
        outputs = self._predict(self.data.test_rows(fold), scaled=True)
        return describe_test(outputs, self.classifier, tensors)

    @torch.no_grad()
    def _predict(self, rows: np.ndarray, *, scaled: bool) -> Outputs:
        """Return the outputs of all processes for `rows`, of which each computes every so many.

        They are exchanged batch by batch. Of bases each process keeps them in a file of its own in
        the folder `scratch`; those for test rows, which are `scaled`, the first process alone.
        """
        self.classifier.eval()
        group, data, kind = self.group, self.data, self.finetuning.kind
        pooled = find_kind(kind).pooled
        ordered = data.rows.longest_first(rows)
        parts = [ordered[rank :: group.size] for rank in range(group.size)]
        places = [find_places(part, rows) for part in parts]
        # Whoever has no row of its own computes another's: all make the same passes.
        dealt = [part if len(part) else ordered[:1] for part in parts]
        tokens = limit_tokens(self.finetuning.batch_tokens, self.device) * group.size
        bases = data.rows.count_bases(rows)
        kept = pooled or group.first or not scaled
        result, start = None, 0
        for batch in data.rows.side_by_side(dealt, tokens):
            own, padded = data.rows.batch(batch[group.rank])
            longest = data.rows.count_bases(np.concatenate(batch))
            logits = self.classifier(send(own, self.device), padded=padded, longest=longest)
            gathered = group.gather(activate(logits.float(), kind).cpu()).numpy()
            if result is None:
                width = gathered.shape[-1]
                result = (
                    np.empty((len(rows), width))
                    if pooled
                    else new_outputs(self.scratch, (len(rows) if kept else 0, bases, width))
                )
            for found, place in zip(gathered, places, strict=True):
                # Side by side all are as many; what is more than a part holds came again.
                some = place[start : start + len(found)] if kept else place[:0]
                put_rows(result, some, found[: len(some)])
            start += len(batch[0])
        scale = self.fold.scale if scaled and pooled else None
        return scale.restore(result) if scale else result

    def _whole(self, own: Tensor, values: Tensor) -> Tensor:
        """Return, on the CPU, the whole tensor of which `own` is this process's part of `values`.

        Others than the first process get an empty one.
        """
        whole = _as_shard(own, values)
        whole = whole.full_tensor() if is_shard(whole) else whole
        return whole.detach().cpu().clone() if self.group.first else torch.empty(0)

    @torch.no_grad()
    def _take(self, own: Tensor, values: Tensor, whole: Tensor) -> None:
        """Copy into `own`, a part of `values`, its part of what the first process has as whole."""
        shape = tuple(values.shape)
        whole = whole.to(self.device) if self.group.first else torch.empty(shape).to(self.device)
        fill(_as_shard(own, values), self.group.send(whole))

    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        """Take all that is trained from `kept` of this process."""
        for module in self.classifier.modules():
            if isinstance(module, FSDPModule):
                module.reshard()  # or what is gathered now would be computed with
        for name, own in self.local.items():
            self._take(own, self.learned[name], tensors[name])

    def _restore(self, state: FoldState) -> None:
        """Take up Adam's moments."""
        for name in state.first:
            moments = self.optimizer.state[self.local[name]]
            moments["step"].fill_(state.updates)
            for key, own in zip(MOMENTS, (state.first, state.second), strict=True):
                self._take(moments[key], self.learned[name], own[name])


def deal(count: int, group: Group) -> tuple[np.ndarray, int]:
    """Return the places in a batch of `count` rows that a process computes, and how many are real.

    All processes get as many; where there are fewer rows, the first one fills up.
    """
    each = -(-count // group.size)
    places = np.arange(group.rank * each, (group.rank + 1) * each)
    real = int((places < count).sum())
    return np.where(places < count, places, 0), real


def _as_shard(own: Tensor, values: Tensor) -> Tensor:
    """Return `own` as the local part of a `DTensor` like `values`, sharing its memory."""
    if not is_shard(values):
        return own
    return DTensor.from_local(
        own,
        values.device_mesh,
        values.placements,
        run_check=False,
        shape=values.shape,
        stride=values.stride(),
    )
