"""The table of scores: its columns, its metadata, and as text for people.

Shapes: R rows of a part.
"""

import gzip
import io
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dnalm.files import atomic_path
from dnalm.variants.scan import COLUMNS, CONTIG

KEY = "dnalm"  # of the metadata: a JSON object

log = logging.getLogger(__name__)


def make_schema(scores: Sequence[str], facts: Mapping[str, Any]) -> pa.Schema:
    """Return the columns of the table, with what it is of under `KEY` of its metadata."""
    fields = [*COLUMNS, *(pa.field(name, pa.float64()) for name in scores)]
    return pa.schema(fields, metadata={KEY: json.dumps(facts)})


def make_table(part: pa.Table, scores: NDArray[np.float64], schema: pa.Schema) -> pa.Table:
    """Return the rows of a part with their scores [R, scores]; NaN is missing."""
    own = part.drop_columns([CONTIG]).columns
    found = [pa.array(column, mask=np.isnan(column)) for column in scores.T]
    return pa.Table.from_arrays([*own, *found], schema=schema)


def write_text(table: str | Path, path: str | Path) -> None:
    """Write a table of scores as tab-separated text, gzip, row group by row group."""
    with (
        pq.ParquetFile(table) as file,
        atomic_path(path) as temporary,
        open(temporary, "wb") as raw,
        # Neither name nor time in the header: they would change the file's sha256.
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        text.write("\t".join(file.schema_arrow.names) + "\n")
        for number in range(file.num_row_groups):
            frame = file.read_row_group(number).to_pandas(ignore_metadata=True)
            frame.to_csv(text, sep="\t", header=False, index=False, float_format="%.9g")
    log.info("%s is written", path)
