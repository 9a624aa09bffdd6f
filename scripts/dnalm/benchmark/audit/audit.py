"""Audit of a task for leakage and confounding: related rows, and labels that follow from GC.

Nothing is removed. The report shows what is found next to every score, and scores the test rows
that share nothing with training rows on their own.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from dnalm.benchmark.audit.confounding import confounding
from dnalm.benchmark.audit.contigs import find_contigs, share_contigs
from dnalm.benchmark.audit.levels import NEAR, RELATIONS
from dnalm.benchmark.audit.near_duplicates import TEST_SIDE, NearDuplicateConfig
from dnalm.benchmark.audit.relations import COLUMNS, Relations
from dnalm.benchmark.parquet import write_parquet
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.files import atomic_path, write_json

ROW_COLUMNS = ["id", *COLUMNS]
PAIR_COLUMNS = ["first", "second", "relation", "overlap", "identity"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AuditConfig(NearDuplicateConfig):
    """The section `audit` of the config: `NearDuplicateConfig`, and how many pairs are listed.

    largest_pairs: so many pairs are written at most, the closest ones.
    """

    largest_pairs: int


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The result of `audit_task`.

    summary: counts by relation and the strengths of confounding, as written to JSON.
    rows: a row per row of the task: id, relation (one of RELATIONS), partner (an id), overlap
        (bases), identity (0 to 1) and strand. Test rows are related to training rows, training rows
        to those of other folds.
    pairs: the closest pairs, whatever their splits: each row with the first one that is identical,
        then near duplicates and overlaps, by the first row of each sequence.
    """

    summary: dict[str, Any]
    rows: pd.DataFrame
    pairs: pd.DataFrame


def audit_task(table: pd.DataFrame, kind: str, config: AuditConfig) -> Audit:
    """Return the audit of a task: leakage between rows, and confounding of their labels.

    `table` has the columns id, sequence, label, split, provenance and folds. The summary counts, by
    relation: `test_in_train` test rows by their closest training row, `train_in_other_folds`
    training rows by the closest one that is validation in other splits, `within_train` and
    `within_test` rows by the closest other row of their split. `other_labels` are rows whose
    sequence, or nearly so, stands in the task with another label too; None for kinds of labels
    that differ anyway. `too_short` are rows whose near duplicates may be missed.
    """
    started = time.monotonic()
    thresholds = {name: getattr(config, name) for name in NearDuplicateConfig.__annotations__}
    train, test = ((table["split"] == name).to_numpy() for name in ("train", "test"))
    folds, _ = pd.factorize(table["folds"].map(lambda splits: str(list(splits))), sort=True)
    sides = np.where(test, TEST_SIDE, folds)
    relations = Relations(table["sequence"], sides, NearDuplicateConfig(**thresholds))
    in_train = relations.closest(test, train)
    in_folds = relations.closest(train, train, folds)
    ids = table["id"].to_numpy()
    rows = pd.concat([in_train.table(ids)[test], in_folds.table(ids)[train]]).sort_index()
    rows.insert(0, "id", ids)
    summary = {
        "rows": {"train": int(train.sum()), "test": int(test.sum())},
        "test_in_train": _counts(in_train.levels[test]),
        "train_in_other_folds": _counts(in_folds.levels[train]),
        "within_train": _counts(relations.within(train)[train]),
        "within_test": _counts(relations.within(test)[test]),
        "other_labels": _label_conflicts(relations, table["label"])
        if find_kind(kind).contradictory
        else None,
        "pairs": len(relations.pairs),
        "seeds": relations.near_duplicates.seeds,
        "repeats_not_followed": relations.near_duplicates.repeats,
        "too_short": int((~relations.compared).sum()),
        "confounding": confounding(table, kind),
        "contigs": share_contigs(find_contigs(table["provenance"]), table["split"]),
        "settings": asdict(config),
        "seconds": round(time.monotonic() - started, 3),
    }
    return Audit(summary=summary, rows=rows, pairs=_pairs(relations, ids, config.largest_pairs))


def write_audit(
    audit: Audit, task: Mapping[str, Any], *, summary: str, rows: str, pairs: str
) -> None:
    """Write rows as Parquet, which names the task, pairs as TSV and, last, the summary as JSON.

    `task` is the content of the task's JSON, of which name and sha256 are kept.
    """
    write_parquet(audit.rows, rows, {"task": task["name"]})
    with atomic_path(pairs) as temporary:
        audit.pairs.to_csv(temporary, sep="\t", index=False, float_format="%.4f")
    write_json(summary, {"task": task["name"], "task_sha256": task["sha256"], **audit.summary})
    log.info(
        "audited %s: of %d test rows %s are related to a training row, %d pairs in all",
        task["name"],
        audit.summary["rows"]["test"],
        ", ".join(f"{count} {level}" for level, count in audit.summary["test_in_train"].items()),
        audit.summary["pairs"],
    )


def _counts(levels: np.ndarray) -> dict[str, int]:
    """Return the number of rows of each relation but `none`, the closest one first."""
    counts = np.bincount(levels, minlength=len(RELATIONS))
    return {RELATIONS[level]: int(counts[level]) for level in range(len(counts) - 1, 0, -1)}


def _label_conflicts(relations: Relations, labels: pd.Series) -> int:
    """Return how many rows have an identical or near-duplicate row with another label."""
    texts = labels.map(lambda label: str(np.asarray(label).tolist()))
    codes, _ = pd.factorize(texts)
    held = pd.DataFrame({"group": relations.groups, "label": codes}).drop_duplicates()
    close = relations.level >= NEAR
    pairs = pd.DataFrame({"group": relations.first[close], "other": relations.second[close]})
    met = pairs.merge(held.rename(columns={"group": "other"}), on="other")
    differing = met.drop_duplicates(["group", "label"]).groupby("group").size() > 1
    return int(pd.Series(relations.groups).isin(differing.index[differing]).sum())


def _pairs(relations: Relations, ids: np.ndarray, largest: int) -> pd.DataFrame:
    """Return the closest pairs: rows with their first identical one, then near duplicates, ..."""
    _, first_rows = np.unique(relations.groups, return_index=True)
    firsts = first_rows[relations.groups]
    repeats = np.flatnonzero(firsts < np.arange(len(ids)))[:largest]
    count = len(relations.pairs)
    order = np.lexsort((-relations.overlap[:count], -relations.level[:count]))
    # Behind the pairs, and these from their other side, stands every group with itself.
    itself = len(relations.level) - len(first_rows) + relations.groups[repeats]
    order = np.concatenate([itself, order[: largest - len(repeats)]])
    one, two = (first_rows[of[order]] for of in (relations.first, relations.second))
    two[: len(repeats)] = repeats
    return pd.DataFrame(
        {
            "first": ids[one],
            "second": ids[two],
            "relation": np.array(RELATIONS)[relations.level[order]],
            "overlap": relations.overlap[order],
            "identity": relations.identity[order],
        },
        columns=PAIR_COLUMNS,
    )
