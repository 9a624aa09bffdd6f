"""Safetensors files of numpy arrays, without torch, with bytes that depend on content alone."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dnalm.files import atomic_path, refuse_stream

# Older readers of `transformers` insist on the key `format`, and on this value.
FORMAT = {"format": "pt"}
DTYPE_NAMES = {"float32": "F32", "float64": "F64", "float16": "F16", "uint8": "U8", "int64": "I64"}
BLOCK_NUMBERS = 1 << 22  # that are written at a time
HEADER_ALIGNMENT = 8
# What readers raise for files that are damaged, of another program, or of types we do not have.
UNREADABLE = (OSError, SafetensorError, ValueError, TypeError, LookupError, AttributeError)
UNREADABLE += (RuntimeError,)
MAX_REASON = 200  # characters of such an error in a sentence


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file."""
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the metadata of a safetensors file, whose tensors are not read."""
    with safe_open(path, framework="numpy") as file:
        return file.metadata() or {}


def read_types(path: str | Path) -> dict[str, str]:
    """Return the types of the tensors of a safetensors file, such as F32, by their names.

    Raises InputError for a pipe.
    """
    refuse_stream(path)
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118


def save_arrays(
    arrays: Mapping[str, np.ndarray], path: str | Path, metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file whose bytes depend on `arrays` and `metadata` alone."""
    with atomic_path(path) as temporary:
        save_file(dict(arrays), temporary, metadata={**metadata, **FORMAT})
        sort_metadata(temporary)


def stream_arrays(
    arrays: Iterable[tuple[str, np.ndarray]],
    shapes: Mapping[str, tuple[int, ...]],
    types: Mapping[str, str],
    path: str | Path,
    metadata: Mapping[str, str],
) -> None:
    """Write a safetensors file as `save_arrays` does, array by array, so that one is in memory.

    `shapes` and `types` (of DTYPE_NAMES) announce all `arrays` in their order, which may lie in
    files as well and are read in blocks of rows. Raises ValueError when an array is not the
    announced one.
    """
    header: dict[str, object] = {"__metadata__": dict(sorted({**metadata, **FORMAT}.items()))}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * np.dtype(types[name]).itemsize
        entry = {"dtype": DTYPE_NAMES[types[name]], "shape": shape, "data_offsets": [start, end]}
        header[name] = entry
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // HEADER_ALIGNMENT) * HEADER_ALIGNMENT)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for (name, array), announced in zip(arrays, shapes, strict=True):
            found = (name, array.shape, array.dtype)
            if found != (announced, shapes[announced], np.dtype(types[announced])):
                raise ValueError(f"{path}: {announced} was announced, but {found} came")
            rows = max(1, BLOCK_NUMBERS // max(1, math.prod(array.shape[1:])))
            for start in range(0, len(array), rows) if array.ndim else ():
                np.ascontiguousarray(array[start : start + rows]).tofile(file)
            if not array.ndim:
                array.tofile(file)


def sort_metadata(path: Path) -> None:
    """Sort the metadata in a file's header, in place: safetensors writes it in a random order."""
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > size:
            raise RuntimeError(f"the header of {path} grew from {size} to {len(text)} bytes")
        file.seek(8)
        file.write(text.ljust(size))
