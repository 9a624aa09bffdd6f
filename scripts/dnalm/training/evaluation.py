"""The loss on windows that are not trained on, always under the same masks.

Shape letters: W windows of one split, T tokens, K selected tokens per window.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import nn

from dnalm.genome.kmers import Vocabulary
from dnalm.genome.sampling import Stream
from dnalm.training.batches import MicroBatch
from dnalm.training.distributed import Group
from dnalm.training.masking import Kind, Masked, mask
from dnalm.training.objective import describe, score, tally
from dnalm.training.settings import PretrainConfig

STREAMS = {"validation": Stream.VALIDATION_MASK, "test": Stream.TEST_MASK}


class Evaluation:
    """Fixed windows uint16[W, T] under fixed masks, dealt out to the processes of a group."""

    def __init__(
        self,
        windows: np.ndarray,
        kmer_counts: np.ndarray,
        config: PretrainConfig,
        vocabulary: Vocabulary,
        *,
        split: Literal["validation", "test"],
        micro_batch: int,
        group: Group,
    ) -> None:
        masked = mask(
            windows,
            np.arange(len(windows)),
            config=config.masking,
            vocabulary=vocabulary,
            min_kmers=config.min_kmers,
            seed=config.seed,
            stream=STREAMS[split],
        )
        at_mask = (masked.weights > 0) & (masked.kinds == Kind.MASK)
        self._prefix, self._group = f"{split}_", group
        baseline = score_unigram(masked.targets[at_mask], kmer_counts, vocabulary)
        self._baseline = {f"{self._prefix}{key}": value for key, value in baseline.items()}
        # Sharded models compute together: every process makes as many passes as the first does.
        firsts = range(0, len(windows), group.size * micro_batch)
        self._parts = [
            self._cut(masked, first + group.rank * micro_batch, micro_batch) for first in firsts
        ]

    @staticmethod
    def _cut(masked: Masked, first: int, size: int) -> MicroBatch:
        """Return `size` windows from `first` on, or one that weighs nothing where none is left."""
        if first < len(masked.inputs):
            return MicroBatch.from_masked(masked, slice(first, first + size))
        filler = MicroBatch.from_masked(masked, slice(0, 1))
        return replace(filler, weights=torch.zeros_like(filler.weights))

    def _on_device(self) -> Iterator[MicroBatch]:
        for part in self._parts:
            yield part.to(self._group.device)

    @torch.no_grad()
    def measure(self, model: nn.Module) -> dict[str, float | None]:
        """Return the values of a history row, each key beginning with the split's name and `_`.

        Loss and accuracy as `describe` returns them, and those of k-mer frequencies alone at
        <mask> positions, …_unigram_loss and …_unigram_accuracy. Every process of the group has to
        call it.
        """
        model.eval()
        totals = torch.zeros(len(Kind), 3, dtype=torch.float64, device=self._group.device)
        for part in self._on_device():
            totals += tally(*score(model, part), part)
        model.train()
        return describe(self._group.sum(totals), self._prefix) | self._baseline


def score_unigram(
    targets: np.ndarray, kmer_counts: np.ndarray, vocabulary: Vocabulary
) -> dict[str, float | None]:
    """Return the scores of a model that knows only how often each k-mer occurs.

    Keys: unigram_loss (nats) and unigram_accuracy, both None without a target. `targets` are the
    tokens to guess, `kmer_counts` int64[4**k] those of the training contigs. Every maskable token
    counts once more than it occurred (Laplace), single bases never occurred. The model always
    guesses the commonest k-mer.
    """
    choices = vocabulary.maskable_stop - vocabulary.kmer_offset
    counts = np.ones(choices)
    counts[: len(kmer_counts)] += kmer_counts
    chosen = targets - vocabulary.kmer_offset
    if not len(chosen):
        return {"unigram_loss": None, "unigram_accuracy": None}
    return {
        "unigram_loss": float(-np.log(counts / counts.sum())[chosen].mean()),
        "unigram_accuracy": float((chosen == counts.argmax()).mean()),
    }
