"""The method that validation rows choose for each task, with its test score and what to doubt."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dnalm.files import read_tsv
from dnalm.methods import STRONGEST
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.records import Identities, Record

MIN_LEAKING_SHARE = 0.01  # share of test rows that resemble training rows, from which on it is said
MODEL_FILES = ("adapters.safetensors", "{task}.safetensors")


def choices_table(
    results: Sequence[Record],
    identities: Identities,
    tables: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """Return the choice of each task: the result with the best validation score of all methods.

    `tables` are the summary, comparisons and exposure of the same results. A result whose method
    chose by another metric than the task is scored by, or that has no validation score, cannot be
    chosen and is counted in `unranked`. The best of many validation scores is too high, which is
    why only test scores are compared; that a method with more to choose from gains more by this is
    not corrected. `resolution` is the median half-width of the intervals of all paired differences
    on the task: scores closer than it cannot be told apart on these test rows.
    """
    summary = tables["summary"].set_index(["method", "model", "task"])
    comparisons = tables["comparisons"]
    by_task: dict[str, list[Record]] = {}
    for result in results:
        by_task.setdefault(result.task, []).append(result)
    rows = []
    for task, own in by_task.items():
        scores = [(result, validation_score(result)) for result in own]
        scored = [(result, score) for result, score in scores if score is not None]
        row: dict[str, Any] = {"task": task, "metric": own[0].metric}
        row |= {"candidates": len(scored), "unranked": len(own) - len(scored)}
        row["predicts"] = False
        paired = comparisons[comparisons["task"] == task]
        row["resolution"] = ((paired["high"] - paired["low"]) / 2).median()
        if scored:
            chosen, score = max(scored, key=lambda pair: pair[1])
            facts = summary.loc[chosen.key]
            row |= {"method": chosen.method, "model": chosen.model, "validation_score": score}
            row |= {key: facts[key] for key in ("score_mean", "low", "high", "rows", "chosen")}
            row |= _margin(chosen, paired)
            row["pooling"] = "" if chosen.is_baseline else identities.pooling(task)
            row["file"] = _model_file(chosen)
            alone = identities.has_embeddings_alone(chosen.model)
            row["predicts"] = bool(row["file"]) and not alone
            row["cautions"] = "; ".join(_cautions(chosen, facts, row, tables["exposure"]))
        rows.append(row)
    table = pd.DataFrame(rows, columns=list_columns("choices"))
    return table.astype({"rows": "Int64"})


def validation_score(result: Record) -> float | None:
    """Return the mean score over splits on validation rows, by the task's metric, of what was kept.

    None where no validation row has decided anything, or another metric has.
    """
    name = f"validation_{result.metric}"
    if result.history is None:
        grid = result.summary.get("grid") or []
        known = pd.Series([row.get(f"{name}_mean") for row in grid], dtype=float)
        best = known.max()
        return None if pd.isna(best) else float(best)
    history = read_tsv(result.history, numbers=("fold", "step"))
    if name not in history:
        return None
    steps = result.summary["selected"]["steps"]
    kept = pd.DataFrame({"fold": sorted(history["fold"].unique()), "step": steps})
    mean = kept.merge(history, on=["fold", "step"])[name].astype(float).mean()
    return None if pd.isna(mean) else float(mean)


def _margin(chosen: Record, paired: pd.DataFrame) -> dict[str, Any]:
    """Return the paired difference of the choice from the strongest baseline, where it is none."""
    own = paired[
        (paired["against"] == STRONGEST)
        & (paired["method"] == chosen.method)
        & (paired["model"] == chosen.model)
    ]
    if own.empty:
        return {"reference": ""}
    row = own.iloc[0]
    return {
        "reference": row["reference"],
        "margin": row["difference"],
        "margin_low": row["low"],
        "margin_high": row["high"],
        "verdict": row["verdict"],
    }


def _model_file(result: Record) -> str:
    """Return the file of the chosen models or adapters, '' where none is kept."""
    folder = Path(result.predictions).parent
    paths = [folder / name.format(task=result.task) for name in MODEL_FILES]
    return next((str(path) for path in paths if path.exists()), "")


def _cautions(
    chosen: Record, facts: pd.Series, row: Mapping[str, Any], exposure: pd.DataFrame
) -> list[str]:
    """Return what speaks against the choice or its score, the gravest first."""
    said = []
    if facts["constant_splits"]:
        said.append(f"one class is predicted for all rows in {facts['constant_splits']:g} splits")
    if facts["leaking_share"] >= MIN_LEAKING_SHARE:
        said.append(f"{facts['leaking_share']:.0%} of the test rows resemble training rows")
    read = [chosen.model in models.split(", ") for models in exposure["models"]]
    own = exposure[(exposure["task"] == chosen.task) & np.array(read, dtype=bool)]
    if own["on_used"].sum():
        share = own["on_used"].sum() / own["rows"].sum()
        said.append(f"{share:.0%} of the test rows lie on contigs that pretraining read")
    if row.get("verdict") and row["verdict"] != "better":
        said.append("the strongest baseline is not clearly worse on the test rows")
    if facts["edge"]:
        said.append("the choice lies on the border of what was searched, so more may do better")
    if facts["not_converged"]:
        said.append(f"{facts['not_converged']:g} fits met their limit")
    return said
