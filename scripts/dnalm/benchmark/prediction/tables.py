"""Tables of predictions: their columns, and Parquet and TSV files written block by block.

Shapes: R rows of a block, C classes (multilabel: labels, regression: targets).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.benchmark.prediction.folds import Facts
from dnalm.benchmark.prediction.pieces import Pieces
from dnalm.benchmark.scoring.results import PROBABILITY
from dnalm.benchmark.tasks.kinds import BASES, FLAG, NUMBER
from dnalm.errors import InputError
from dnalm.files import atomic_path

VALUE, SD, PREDICTED = "value.", ".sd", "predicted"
TSV, PARQUET = ".tsv", ".parquet"
TYPES = {"start": pa.int64(), "end": pa.int64()}  # of the columns of intervals; others are texts
NO_CLASS = -1  # of a base that is not predicted


class Write(Protocol):
    """Adds the rows of a block to the files."""

    def __call__(self, table: pa.Table) -> None: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Mean over folds and sample SD, float64 [R, C] each, nan for rows that are left out.

    Of per-base tasks they are a list of [bases, C], nan for bases that are not predicted.
    """

    mean: np.ndarray | list[np.ndarray]
    sd: np.ndarray | list[np.ndarray]


def make_schema(facts: Facts, columns: Sequence[str], names: Mapping[str, str]) -> pa.Schema:
    """Return the columns of a table of predictions; `names` go into its metadata.

    id; `columns`, of intervals; bases; folds, how many the mean is over; `predicted`, the class
    (multilabel: `predicted.<label>`); `probability.<class>`, or `value.<target>`, and its SD over
    the folds, `.sd`; note, of what was not as usual. Of per-base tasks the last are lists.
    """
    kind = facts.kind
    number = pa.list_(pa.float32()) if kind.shape == BASES else pa.float64()
    prefix = VALUE if kind.value == NUMBER else PROBABILITY
    decided: dict[str, pa.DataType] = {}
    if kind.shape == BASES:
        decided = {PREDICTED: pa.list_(pa.int64())}
    elif kind.value == FLAG:
        decided = {f"{PREDICTED}.{name}": pa.int64() for name in facts.names}
    elif kind.value != NUMBER:
        decided = {PREDICTED: pa.int64() if facts.numbered else pa.string()}
    return pa.schema(
        {
            "id": pa.string(),
            **{column: TYPES.get(column, pa.string()) for column in columns},
            "bases": pa.int64(),
            "folds": pa.int64(),
            **decided,
            **{f"{prefix}{name}{end}": number for name in facts.names for end in ("", SD)},
            "note": pa.string(),
        },
        metadata=dict(names),
    )


def make_table(
    block: Sequence[Pieces], found: Predictions, facts: Facts, folds: int, schema: pa.Schema
) -> pa.Table:
    """Return the rows of a block, in their order, by the columns of `make_schema`."""
    kept = np.array([bool(pieces.texts) for pieces in block])
    intervals = [pieces.row.columns for pieces in block]
    columns: list[Any] = [
        [pieces.row.id for pieces in block],
        *([own[name] for own in intervals] for name in intervals[0]),
        [pieces.bases for pieces in block],
        [folds if own else 0 for own in kept],
        *_decide(found, facts, kept),
        *_numbers(found, facts, kept),
        [pieces.note for pieces in block],
    ]
    arrays = [pa.array(own, type=field.type) for own, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _decide(found: Predictions, facts: Facts, kept: np.ndarray) -> Iterator[Any]:
    kind = facts.kind
    if kind.value == NUMBER:
        return
    if kind.shape == BASES:
        yield [
            _decide_bases(own, facts) if use else None
            for own, use in zip(found.mean, kept, strict=True)
        ]
        return
    decided = kind.decide(np.nan_to_num(found.mean))
    if kind.value == FLAG:
        for column in decided.T:
            yield [int(own) if use else None for own, use in zip(column, kept, strict=True)]
        return
    named = [int(v) if facts.numbered else facts.names[v] for v in decided]
    yield [value if use else None for value, use in zip(named, kept, strict=True)]


def _decide_bases(mean: np.ndarray, facts: Facts) -> np.ndarray:
    known = ~np.isnan(mean).any(axis=1)
    return np.where(known, facts.kind.decide(np.nan_to_num(mean)), NO_CLASS)


def _numbers(found: Predictions, facts: Facts, kept: np.ndarray) -> Iterator[Any]:
    for number in range(facts.classes):
        for array in (found.mean, found.sd):
            if isinstance(array, np.ndarray):
                yield pa.array(array[:, number], mask=~kept)
            else:
                yield [
                    own[:, number].astype(np.float32) if use else None
                    for own, use in zip(array, kept, strict=True)
                ]


@contextmanager
def open_tables(paths: Sequence[str | Path], facts: Facts, schema: pa.Schema) -> Iterator[Write]:
    """Yield what writes blocks to TSV and Parquet files, which appear when the context ends.

    Raises InputError for another ending, and a TSV of bases.
    """
    with ExitStack() as stack:
        writers = [_open(stack, Path(path), facts, schema) for path in paths]

        def write(table: pa.Table) -> None:
            for writer in writers:
                writer(table)

        yield write


def _open(stack: ExitStack, path: Path, facts: Facts, schema: pa.Schema) -> Write:
    if path.suffix not in (TSV, PARQUET):
        raise InputError(f"{path}: predictions are written as {TSV} or {PARQUET}: name it so.")
    if path.suffix == TSV and facts.kind.shape == BASES:
        raise InputError(
            f"{path}: a number for each base is too much for a table of text: name a file that"
            f" ends in {PARQUET}."
        )
    temporary = stack.enter_context(atomic_path(path))
    if path.suffix == PARQUET:
        return stack.enter_context(pq.ParquetWriter(temporary, schema)).write_table
    file = stack.enter_context(open(temporary, "w", newline=""))  # noqa: SIM115 - the stack does
    file.write("\t".join(schema.names) + "\n")

    def write(table: pa.Table) -> None:
        frame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
        frame.to_csv(file, sep="\t", header=False, index=False, float_format="%.6g")

    return write
