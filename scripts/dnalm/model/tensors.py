"""Safetensors files as numpy arrays, without torch, and with bytes that depend on content alone."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from dnalm.files import atomic_path

# Older readers of `transformers` insist on the key `format`, and on this value.
FORMAT = {"format": "pt"}


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file."""
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def save_arrays(
    arrays: Mapping[str, np.ndarray], path: str | Path, metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file whose bytes depend on `arrays` and `metadata` alone."""
    with atomic_path(path) as temporary:
        save_file(dict(arrays), temporary, metadata={**metadata, **FORMAT})
        sort_metadata(temporary)


def sort_metadata(path: Path) -> None:
    """Sort the metadata in a file's header, which safetensors writes in a random order."""
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > size:
            raise RuntimeError(f"the header of {path} grew from {size} to {len(text)} bytes")
        file.seek(8)
        file.write(text.ljust(size))
