"""Predictions of bases as they lie in a results file, of which blocks of rows are in memory.

Shapes: F folds, R test rows, B labelled bases of a block, C classes.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dnalm.benchmark.scoring.ranking import Read
from dnalm.benchmark.scoring.results import PROBABILITY, check_folds, no_probabilities
from dnalm.benchmark.scoring.stored_outputs import row_blocks
from dnalm.benchmark.scoring.top_bases import Bases, TopBases, find_top_bases
from dnalm.benchmark.tasks.labels import NO_LABEL
from dnalm.errors import InputError

# Rows, labels and other columns of the labelled bases of a block, [B] each.
Block = tuple[NDArray[np.int32], np.ndarray, list[np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class StoredPredictions:
    """What F models of one method said about the bases of R test rows, in a file.

    `ids` [R] are sorted, `classes` are C, and `folds` ascend; `groups` are the row groups of the
    file that hold rows of a fold, in the order of `folds`.
    """

    path: Path
    kind: str
    ids: np.ndarray
    classes: int
    folds: list[int]
    groups: list[list[int]]

    @classmethod
    def open(cls, path: str | Path, kind: str) -> "StoredPredictions":
        """Open a predictions.parquet of bases, of which ids and folds are read alone.

        Raises InputError when a fold misses a test row or holds one twice, and where there are no
        probabilities, by which bases are scored.
        """
        folds: dict[int, list[int]] = defaultdict(list)
        with pq.ParquetFile(path) as file:
            classes = sum(name.startswith(PROBABILITY) for name in file.schema_arrow.names)
            parts = []
            for group in range(file.num_row_groups):
                own = file.read_row_group(group, columns=["id", "fold"]).to_pandas()
                for fold in own["fold"].unique().tolist():
                    folds[fold].append(group)
                parts.append(own)
        table = pd.concat(parts)
        check_folds(table, path)
        if not classes:
            raise InputError(no_probabilities(path, kind))
        ordered = sorted(folds)
        return cls(
            path=Path(path),
            kind=kind,
            ids=np.sort(table["id"].unique()),
            classes=classes,
            folds=ordered,
            groups=[folds[fold] for fold in ordered],
        )

    @cached_property
    def sites(self) -> NDArray[np.int64]:
        """How many bases of each row are of each class, int64 [C, R]."""
        return self._labels[0]

    @property
    def digests(self) -> list[bytes]:
        """A hash of the labels of each row [R]."""
        return self._labels[1]

    @cached_property
    def _labels(self) -> tuple[NDArray[np.int64], list[bytes]]:
        counts = np.zeros((self.classes, len(self.ids)), dtype=np.int64)
        digests = [b""] * len(self.ids)
        for places, labels, _ in self._batches(self.folds[0], []):
            for place, own in zip(places.tolist(), labels, strict=True):
                numbers = own.values.to_numpy(zero_copy_only=False)
                digests[place] = hashlib.blake2b(numbers.astype("<i4").tobytes()).digest()
                counts[:, place] = np.bincount(numbers[numbers != NO_LABEL], minlength=self.classes)
        return counts, digests

    def blocks(self, fold: int, columns: Sequence[str]) -> Iterator[Block]:
        """Yield the labelled bases of a fold with `columns` of the file, in blocks of rows."""
        for places, labels, others in self._batches(fold, columns):
            flat = labels.flatten().to_numpy(zero_copy_only=False)
            rows = np.repeat(places, labels.value_lengths().to_numpy(zero_copy_only=False))
            known = flat != NO_LABEL
            found = [one.flatten().to_numpy(zero_copy_only=False)[known] for one in others]
            yield rows[known], flat[known], found

    def read_class(self, fold: int, label: int) -> Read:
        """Return what reads a class of a fold anew, as `ranking.rank` takes it."""

        def read() -> Iterator[tuple[NDArray[np.bool_], NDArray[np.float32]]]:
            for _, labels, (probabilities,) in self.blocks(fold, [f"{PROBABILITY}{label}"]):
                yield labels == label, probabilities

        return read

    def top_bases(
        self, fold: int, label: int, size: int, chosen: NDArray[np.bool_] | None = None
    ) -> TopBases:
        """Return the `size` most probable bases of a class, of the `chosen` rows [R] alone."""
        sites = self.sites[label]
        if chosen is None:
            return find_top_bases(partial(self._bases, fold, label), sites, size)
        return find_top_bases(partial(self._bases, fold, label, chosen), sites, size).select(chosen)

    def _bases(
        self, fold: int, label: int, chosen: NDArray[np.bool_] | None = None
    ) -> Iterator[Bases]:
        for rows, labels, (probabilities,) in self.blocks(fold, [f"{PROBABILITY}{label}"]):
            if chosen is not None:
                kept = chosen[rows]
                rows, labels, probabilities = rows[kept], labels[kept], probabilities[kept]
            yield rows, labels == label, probabilities

    def confusion(self, fold: int, classes: int) -> NDArray[np.int64]:
        """Return how often each class is predicted as each in a fold, int64 [C, C]."""
        counts = np.zeros(classes * classes, dtype=np.int64)
        for _, labels, (predicted,) in self.blocks(fold, ["prediction"]):
            pairs = labels.astype(np.int64) * classes + predicted
            counts += np.bincount(pairs, minlength=len(counts))
        return counts.reshape(classes, classes)

    def is_constant(self, fold: int) -> bool:
        """Return whether all labelled bases of a fold are given the same class."""
        given: set[int] = set()
        for _, _, (predicted,) in self.blocks(fold, ["prediction"]):
            given |= set(predicted[:1].tolist())
            if len(given) > 1 or (predicted != predicted[:1]).any():
                return False
        return True

    def _batches(
        self, fold: int, columns: Sequence[str]
    ) -> Iterator[tuple[NDArray[np.int32], pa.ListArray, list[pa.ListArray]]]:
        """Yield places, labels and `columns` of rows of a fold, that many as make a block."""
        places = pd.Index(self.ids)
        with pq.ParquetFile(self.path) as file:
            for group in self.groups[self.folds.index(fold)]:
                facts = file.metadata.row_group(group)
                # Numbers in the lists of a column, by which batches of rows are made.
                bases = facts.column(self._column(file, "label")).num_values
                length = -(-bases // max(facts.num_rows, 1))
                size = next(row_blocks(facts.num_rows, length), slice(1)).stop
                for batch in file.iter_batches(
                    batch_size=size,
                    row_groups=[group],
                    columns=["id", "fold", "label", *columns],
                    use_threads=False,
                ):
                    own = batch.filter(pc.equal(batch["fold"], fold))
                    if own.num_rows:
                        where = places.get_indexer(own["id"].to_pylist()).astype(np.int32)
                        yield where, own["label"], [own[name] for name in columns]

    @staticmethod
    def _column(file: pq.ParquetFile, name: str) -> int:
        paths = [file.schema.column(place).path for place in range(len(file.schema))]
        return next(i for i, path in enumerate(paths) if path.split(".")[0] == name)
