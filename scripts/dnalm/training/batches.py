"""Global batches of training, dealt to processes and micro-batches, made ahead by threads.

Shape letters: B sequences of one forward pass, T tokens, K selected tokens per sequence, M
micro-batches of one step.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dnalm.corpus.sampling import Stream
from dnalm.corpus.training_windows import TrainingWindows
from dnalm.devices import send
from dnalm.genome.kmers import Vocabulary
from dnalm.training.masking import Masked, mask
from dnalm.training.settings import PretrainConfig


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """The tensors of one forward pass, as `Masked` defines them."""

    inputs: Tensor  # int64[B, T]
    positions: Tensor  # int64[B, K]
    targets: Tensor  # int64[B, K]
    weights: Tensor  # float32[B, K]
    kinds: Tensor  # int64[B, K]
    padded: bool  # whether any token is <pad>, so that attention needs a mask

    @classmethod
    def from_masked(cls, masked: Masked, rows: slice | NDArray[np.int64]) -> Self:
        """Return some rows of masked sequences as tensors."""
        tensors = {name: torch.from_numpy(getattr(masked, name)[rows]) for name in cls.names()}
        return cls(**tensors, padded=bool(masked.padded[rows].any()))

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the tensors."""
        return [field.name for field in fields(cls) if field.name != "padded"]

    def to(self, device: torch.device) -> Self:
        """Return the same batch on `device`, copied without waiting for what is queued there."""
        if device.type == "cpu":
            return self
        return self._map(lambda tensor: send(tensor, device))

    def pin(self) -> Self:
        """Return the same batch in page-locked memory, from which a GPU copies by itself."""
        return self._map(torch.Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(self, **{name: change(getattr(self, name)) for name in self.names()})


@dataclass(frozen=True, kw_only=True)
class StepBatch:
    """One step's global batch, as far as it is this process's."""

    step: int  # 0-based
    parts: list[MicroBatch]
    weight: int  # selected tokens that count
    thin: int  # windows that weigh 0 because they have fewer than `min_kmers` k-mers


def split_step(sequences: int, processes: int, micro_batch: int) -> tuple[int, int]:
    """Return how many passes each process makes of a step, and the rows of a pass.

    Both rounded up: the fewest passes that `micro_batch` allows, then the fewest rows.
    """
    passes = -(-sequences // (processes * micro_batch))
    return passes, -(-sequences // (processes * passes))


class Batches:
    """The batches of one of `size` processes; step s is made of samples s·G … s·G + G − 1.

    G = `config.batch_sequences` rows are dealt in their order: of each stretch of size · B rows a
    process takes B. B is the smallest number that needs no more passes than `micro_batch`, and the
    last pass is filled up with rows of weight 0, so that all processes see the same shapes and
    make the same number of passes.
    """

    def __init__(
        self,
        windows: TrainingWindows,
        config: PretrainConfig,
        vocabulary: Vocabulary,
        *,
        micro_batch: int,
        rank: int,
        size: int,
    ) -> None:
        self.windows = windows
        self.config = config
        self.vocabulary = vocabulary
        self.slots = config.masking.count_slots(windows.tokens)
        self.passes, self.rows = split_step(config.batch_sequences, size, micro_batch)
        # Pass p of rank r begins at global row (p · size + r) · B: dealing in stretches keeps the
        # order of samples whatever the number of processes.
        firsts = (np.arange(self.passes) * size + rank) * self.rows
        # Drawing opens and closes files, which threads must not do at the same time;
        # masking runs in all of them.
        self._drawing = threading.Lock()
        self._global_rows = (firsts[:, None] + np.arange(self.rows)).ravel()

    @property
    def tokens_per_step(self) -> int:
        """Tokens of a global batch, `<cls>` included."""
        return self.config.batch_sequences * self.windows.tokens

    def sample(self, step: int, part: int, row: int) -> int:
        """Return the number of the sample that stands in row `row` of pass `part` of a step."""
        global_row = int(self._global_rows[part * self.rows + row])
        size = self.config.batch_sequences
        return step * size + min(global_row, size - 1)

    def make(self, step: int) -> StepBatch:
        """Return this process's part of step `step`, a function of (seed, step) alone."""
        size = self.config.batch_sequences
        # Rows behind the global batch repeat its last sample and weigh 0: shapes stay static.
        filler = self._global_rows >= size
        samples = step * size + np.minimum(self._global_rows, size - 1)
        with self._drawing:
            tokens = self.windows.draw(samples)
        masked = mask(
            tokens,
            samples,
            config=self.config.masking,
            vocabulary=self.vocabulary,
            min_kmers=self.config.min_kmers,
            max_n_share=self.config.max_n_share,
            seed=self.config.seed,
            stream=Stream.MASK,
        )
        masked.weights[filler] = 0
        return StepBatch(
            step=step,
            parts=[
                MicroBatch.from_masked(masked, slice(first, first + self.rows))
                for first in range(0, len(samples), self.rows)
            ],
            weight=int(masked.weights.sum()),
            thin=int(masked.thin[~filler].sum()),
        )

    def ahead(self, steps: range, *, workers: int, pin: bool) -> Iterator[StepBatch]:
        """Yield the batches of `steps` in order, prefetched by `workers` threads.

        With no workers each batch is made when it is taken. Close the iterator to end the
        threads.
        """
        if workers == 0:
            yield from map(self._finish, steps, [pin] * len(steps))
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
            waiting = deque()
            try:
                for step in steps:
                    waiting.append(pool.submit(self._finish, step, pin))
                    # Two per thread: enough to hide a slow read, few enough for the memory.
                    if len(waiting) > 2 * workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _finish(self, step: int, pin: bool) -> StepBatch:
        batch = self.make(step)
        if pin:
            batch.parts[:] = [part.pin() for part in batch.parts]
        return batch
