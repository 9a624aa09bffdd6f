"""Evaluation on held-out windows under fixed masks: loss, masked-token accuracy, perplexity.

Shape letters: W windows of one split, T tokens, K selected tokens per window.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dnalm.corpus.sampling import Stream
from dnalm.genome.kmers import Vocabulary
from dnalm.training.batches import MicroBatch
from dnalm.training.distributed import Group
from dnalm.training.masking import Kind, Masked, mask
from dnalm.training.objective import describe, score, tally
from dnalm.training.reconstruction import (
    describe_genomes,
    describe_windows,
    score_unigram,
    sum_windows,
)
from dnalm.training.settings import PretrainConfig

MASK_STREAMS = {"validation": Stream.VALIDATION_MASK, "test": Stream.TEST_MASK}


class Evaluation:
    """Held-out windows uint16[W, T] under fixed masks, dealt to the processes of a group."""

    def __init__(
        self,
        windows: NDArray[np.uint16],
        genomes: NDArray[np.str_],
        kmer_counts: NDArray[np.int64],
        config: PretrainConfig,
        vocabulary: Vocabulary,
        *,
        split: Literal["validation", "test"],
        micro_batch: int,
        group: Group,
    ) -> None:
        """Mask `windows`, each of the genome in `genomes` [W], and score the unigram baseline."""
        masked = mask(
            windows,
            np.arange(len(windows)),
            config=config.masking,
            vocabulary=vocabulary,
            min_kmers=config.min_kmers,
            seed=config.seed,
            stream=MASK_STREAMS[split],
        )
        self._prefix, self._group, self._genomes = f"{split}_", group, genomes
        at_mask = (masked.weights > 0) & (masked.kinds == Kind.MASK)
        first, choices = vocabulary.kmer_offset, vocabulary.maskable_stop - vocabulary.kmer_offset
        unigram = score_unigram(masked.targets, kmer_counts, first, choices)
        self._unigram = sum_windows(*unigram, at_mask.astype(np.float64))
        self._shape = (len(windows), 3)
        # Sharded models compute together: every process makes as many passes as the first does.
        firsts = range(0, len(windows), group.size * micro_batch)
        self._parts = [
            (first, self._cut(masked, first, micro_batch))
            for first in (start + group.rank * micro_batch for start in firsts)
        ]

    @staticmethod
    def _cut(masked: Masked, first: int, size: int) -> MicroBatch:
        """Return `size` windows from `first` on, or one that weighs nothing where none is left."""
        if first < len(masked.inputs):
            return MicroBatch.from_masked(masked, slice(first, first + size))
        filler = MicroBatch.from_masked(masked, slice(0, 1))
        return replace(filler, weights=torch.zeros_like(filler.weights))

    def _on_device(self) -> Iterator[tuple[int, MicroBatch]]:
        for first, part in self._parts:
            yield first, part.to(self._group.device)

    @torch.no_grad()
    def measure(self, model: nn.Module) -> dict[str, Any]:
        """Return the metrics of a history row, each key beginning with the split's name and `_`.

        Loss and accuracy as `describe` returns them, and at <mask> positions: those of the
        unigram model (unigram_loss, unigram_accuracy); the medians over windows, of the model
        (window_accuracy, window_perplexity) and of the unigram model (unigram_window_…); and
        `genomes`, what `describe_genomes` returns. Every process of the group has to call it.
        """
        model.eval()
        device = self._group.device
        totals = torch.zeros(len(Kind), 3, dtype=torch.float64, device=device)
        windows = torch.zeros(self._shape, dtype=torch.float64, device=device)
        for first, part in self._on_device():
            losses, hits = score(model, part)
            totals += tally(losses, hits, part)
            if first < len(windows):
                windows[first : first + len(losses)] = _sum_masked(losses, hits, part)
        model.train()
        measured = describe(self._group.sum(totals))
        measured |= self._describe_unigram()
        sums = self._group.sum(windows).cpu().numpy()
        measured |= describe_windows(sums, ("window_accuracy", "window_perplexity"))
        measured["genomes"] = describe_genomes(sums, self._unigram, self._genomes)
        return {f"{self._prefix}{key}": value for key, value in measured.items()}

    def _describe_unigram(self) -> dict[str, float | None]:
        loss, hits, count = self._unigram.sum(0).tolist()
        names = ("unigram_window_accuracy", "unigram_window_perplexity")
        return {
            "unigram_loss": loss / count if count else None,
            "unigram_accuracy": hits / count if count else None,
            **describe_windows(self._unigram, names),
        }


def _sum_masked(losses: Tensor, hits: Tensor, part: MicroBatch) -> Tensor:
    """Return float64[B, 3]: the sums of loss, hits and weights at <mask> positions of each row."""
    weights = (part.weights * (part.kinds == Kind.MASK)).double()
    values = (losses * weights, hits * weights, weights)
    return torch.stack([value.sum(1) for value in values], dim=1)
