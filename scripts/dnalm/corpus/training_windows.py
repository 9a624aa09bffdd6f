"""Training windows of a corpus in random order, as functions of (seed, sample number) alone.

Shapes: B samples, T tokens of a window with <cls> (the same for all). Coordinates are 0-based.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnalm.corpus.reader import WindowReader
from dnalm.corpus.sampling import Stream, generators, permute


def draw_haplotypes(seed: int, stream: Stream, samples: ArrayLike) -> NDArray[np.float64]:
    """Return two uniform numbers per sample, float64[B, 2]: for individual and haplotype."""
    draws = [random.random(2) for random in generators(seed, stream, np.asarray(samples).tolist())]
    return np.array(draws, dtype=np.float64).reshape(-1, 2)


class TrainingWindows:
    """Training samples as tokens, numbered 0, 1, 2, ... without end: functions of (seed, n) alone.

    Sample n is window permutation(n mod windows) of epoch n // windows, tokenised from a start
    drawn uniformly from 0 .. start_max, both included.
    With haplotypes, each sample is of an individual and haplotype drawn for it.
    `windows` is the number of windows of an epoch, `tokens` is T.
    """

    def __init__(
        self,
        manifest: Mapping[str, Any],
        genomes: Mapping[str, str | Path],
        seed: int,
        *,
        panel: str | Path | None = None,
    ) -> None:
        self._reader = WindowReader(manifest, genomes, "train", panel)
        self._start_max = int(manifest["windows"]["start_max"])
        self.seed = seed
        self.windows = self._reader.windows
        self.tokens = self._reader.tokens

    def draw(self, samples: ArrayLike) -> NDArray[np.uint16]:
        """Return the tokens of samples by number: int64[B] to uint16[B, T]."""
        draws = self._haplotypes(samples)
        return self._reader.read(*self._windows_and_starts(samples), draws)

    def locate(self, sample: int) -> dict[str, Any]:
        """Return genome, contig and 0-based start in it of a sample, to name it in messages.

        Of one from a haplotype, `sample` and `haplotype` too.
        """
        windows, starts = self._windows_and_starts([sample])
        draws = self._haplotypes([sample])
        draw = None if draws is None else draws[0]
        return self._reader.place(int(windows[0]), int(starts[0]), draw)

    def _haplotypes(self, samples: ArrayLike) -> NDArray[np.float64] | None:
        if not self._reader.has_haplotypes:
            return None
        return draw_haplotypes(self.seed, Stream.HAPLOTYPE, samples)

    def _windows_and_starts(
        self, samples: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        samples = np.asarray(samples, dtype=np.int64)
        epochs, positions = np.divmod(samples, self.windows)
        windows = permute(positions, self.windows, self.seed, epochs)
        draws = [
            random.integers(0, self._start_max, endpoint=True)
            for random in generators(self.seed, Stream.START, samples.tolist())
        ]
        return windows, np.array(draws, dtype=np.int64)

    def close(self) -> None:
        """Close the genomes' files."""
        self._reader.close()
