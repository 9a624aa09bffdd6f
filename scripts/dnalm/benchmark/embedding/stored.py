"""Stored embeddings: a safetensors file of one array a layer, and how it is read, without torch.

Shapes: N rows of the task table, D width.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.model.tensors import MAX_REASON, UNREADABLE, read_arrays

LAYER_PREFIX = "layer."  # what the name of a layer's array begins with; its number follows
IDS_KEY = "ids"


def read_embeddings(
    path: str | Path, table: str | Path
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the embeddings of a file, {"layer.<i>": float32 [N, D]} by layer, and its metadata.

    Raises InputError when the embeddings were made from another table than `table`, by its sha256
    or by the ids of its rows, or the file is damaged or another one.
    """
    try:
        arrays, metadata = read_arrays(path)
        ids = json.loads(arrays.pop(IDS_KEY).tobytes())
        made_from = metadata["task_sha256"]
        names = sorted(arrays, key=lambda name: int(name.removeprefix(LAYER_PREFIX)))
        wrong = [name for name in names if arrays[name].shape[:1] != (len(ids),)]
    except UNREADABLE as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
        raise InputError(
            f"{path} is no file of embeddings, or is damaged ({reason}): delete it and run again."
        ) from error
    if wrong:
        raise InputError(
            f"{path} has {len(ids)} rows, but not in {wrong[0]}: delete it and run again."
        )
    if made_from != sha256_of(table) or ids != row_ids(table):
        raise InputError(
            f"{path} was made from other rows than {table} holds: delete it and run again."
        )
    return {name: arrays[name].astype(np.float32, copy=False) for name in names}, metadata


def row_ids(table: str | Path) -> list[str]:
    """Return the ids of a task table's rows, in their order."""
    return pd.read_parquet(table, columns=["id"])["id"].tolist()
