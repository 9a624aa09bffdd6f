"""Writers of .npy files, for arrays that are longer than memory: row by row, or in any order."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

WRITE_BYTES = 1 << 20


def create_array(path: Path, kind: DTypeLike, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """Return a new .npy file as a writable memory map, whose room on the disk is taken already.

    Of a file with holes the kernel finds out only while it is written that a disk is full, and then
    ends the process (SIGBUS). Raises OSError when there is no room.
    """
    array = np.lib.format.open_memmap(path, "w+", kind, shape)
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))
    return array


class ArrayWriter:
    """Appends rows to a .npy file; its header is complete when the context ends.

    `columns` is the length of a row, None for an array of one dimension; `rows` counts what was
    written.
    """

    def __init__(self, path: Path, kind: DTypeLike, columns: int | None) -> None:
        self.rows = 0
        self._kind, self._columns = np.dtype(kind), columns
        self._file = open(path, "wb", buffering=WRITE_BYTES)  # noqa: SIM115 - closed by the context
        self._write_header()

    def __enter__(self) -> "ArrayWriter":
        return self

    def write(self, rows: NDArray[Any]) -> None:
        """Append rows of the writer's type."""
        self._file.write(np.ascontiguousarray(rows, dtype=self._kind))
        self.rows += len(rows)

    def _write_header(self) -> None:
        shape = (self.rows,) if self._columns is None else (self.rows, self._columns)
        facts = {"descr": self._kind.str, "fortran_order": False, "shape": shape}
        # numpy leaves room in the header, so that it has one size however many rows there are.
        np.lib.format.write_array_header_1_0(self._file, facts)

    def __exit__(self, *failure: Any) -> None:
        self._file.seek(0)
        self._write_header()
        self._file.close()
