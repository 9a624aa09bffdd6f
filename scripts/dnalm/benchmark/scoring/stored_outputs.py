"""Outputs of bases in files, of which blocks are in memory: a test set has 82 million bases.

Shapes: R rows, L bases of the longest row, C classes.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dnalm.benchmark.tasks.kinds import BASES, Kind

BLOCK_BASES = 1 << 20  # that are computed, read or written at a time
# An array [R, ...], or of bases what gives one for a slice of rows: StoredOutputs, Decided.
Outputs = Any


class StoredOutputs:
    """Outputs of bases, float32 [R, L, C], in a file; a slice of rows is read when asked for."""

    dtype, ndim = np.dtype(np.float32), 3

    def __init__(self, file: BinaryIO, start: int, shape: tuple[int, ...]) -> None:
        """Read from byte `start` of an open file, which closes with this."""
        self._file, self._start, self.shape = file, start, shape
        self._row = shape[1] * shape[2] * self.dtype.itemsize

    @classmethod
    def create(cls, folder: str | Path, shape: tuple[int, ...]) -> "StoredOutputs":
        """Return zeros to be written over, in a file without a name in an existing `folder`.

        It is gone when nobody holds it any more, and when the process is killed.
        """
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - it closes with this
        found = cls(file, 0, shape)
        file.truncate(shape[0] * found._row)
        return found

    @classmethod
    def open(cls, path: str | Path, name: str) -> "StoredOutputs":
        """Return the float32 tensor `name` of a safetensors file; the file may be removed then."""
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - it closes with this
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
        return cls(file, 8 + size + entry["data_offsets"][0], tuple(entry["shape"]))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        """Return the outputs of a slice of rows; raise OSError where the file was cut."""
        first, stop, step = rows.indices(len(self))
        if step != 1:
            raise IndexError(f"rows are read one behind the other, not every {step}")
        found = np.empty((max(0, stop - first), *self.shape[1:]), dtype=self.dtype)
        left = memoryview(found.reshape(-1).view(np.uint8))
        place = self._start + first * self._row
        while len(left):
            count = os.preadv(self._file.fileno(), [left], place)
            if not count:
                raise OSError("the file of outputs ends before its last row")
            left, place = left[count:], place + count
        return found

    def put(self, places: np.ndarray, outputs: NDArray[np.float32]) -> None:
        """Write rows of no more than L bases each to their `places`."""
        for place, row in zip(places.tolist(), outputs, strict=True):
            left = memoryview(
                np.ascontiguousarray(row, dtype=self.dtype).reshape(-1).view(np.uint8)
            )
            start = self._start + place * self._row
            while len(left):
                count = os.pwrite(self._file.fileno(), left, start)
                left, start = left[count:], start + count


@dataclass(frozen=True)
class Decided:
    """The classes [R, L] that `decide` gives for outputs, computed for a slice of rows."""

    outputs: Outputs
    decide: Callable[[np.ndarray], np.ndarray]

    @property
    def shape(self) -> tuple[int, ...]:
        """R and L."""
        return self.outputs.shape[:-1]

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self.decide(self.outputs[rows])


def new_outputs(folder: str | Path | None, shape: tuple[int, ...]) -> Outputs:
    """Return zeros for the outputs of bases, float32 [R, L, C]: in memory without a folder."""
    if folder is None:
        return np.zeros(shape, dtype=np.float32)
    return StoredOutputs.create(folder, shape)


def put_rows(outputs: Outputs, places: np.ndarray, rows: NDArray[np.float32]) -> None:
    """Write outputs of rows, of no more than L bases each, to their places in `new_outputs`."""
    if isinstance(outputs, StoredOutputs):
        outputs.put(places, rows)
    else:
        outputs[places, : rows.shape[1]] = rows


def decide(outputs: Outputs, kind: Kind) -> Outputs:
    """Return what outputs predict, of the shape of labels; of bases it is computed when read."""
    return Decided(outputs, kind.decide) if kind.shape == BASES else kind.decide(outputs)


def row_blocks(rows: int, bases: int) -> Iterator[slice]:
    """Yield slices of rows of so many bases that make a block."""
    size = max(1, BLOCK_BASES // max(1, bases))
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))
