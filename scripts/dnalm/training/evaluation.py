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
from dnalm.parallel.distributed import Group
from dnalm.training.batches import MicroBatch
from dnalm.training.context import shuffle_context, swap_context
from dnalm.training.masking import Kind, Masked, mask
from dnalm.training.objective import describe, score, tally
from dnalm.training.reconstruction import (
    describe_genomes,
    describe_windows,
    score_tempered,
    score_unigram,
    sum_windows,
)
from dnalm.training.settings import PretrainConfig

MASK_STREAMS = {"validation": Stream.VALIDATION_MASK, "test": Stream.TEST_MASK}
DECIMALS = 4  # of the summed losses of a window, of which a history may hold ten thousands


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
            max_n_share=config.max_n_share,
            seed=config.seed,
            stream=MASK_STREAMS[split],
        )
        self._prefix, self._group, self._genomes = f"{split}_", group, genomes
        self._windows, self._masked, self._kmer_counts = windows, masked, kmer_counts
        self._vocabulary, self._seed, self._micro_batch = vocabulary, config.seed, micro_batch
        at_mask = (masked.weights > 0) & (masked.kinds == Kind.MASK)
        first, choices = vocabulary.kmer_offset, vocabulary.maskable_stop - vocabulary.kmer_offset
        unigram = score_unigram(masked.targets, kmer_counts, first, choices)
        self._unigram = sum_windows(*unigram, at_mask.astype(np.float64))
        self._at_mask = at_mask.astype(np.float64)

    @staticmethod
    def _cut(masked: Masked, first: int, size: int) -> MicroBatch:
        """Return `size` windows from `first` on, filled up with the first one at weight 0.

        So all passes have one shape, and a compiled model is compiled for no other.
        """
        rows = np.arange(first, first + size)
        real = rows < len(masked.inputs)
        part = MicroBatch.from_masked(masked, np.where(real, rows, 0))
        return replace(part, weights=part.weights * torch.from_numpy(real).unsqueeze(1))

    def _on_device(self, masked: Masked) -> Iterator[tuple[int, MicroBatch]]:
        """Yield this process's parts, each with the number of its first window."""
        # Sharded models compute together: every process makes as many passes as the first does.
        for start in range(0, len(masked.inputs), self._group.size * self._micro_batch):
            first = start + self._group.rank * self._micro_batch
            yield first, self._cut(masked, first, self._micro_batch).to(self._group.device)

    def _score(self, model: nn.Module, masked: Masked) -> tuple[Tensor, NDArray[np.float64]]:
        """Return the tally of all windows, and float64[W, 3] of each at <mask> (`_sum_masked`)."""
        device = self._group.device
        totals = torch.zeros(len(Kind), 3, dtype=torch.float64, device=device)
        windows = torch.zeros(len(masked.inputs), 3, dtype=torch.float64, device=device)
        for first, part in self._on_device(masked):
            losses, hits = score(model, part)
            totals += tally(losses, hits, part)
            own = windows[first : first + len(losses)]  # fewer behind the last window
            own.copy_(_sum_masked(losses, hits, part)[: len(own)])
        return self._group.sum(totals), self._group.sum(windows).cpu().numpy()

    @torch.no_grad()
    def measure(self, model: nn.Module) -> dict[str, Any]:
        """Return the metrics of a history row, each key beginning with the split's name and `_`.

        Loss and accuracy as `describe` returns them, and at <mask> positions: those of the
        unigram model (unigram_loss, unigram_accuracy); the medians over windows, of the model
        (window_accuracy, window_perplexity) and of the unigram model (unigram_window_…); and
        `genomes`, what `describe_genomes` returns. Every process of the group has to call it.
        """
        model.eval()
        totals, sums = self._score(model, self._masked)
        model.train()
        measured = describe(totals)
        measured |= self._describe_unigram()
        measured |= describe_windows(sums, ("window_accuracy", "window_perplexity"))
        measured["genomes"] = describe_genomes(sums, self._unigram, self._genomes)
        return {f"{self._prefix}{key}": value for key, value in measured.items()}

    @torch.no_grad()
    def measure_context(self, model: nn.Module) -> dict[str, Any]:
        """Return {`context` with the split's name and `_` before it: what the context is worth}.

        All is of the same <mask>s of the same windows, of which only those with one are listed.
        {exponents: those of `score_tempered`, windows: {masked: <mask>s of each window, own,
        shuffled, foreign: their summed losses in nats in the window itself, with its other tokens
        shuffled and with another window's around them (`dnalm.training.context`), tempered: those
        of tempered k-mer frequencies}}; foreign is missing where there is no other window. Every
        process of the group has to call it.
        """
        inputs = {
            "own": self._masked.inputs,
            "shuffled": shuffle_context(self._masked, self._vocabulary, self._seed),
            "foreign": swap_context(self._masked, self._windows, self._vocabulary, self._seed),
        }
        first, choices = self._vocabulary.kmer_offset, self._vocabulary.maskable_stop
        tempered, exponents = score_tempered(
            self._masked.targets, self._at_mask, self._kmer_counts, first, choices - first
        )
        model.eval()
        sums = {
            name: self._score(model, replace(self._masked, inputs=own))[1][:, 0]
            for name, own in inputs.items()
            if own is not None
        }
        model.train()
        masked = self._at_mask.sum(1)
        listed = {name: _list(own, masked) for name, own in {**sums, "tempered": tempered}.items()}
        windows = {"masked": masked[masked > 0].astype(int).tolist(), **listed}
        return {f"{self._prefix}context": {"exponents": list(exponents), "windows": windows}}

    def _describe_unigram(self) -> dict[str, float | None]:
        loss, hits, count = self._unigram.sum(0).tolist()
        names = ("unigram_window_accuracy", "unigram_window_perplexity")
        return {
            "unigram_loss": loss / count if count else None,
            "unigram_accuracy": hits / count if count else None,
            **describe_windows(self._unigram, names),
        }


def _list(sums: NDArray[np.float64], masked: NDArray[np.float64]) -> list[float]:
    return [round(value, DECIMALS) for value in sums[masked > 0].tolist()]


def _sum_masked(losses: Tensor, hits: Tensor, part: MicroBatch) -> Tensor:
    """Return float64[B, 3]: the sums of loss, hits and weights at <mask> positions of each row."""
    weights = (part.weights * (part.kinds == Kind.MASK)).double()
    values = (losses * weights, hits * weights, weights)
    return torch.stack([value.sum(1) for value in values], dim=1)
