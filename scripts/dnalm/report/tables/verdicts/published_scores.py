"""The published value that belongs beside a score of ours, and whether the two compare."""

from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.files import read_tsv
from dnalm.methods import BY_NAME

# Some values of a set were read from the authors' figure and stand under a name of their own.
DATA_SETS = {
    "original": ("original", "original_figure", "probing_summary"),
    "revised": ("revised",),
}
COLUMNS = ["benchmark", "task", "model", "method", "metric", "value", "spread", "spread_definition"]
NUMBERS = ["value", "spread"]
SPREADS = {"one SD": 1.0, "2 SD": 2.0}
OUR_COMPARISON = "a comparison of ours, not a model of the paper"
BEST = "beside it the best published NT"
NOT_A_TASK = "not one of the paper's tasks"


def read_published(path: str | Path) -> pd.DataFrame:
    """Return the published values: one row each, with `sd` (one SD, nan if not known)."""
    table = _read(path)
    pairs = zip(table["spread"], table["spread_definition"], strict=True)
    return table.assign(sd=[_one_sd(*pair) for pair in pairs])


def read_reconstruction(path: str | Path) -> dict[str, float]:
    """Return the published median masked-token accuracy, by the model's name."""
    table = _read(path)
    own = table[(table["benchmark"] == "reconstruction") & (table["metric"] == "median accuracy")]
    return dict(zip(own["model"], own["value"].astype(float), strict=True))


def _read(path: str | Path) -> pd.DataFrame:
    remedy = f"a table of published scores has the columns {', '.join(COLUMNS)}, two of numbers"
    return read_tsv(path, COLUMNS, numbers=NUMBERS, remedy=remedy)


def _one_sd(spread: float, definition: Any) -> float:
    """Return a spread as one standard deviation; a range over runs cannot be turned into one."""
    for start, deviations in SPREADS.items():
        if isinstance(definition, str) and definition.startswith(start):
            return spread / deviations
    return float("nan")


def published_beside(
    published: pd.DataFrame,
    *,
    key: str | None,
    method: str,
    model: str | None,
    trained: bool,
    rows: dict[str, int],
    published_rows: dict[str, int] | None,
    other: str | None,
) -> dict[str, Any]:
    """Return what is printed beside one score (name the data, compare like with like).

    `key` is `<set>.<task>` of the published table, `method` a probe or an adapter, since the name
    of a fine-tuning method is the user's choice, `model` the published name of the model, `trained`
    false for baselines and untrained encoders, `rows` and `published_rows` the train and test row
    counts, `other` what else makes the rows others than the published ones (`other_rows`).
    Comparable is only the same model on a task with the published rows, as far as their counts say;
    anything else is the best published Nucleotide Transformer, for orientation.
    """
    if not trained:
        return _nothing(OUR_COMPARISON)
    candidates = task_values(published, key)
    if candidates.empty:
        return _nothing(NOT_A_TASK)
    same_method = candidates[:0]
    if method in BY_NAME and (start := BY_NAME[method].published):
        same_method = candidates[candidates["method"].str.startswith(start)]
    same = same_method[same_method["model"] == model]
    mismatch = "; ".join(filter(None, [other, rows_mismatch(rows, published_rows)]))
    if len(same):
        return _beside(same.iloc[0], comparable=not mismatch, reason=mismatch)
    # A probe has hardly any published value; fine-tuned ones are then the nearest thing.
    ours = candidates["model"].str.startswith("NT")
    same_method = same_method[same_method["model"].str.startswith("NT")]
    pool = same_method if len(same_method) else candidates[ours]
    if pool.empty:
        return _nothing("no published value of a Nucleotide Transformer for this task")
    # The figure repeats the table's values with two decimals.
    pool = pool[pool["benchmark"] == pool["benchmark"].iloc[0]]
    best = pool.loc[pool["value"].idxmax()]
    if model is None:
        reason = f"not a published model ({BEST})"
    else:
        reason = f"no published value of this model with this method ({BEST})"
    return _beside(best, comparable=False, reason="; ".join(filter(None, [reason, mismatch])))


def task_values(published: pd.DataFrame, key: str | None) -> pd.DataFrame:
    """Return the published MCCs of the task `<set>.<task>`, the set's own table first."""
    data_set, _, task = (key or "").partition(".")
    names = DATA_SETS.get(data_set, ())
    rows = published[published["benchmark"].isin(names) & (published["task"] == task)]
    rows = rows[rows["metric"] == "MCC"]
    return rows.sort_values("benchmark", key=lambda column: column.map(names.index), kind="stable")


def rows_mismatch(rows: dict[str, int], published_rows: dict[str, int] | None) -> str | None:
    """Return in words how the row counts differ from the published ones, or None."""
    if published_rows is None:
        return "the published row counts are not known"
    if all(rows.get(split) == published_rows[split] for split in ("train", "test")):
        return None
    return "other row counts"


def other_rows(task: dict[str, Any]) -> str | None:
    """Return in words why a task, by its JSON, has other rows than published whatever their number.

    None where nothing says so.
    """
    rebuilt = "rebuilt by our rules" if task.get("build") else None
    shuffled = "labels shuffled" if task.get("shuffled_labels") else None
    return "; ".join(filter(None, [rebuilt, shuffled])) or None


def _beside(row: pd.Series, *, comparable: bool, reason: str) -> dict[str, Any]:
    return {
        "published": row["value"],
        "published_sd": row["sd"],
        "published_model": row["model"],
        "published_method": row["method"],
        # The figure's values belong to the data set it shows.
        "published_data_set": row["benchmark"],
        "comparable": comparable,
        "reason": reason,
    }


def _nothing(reason: str) -> dict[str, Any]:
    nan = float("nan")
    return {
        "published": nan,
        "published_sd": nan,
        "published_model": "",
        "published_method": "",
        "published_data_set": "",
        "comparable": False,
        "reason": reason,
    }
