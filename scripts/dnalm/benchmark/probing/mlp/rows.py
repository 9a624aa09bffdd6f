"""Standardised rows of one layer for every split, in batches for networks of all splits at once.

Shapes: N rows, D features, S splits, R rows of a batch, C labels or targets.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from dnalm.benchmark.scoring.objectives import Scale, activate
from dnalm.benchmark.tasks.kinds import CROSS_ENTROPY, NUMBER, find_kind
from dnalm.benchmark.tasks.splits import Splits
from dnalm.devices import send


class SplitRows:
    """Features [N, D] and labels on a device, standardised by each split's own training rows.

    One copy, less `centre` [D], serves all splits, which differ in `means` and `inverse` SDs [S, D]
    and, for numbers, in the scale of their targets. `classes` counts classes, labels or targets.
    """

    def __init__(self, features: np.ndarray, splits: Splits, kind: str, device: str) -> None:
        self.kind, self.splits, self.classes, self.device = (
            kind,
            list(splits),
            splits.classes,
            device,
        )
        self.numbers = find_kind(kind).value == NUMBER
        self.scales: list[Scale] = []
        means, deviations = [], []
        for split in self.splits:
            scaler = StandardScaler().fit(features[split.training].astype(np.float64))
            means.append(scaler.mean_)
            deviations.append(scaler.scale_)
            if self.numbers:
                self.scales.append(Scale.of(splits.labels[split.training]))
        # Centred on the first split before they are rounded to float32: a mean much larger than the
        # SD would use up the digits.
        self.centre = means[0]
        self.values = self._tensor(features - self.centre)
        self.means = self._tensor(np.stack(means) - self.centre)
        self.inverse = self._tensor(1 / np.stack(deviations))
        self.truth = labels = splits.labels
        if self.numbers:
            labels = np.stack([scale.standardise(labels) for scale in self.scales])
        self.labels = torch.from_numpy(labels).to(device)
        if find_kind(kind).loss != CROSS_ENTROPY:
            self.labels = self.labels.to(torch.float32)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self.device)

    def batches(
        self, size: int, random: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the batches of one epoch: training rows [S, R, D], their labels, a mask [S, R].

        Every split has its own order, dealt evenly over as many batches as the largest split makes
        of `size` rows: no split has a batch without a row, which would have no mean loss. Of
        smaller splits a batch is padded with rows that the mask leaves out.
        """
        orders = [random.permutation(split.training) for split in self.splits]
        dealt = (np.array_split(order, self.steps(size)) for order in orders)
        for own in zip(*dealt, strict=True):
            positions, counted = _pad(own, max(map(len, own)))
            part = send(torch.from_numpy(positions), torch.device(self.device))
            mask = send(torch.from_numpy(counted.astype(np.float32)), part.device)
            yield self.rows(part), self._labels(part), mask

    def steps(self, size: int) -> int:
        """Return the number of batches of one epoch."""
        counts = [len(split.training) for split in self.splits]
        return min(-(-max(counts) // size), min(counts))

    def rows(self, positions: Tensor) -> Tensor:
        """Return the standardised features [S, R, D] of rows int64 [S, R] of each split."""
        return (self.values[positions] - self.means[:, None]) * self.inverse[:, None]

    def _labels(self, positions: Tensor) -> Tensor:
        if self.numbers:
            return self.labels[torch.arange(len(positions), device=self.device)[:, None], positions]
        return self.labels[positions]

    def positions(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Return the positions of each split's own rows, int64 [S, R], padded."""
        return torch.from_numpy(_pad(rows, max(map(len, rows)))[0]).to(self.device)

    def outputs(self, logits: Tensor, split: int, count: int) -> np.ndarray:
        """Return the predictions of one split from its logits [R, C], float64 [count, C].

        Probabilities, or the values of a regression, of the first `count` rows.
        """
        found = activate(logits[:count], self.kind).cpu().numpy()
        if self.numbers:
            return self.scales[split].restore(found)
        return found


def _pad(rows: Sequence[np.ndarray], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows padded with their first entry, int64 [S, length], and the mask of their own."""
    positions = np.stack([np.concatenate([r, np.full(length - len(r), r[0])]) for r in rows])
    counted = np.arange(length) < np.array([[len(r)] for r in rows])
    return positions, counted
