"""Embeddings of a task's rows that another program made, checked and brought into their order.

Shapes: N rows of the task table, D width.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.benchmark.embedding.stored import IDS_KEY, LAYER_PREFIX, row_ids
from dnalm.benchmark.tasks.row_files import refuse_folder
from dnalm.errors import InputError
from dnalm.files import refuse_stream, sha256_of
from dnalm.model.tensors import MAX_REASON, UNREADABLE, read_arrays, read_types, save_arrays

ID_COLUMN = "id"
NUMBER = re.compile(r"0|[1-9][0-9]{0,5}")  # of a layer: each has one spelling
DIGITS = re.compile(r"[0-9]{1,18}")
ARRAY_TYPES = ("F64", "F32", "F16")  # what numpy has; whole numbers may stand for others
# What metadata say of how embeddings were made, which nobody has told us.
UNKNOWN = {"pooling": "unknown", "centre_bases": "0", "strands": "unknown", "precision": "unknown"}

log = logging.getLogger(__name__)


def import_embeddings(source: str | Path, table: str | Path, path: str | Path) -> None:
    """Write embeddings that another program made as a file that probes read.

    `source` is Parquet, with a column `id` and a column of lists of numbers for each layer, or
    safetensors, with `ids` (the JSON list of ids in UTF-8, uint8) and an array [N, D] for each.
    Layers are named by their place, from 1 on, unless they are all called layer.<i>; arrays of
    safetensors, which have no order, stand in that of their names, numbers in these by their value.
    Rows are brought into the order of `table`, a task's, whose ids they have to bear, each once.
    Raises InputError for anything else, and for numbers that are not finite or whole ones.
    """
    refuse_folder(source)
    try:
        refuse_stream(source)
        ids, found = (_read_parquet if _is_parquet(source) else _read_safetensors)(source)
    except InputError:  # which is a ValueError
        raise
    except (pa.ArrowException, *UNREADABLE) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:MAX_REASON]
        raise InputError(
            f"{source} cannot be read as embeddings ({reason}): give Parquet with a column `id` and"
            " lists of numbers, or safetensors with `ids` and arrays [rows, width]."
        ) from error
    order = _match(source, ids, table)
    layers = _name_layers(found)
    if not layers:
        raise InputError(
            f"{source} holds no lists of numbers of floating point: give a vector of them for each"
            " row."
        )
    for name, array in layers.items():
        if array.ndim != 2 or len(array) != len(ids) or not array.shape[1]:
            raise InputError(f"{source}: {name} has the shape {array.shape}, not [{len(ids)}, D].")
        with np.errstate(over="ignore"):
            layers[name] = array.astype(np.float32)  # in which larger ones become infinite
        if not np.isfinite(layers[name]).all():
            raise InputError(
                f"{source}: {name} holds numbers that are not finite in float32: correct it."
            )
    wanted = row_ids(table)
    text = json.dumps(wanted, ensure_ascii=False).encode()
    arrays = {name: np.ascontiguousarray(array[order]) for name, array in layers.items()}
    metadata = {
        **UNKNOWN,
        "dtype": "float32",
        "weights_sha256": sha256_of(source),  # of all that there is of the model
        "task_sha256": sha256_of(table),
        "layers": json.dumps([int(name.removeprefix(LAYER_PREFIX)) for name in arrays]),
    }
    save_arrays(arrays | {IDS_KEY: np.frombuffer(text, dtype=np.uint8)}, path, metadata)
    shown = ", ".join(f"{old} as {new}" for old, new in zip(found, layers, strict=True))
    log.info("%s: %d rows; read are %s", source, len(ids), shown)


def _is_parquet(source: str | Path) -> bool:
    with open(source, "rb") as file:
        return file.read(4) == b"PAR1"


def _read_parquet(source: str | Path) -> tuple[list[str], dict[str, np.ndarray]]:
    table = pq.read_table(source)
    if ID_COLUMN not in table.column_names:
        raise InputError(
            f"{source} has no column {ID_COLUMN!r}, its columns are "
            f"{', '.join(map(repr, table.column_names))[:200]}: add the ids of the task's rows."
        )
    arrays = {}
    for name in table.column_names:
        kind = table.schema.field(name).type
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        if (lists or pa.types.is_fixed_size_list(kind)) and pa.types.is_floating(kind.value_type):
            rows = table.column(name).to_pylist()
            widths = {-1 if row is None else len(row) for row in rows}
            if len(widths) > 1 or -1 in widths:
                raise InputError(f"{source}: the lists of {name} are not all of one length.")
            arrays[name] = np.array(rows, dtype=np.float64).reshape(
                len(rows), max(widths, default=0)
            )
    return [str(name) for name in table.column(ID_COLUMN).to_pylist()], arrays


def _read_safetensors(source: str | Path) -> tuple[list[str], dict[str, np.ndarray]]:
    wrong = {key: kind for key, kind in read_types(source).items() if kind not in ARRAY_TYPES}
    if wrong := {key: kind for key, kind in wrong.items() if key != IDS_KEY}:
        key, kind = next(iter(wrong.items()))
        raise InputError(
            f"{source}: the array {key!r} is of the type {kind}, of {', '.join(ARRAY_TYPES)} it has"
            " to be: leave it out, or save it as float32, with its scale if it has one."
        )
    arrays, _ = read_arrays(source)
    if IDS_KEY not in arrays:
        raise InputError(
            f"{source} has no array {IDS_KEY!r}: add the JSON list of the rows' ids as uint8."
        )
    ids = json.loads(arrays.pop(IDS_KEY).tobytes())
    if not isinstance(ids, list):
        raise InputError(f"{source}: {IDS_KEY} is no JSON list: write the rows' ids as one.")
    return [str(name) for name in ids], {
        name: arrays[name] for name in sorted(arrays, key=_by_number)
    }


def _by_number(name: str) -> list[tuple[str, int]]:
    """Return a key that sorts names by the numbers in them: hidden.9 before hidden.10."""
    parts = DIGITS.split(name)
    numbers = [*map(int, DIGITS.findall(name)), -1]
    return list(zip(parts, numbers, strict=True))


def _name_layers(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    numbered = all(
        name.startswith(LAYER_PREFIX) and NUMBER.fullmatch(name.removeprefix(LAYER_PREFIX))
        for name in found
    )
    names = found if numbered else [f"{LAYER_PREFIX}{i}" for i in range(1, len(found) + 1)]
    return dict(zip(names, found.values(), strict=True))


def _match(source: str | Path, ids: Sequence[str], table: str | Path) -> np.ndarray:
    """Return the position of each of the task's rows among `ids`."""
    wanted = row_ids(table)
    twice = [name for name, count in Counter(ids).items() if count > 1]
    missing, extra = sorted(set(wanted) - set(ids)), sorted(set(ids) - set(wanted))
    for names, words in (
        (twice, "stand there more than once"),
        (missing, f"of {table} are missing"),
        (extra, f"are none of {table}"),
    ):
        if names:
            raise InputError(
                f"{source}: {len(names)} ids {words} (first: {names[0]!r}): give each row of the"
                " task's table one vector, under its id."
            )
    return pd.Index(ids).get_indexer(wanted)
