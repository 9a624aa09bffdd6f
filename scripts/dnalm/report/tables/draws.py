"""Bootstrap distributions of every score of a run, on all test rows and on the clean ones."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from dnalm.benchmark.audit.levels import at_least
from dnalm.benchmark.scoring.bootstrap import (
    BootstrapConfig,
    Predictions,
    Resampled,
    check_rows,
)
from dnalm.benchmark.scoring.bootstrap_parts import Opened, bootstrap_parts, open_predictions
from dnalm.benchmark.tasks.kinds import BASES, find_kind
from dnalm.jobs.progress import progress
from dnalm.report.tables.records import Record
from dnalm.report.tables.test_rows.constant_predictions import constant_folds

BYTES = 8  # of a number of a predictions.parquet in memory
MAX_BYTES = 1 << 30  # of predictions of one task that are in memory together
WHOLE, CLEAN = "all test rows", "clean test rows"

Look = TypeVar("Look")


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """How scores are compared.

    correction: of p-values (`dnalm.benchmark.scoring.correction`).
    leak: the relation to a training row from which on a test row is not clean, one of RELATIONS.
    equal: the greatest difference from a published value that counts as none.
    """

    bootstrap: BootstrapConfig
    correction: str
    leak: str
    equal: float

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> "Statistics":
        """Return those of the section `report` of a configuration."""
        return cls(
            bootstrap=BootstrapConfig(**report["bootstrap"]),
            **{key: report[key] for key in ("correction", "leak", "equal")},
        )


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Bootstrap of one score on all test rows and on the clean ones; None without a clean row.

    `constant` bool [F] is that of `constant_folds`, taken here because predictions are read once.
    """

    whole: Resampled
    clean: Resampled | None
    constant: np.ndarray

    def describe(self, level: float) -> dict[str, Any]:
        """Return the columns of the summary."""
        low, high = self.whole.interval(level)
        described = {"low": low, "high": high, "rows": self.whole.rows}
        clean_rows = self.clean.rows if self.clean else 0
        described |= {"clean_rows": clean_rows}
        described |= {"leaking_share": 1 - clean_rows / self.whole.rows}
        if self.clean:
            clean_low, clean_high = self.clean.interval(level)
            described |= {"clean_score": self.clean.score}
            described |= {"clean_low": clean_low, "clean_high": clean_high}
        return described


def draw_results(
    results: Sequence[Record], audit_rows: Mapping[str, str], statistics: Statistics
) -> dict[tuple[str, str, str], Draws]:
    """Return the bootstrap of every result by its key; draws of one task are of the same test rows.

    `audit_rows` is the file of each task's audited rows.
    """
    by_task = defaultdict(list)
    for result in results:
        by_task[result.task].append(result)
    draws = {}
    results_of = progress(
        by_task.items(), "draw test rows again", "results", len(results), size=lambda of: len(of[1])
    )
    for task, own in results_of:
        leaking = leaking_ids(pd.read_parquet(audit_rows[task]), statistics.leak)
        clean = partial(_clean_masks, leaking=leaking)
        drawn = draw_in_turn(own, clean, statistics.bootstrap, constant_folds)
        for result, parts, constant in drawn:
            draws[result.key] = Draws(whole=parts[WHOLE], clean=parts.get(CLEAN), constant=constant)
    return draws


def _clean_masks(ids: np.ndarray, leaking: np.ndarray) -> dict[str, np.ndarray]:
    return {WHOLE: np.ones(len(ids), dtype=bool), CLEAN: ~np.isin(ids, leaking)}


def draw_in_turn(
    results: Sequence[Record],
    find_parts: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    config: BootstrapConfig,
    look: Callable[[Opened], Look],
) -> Iterator[tuple[Record, dict[str, Resampled], Look]]:
    """Yield of each result of one task its bootstrap by part, and what `look` says of it.

    `find_parts` gives bool masks [R] by name for the ids of the test rows; parts without a row are
    left out. Predictions are read once, and those of `MAX_BYTES` are in memory together. Raises
    InputError when two results are not of the same rows.
    """
    first: Opened | None = None
    masks: dict[str, np.ndarray] = {}
    for group in _fitting(results):
        methods = [open_predictions(result.predictions, result.kind) for result in group]
        if first is None:
            first = _without_outputs(methods[0])
            masks = {name: m for name, m in find_parts(first.ids).items() if m.any()}
        elif isinstance(first, Predictions):
            check_rows(first, methods[0])
        seen = [look(method) for method in methods]
        drawn = _draw(methods, masks, config)
        del methods  # before the next are read: one of hundreds of labels has gigabytes
        yield from zip(group, drawn, seen, strict=True)


def _without_outputs(method: Opened) -> Opened:
    """Return the ids and labels of predictions: all that tells whether others are of their rows."""
    if not isinstance(method, Predictions):
        return method
    # Copies: a part of an array keeps the whole in memory.
    return replace(
        method, labels=method.labels.copy(), classes=method.classes[:0].copy(), probabilities=None
    )


def _draw(
    methods: Sequence[Opened], masks: Mapping[str, np.ndarray], config: BootstrapConfig
) -> list[dict[str, Resampled]]:
    """Return of each method its bootstrap by part; parts of equal rows are drawn once."""
    different = list({mask.tobytes(): mask for mask in masks.values()}.values())
    found = bootstrap_parts(methods, different, config)
    of_rows = {mask.tobytes(): drawn for mask, drawn in zip(different, found, strict=True)}
    return [
        {name: of_rows[mask.tobytes()][place] for name, mask in masks.items()}
        for place in range(len(methods))
    ]


def _fitting(results: Sequence[Record]) -> Iterator[list[Record]]:
    """Yield the results of one task in turn, as many as fit into `MAX_BYTES`, but one at least.

    Together where they fit, as drawing rows takes longer than scoring them; every group meets the
    same draws, which follow from the seed. Of bases no result is read whole.
    """
    if find_kind(results[0].kind).shape == BASES:
        yield list(results)
        return
    group: list[Record] = []
    size = 0
    for result in results:
        facts = pq.read_metadata(result.predictions)
        groups = (facts.row_group(place) for place in range(facts.num_row_groups))
        numbers = sum(
            own.column(place).num_values for own in groups for place in range(own.num_columns)
        )
        if group and size + numbers * BYTES > MAX_BYTES:
            yield group
            group, size = [], 0
        group.append(result)
        size += numbers * BYTES
    yield group


def leaking_ids(rows: pd.DataFrame, leak: str) -> np.ndarray:
    """Return the ids of the audited rows whose relation is `leak` or closer."""
    return rows.loc[at_least(rows["relation"], leak), "id"].to_numpy()
