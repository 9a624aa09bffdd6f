"""Parquet files that carry their own names: what they are of, in the metadata of their schema."""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.errors import InputError
from dnalm.files import atomic_path


def write_parquet(table: pd.DataFrame, path: str | Path, names: Mapping[str, str]) -> None:
    """Write a table as Parquet, without its index; `names` go into the schema's metadata."""
    write_blocks([table], path, names)


def write_blocks(
    blocks: Iterable[pd.DataFrame], path: str | Path, names: Mapping[str, str]
) -> None:
    """Write a table as `write_parquet` does, block of rows by block; there is at least one."""
    arrow = (pa.Table.from_pandas(block, preserve_index=False) for block in blocks)
    first = next(arrow)
    schema = first.schema.with_metadata({**first.schema.metadata, **names})
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for table in chain([first], arrow):
            writer.write_table(table.cast(schema))


def read_names(path: str | Path) -> dict[str, str]:
    """Return the metadata of a Parquet file's schema as text."""
    metadata = pq.read_schema(path).metadata or {}
    return {key.decode(): value.decode() for key, value in metadata.items()}


def check_names(path: str | Path, names: Mapping[str, str]) -> None:
    """Raise InputError where a Parquet file says that it is of something else than `names`.

    A file of before names were written says nothing and passes.
    """
    own = read_names(path)
    for key, name in names.items():
        if own.get(key, name) != name:
            raise InputError(
                f"{path}: it is of the {key} {own[key]}, not of {name}; "
                f"delete the file and run again to have it rebuilt."
            )
