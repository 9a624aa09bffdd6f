"""Embeddings of a task in formats of other programs: Parquet, and AnnData's HDF5 layout.

Shapes: N rows of the task table, D width.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.benchmark.embedding.stored import LAYER_PREFIX, read_embeddings
from dnalm.benchmark.tasks.table import read_task
from dnalm.errors import InputError
from dnalm.files import atomic_path

OBSERVED = ("id", "label", "split")  # columns of the task table that go along
ROW_GROUP = 4096
# https://anndata.readthedocs.io, "On-disk format": what tells a reader how each part is stored.
ANNDATA, DICTIONARY = ("anndata", "0.1.0"), ("dict", "0.1.0")
FRAME, ARRAY = ("dataframe", "0.2.0"), ("array", "0.2.0")
TEXTS, TEXT = ("string-array", "0.2.0"), ("string", "0.2.0")

log = logging.getLogger(__name__)


def export_embeddings(embeddings: str | Path, table: str | Path, path: str | Path) -> None:
    """Write a file of embeddings, with the ids, labels and splits of its rows, for other programs.

    `path` ends in .parquet: a column `layer.<i>` of lists [D] for each layer; or in .h5ad, for
    AnnData: X the last layer, obsm every layer, obs ids, labels and splits, uns how they were made.
    Raises InputError where embeddings and table are of other rows.
    """
    layers, metadata = read_embeddings(embeddings, table)
    rows = read_task(table)[list(OBSERVED)]
    # A safetensors file gives its metadata in no order; of one thing there is one file.
    metadata = dict(sorted(metadata.items()))
    with atomic_path(path) as temporary:
        WRITERS[Path(path).suffix](temporary, layers, rows, metadata)
    log.info("%s: %d rows of %d layers", path, len(rows), len(layers))


def _write_parquet(
    path: Path, layers: Mapping[str, np.ndarray], rows: pd.DataFrame, metadata: Mapping[str, str]
) -> None:
    columns = dict(zip(OBSERVED, pa.Table.from_pandas(rows, preserve_index=False), strict=True))
    for name, array in layers.items():
        flat = pa.array(array.reshape(-1))
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
    table = pa.table(columns).replace_schema_metadata(dict(metadata))
    pq.write_table(table, path, row_group_size=ROW_GROUP)


def _write_anndata(
    path: Path, layers: Mapping[str, np.ndarray], rows: pd.DataFrame, metadata: Mapping[str, str]
) -> None:
    try:
        import h5py
    except ImportError:
        raise InputError(
            "embed.export has anndata, which the package h5py writes: install it (`pip install"
            " dnalm[anndata]`), or drop it."
        ) from None
    *_, last = layers
    with h5py.File(path, "w") as file:
        _mark(file, ANNDATA)
        _mark(file.create_dataset("X", data=layers[last]), ARRAY)
        labels = _label_columns(rows["label"])
        _write_frame(file, "obs", rows["id"], {**labels, "split": rows["split"].to_numpy()})
        width = layers[last].shape[1]
        _write_frame(file, "var", pd.Series([str(number) for number in range(width)]), {})
        obsm = _mark(file.create_group("obsm"), DICTIONARY)
        for name, array in layers.items():
            _mark(obsm.create_dataset(name, data=array), ARRAY)
        uns = _mark(file.create_group("uns"), DICTIONARY)
        for key, text in metadata.items():
            _mark(uns.create_dataset(key, data=text), TEXT)
        layer = last.removeprefix(LAYER_PREFIX)
        _mark(uns.create_dataset("layer_of_X", data=layer), TEXT)
        for empty in ("layers", "obsp", "varm", "varp"):
            _mark(file.create_group(empty), DICTIONARY)


def _label_columns(labels: pd.Series) -> dict[str, np.ndarray]:
    """Return the labels as columns of numbers: several of a row have one each."""
    if labels.map(np.ndim).eq(0).all():
        return {"label": labels.to_numpy()}
    stacked = np.stack(labels.to_list())
    return {f"label.{number}": column for number, column in enumerate(stacked.T)}


def _write_frame(file: Any, name: str, index: pd.Series, columns: Mapping[str, np.ndarray]) -> None:
    group = _mark(file.create_group(name), FRAME)
    group.attrs["_index"] = "_index"
    # An empty list of texts has to be said to be one.
    group.attrs["column-order"] = np.array(list(columns), dtype=object if columns else float)
    _write_column(group, "_index", index.to_numpy())
    for column, values in columns.items():
        _write_column(group, column, values)


def _write_column(group: Any, name: str, values: np.ndarray) -> None:
    import h5py

    if np.issubdtype(values.dtype, np.number):
        _mark(group.create_dataset(name, data=values), ARRAY)
        return
    texts = [str(value) for value in values]
    _mark(group.create_dataset(name, data=texts, dtype=h5py.string_dtype()), TEXTS)


def _mark(part: Any, encoding: tuple[str, str]) -> Any:
    part.attrs["encoding-type"], part.attrs["encoding-version"] = encoding
    return part


Writer = Callable[[Path, Mapping[str, np.ndarray], pd.DataFrame, Mapping[str, str]], None]
WRITERS: dict[str, Writer] = {".parquet": _write_parquet, ".h5ad": _write_anndata}
