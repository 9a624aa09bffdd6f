"""The tables behind the report: every number of the page stands in one of them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from dnalm.benchmark.probing.choice import rank
from dnalm.benchmark.tasks.kinds import CLASS_METRICS, KINDS, find_kind
from dnalm.files import read_tsv
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.draws import Draws
from dnalm.report.tables.records import Identities, Record
from dnalm.report.tables.test_rows.constant_predictions import describe_constant
from dnalm.report.tables.verdicts.published_scores import other_rows, published_beside

MB = 1e6


def list_metrics(kinds: Collection[str]) -> list[str]:
    """Return the metrics of these kinds of tasks, those of classes always and first."""
    own = [metric for kind in KINDS if kind.name in kinds for metric in kind.metrics]
    return list(dict.fromkeys([*CLASS_METRICS, *own]))


def scores_table(results: Sequence[Record]) -> pd.DataFrame:
    """Return the test scores of every fold; a metric that a task's kind has not is missing."""
    columns = list_columns("scores", metric=list_metrics({result.kind for result in results}))
    rows = [
        {"method": r.method, "model": r.model, "task": r.task, **row}
        for r in results
        for row in r.scores.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=columns)


def summary_table(
    results: Sequence[Record],
    tasks: Mapping[str, dict[str, Any]],
    published: pd.DataFrame,
    identities: Identities,
    draws: Mapping[tuple[str, str, str], Draws],
    level: float,
) -> pd.DataFrame:
    """Return mean and SD (n − 1) over folds, what validation chose, and the published value.

    Intervals of coverage `level` are those of `draws` over test rows, on all of them and on the
    clean ones. `tasks` are the contents of the tasks' JSON by name. `metric` is the one by which
    methods are compared on the task, `score_mean` and `score_sd` are its; every metric has columns
    of its own.
    """
    columns = list_columns("summary", metric=list_metrics({result.kind for result in results}))
    rows = []
    for result in results:
        row = {"method": result.method, "model": result.model, "task": result.task}
        row |= {"kind": result.kind, "n": len(result.scores), "metric": result.metric}
        for metric in find_kind(result.kind).metrics:
            row[f"{metric}_mean"] = result.scores[metric].mean()
            row[f"{metric}_sd"] = result.scores[metric].std(ddof=1)
        row |= {f"score_{part}": row[f"{result.metric}_{part}"] for part in ("mean", "sd")}
        row |= draws[result.key].describe(level)
        row["chosen"] = _chosen(result.summary.get("selected") or {})
        row["edge"] = bool(result.summary.get("edge"))
        row["not_converged"] = result.summary.get("not_converged")
        row |= describe_constant(result, draws[result.key].constant)
        row["seconds"] = result.summary.get("seconds")
        memory = result.summary.get("peak_memory")
        row["peak_memory_mb"] = max(memory["bytes"]) / MB if memory else None
        row["memory_of"] = memory["of"] if memory else None
        row["trained_parameters"] = result.summary.get("trained_parameters")
        row["all_parameters"] = result.summary.get("all_parameters")
        row["cropped_rows"] = result.summary.get("cropped_rows")
        beside = published_beside(
            published,
            # Published values are MCCs.
            key=identities.published_task(result.task) if result.metric == "mcc" else None,
            method=identities.adapter(result.method),
            model=identities.published_model(result.model),
            trained=not result.is_baseline and identities.untrained_of(result.model) is None,
            rows=tasks[result.task]["rows"],
            published_rows=tasks[result.task].get("published_rows"),
            other=other_rows(tasks[result.task]),
        )
        rows.append(row | beside)
    return pd.DataFrame(rows, columns=columns)


def finetuning_curves_table(results: Sequence[Record]) -> pd.DataFrame:
    """Return training loss and validation score of every evaluation.

    They are means over the splits trained so far, with the SD (n − 1) of the score. A split that
    ended early has no later rows.
    """
    rows = []
    for result in results:
        if result.history is None:
            continue
        score = f"validation_{result.metric}"
        history = read_tsv(result.history, ["fold", "step", "train_loss", score])
        for step, own in history.groupby("step", sort=True):
            rows.append(
                {
                    "method": result.method,
                    "model": result.model,
                    "task": result.task,
                    "step": step,
                    "splits": len(own),
                    "train_loss": own["train_loss"].mean(),
                    "metric": result.metric,
                    "validation_score": own[score].mean(),
                    "validation_score_sd": own[score].std(ddof=1),
                }
            )
    return pd.DataFrame(rows, columns=list_columns("finetuning_curves"))


def _chosen(selected: dict[str, Any]) -> str:
    """Return in words what validation chose: a layer and a penalty, or the stopping steps."""
    return ", ".join(
        f"{key} {', '.join(map(_short, value)) if isinstance(value, list) else _short(value)}"
        for key, value in selected.items()
        if value is not None
    )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def best_on_validation(result: Record) -> tuple[float, float] | None:
    """Return the `rank` of what a result chose on validation rows, the less the better.

    None where no candidate has a validation score.
    """
    ranks = []
    for row in result.summary.get("grid") or []:
        names = (key for key in row if key.startswith("validation_") and key.endswith("_mean"))
        metric = next(names, "").removeprefix("validation_").removesuffix("_mean")
        if metric and row[f"validation_{metric}_mean"] is not None:
            ranks.append(rank(row, metric))
    return min(ranks, default=None)


def layers_table(results: Sequence[Record]) -> pd.DataFrame:
    """Return the validation score of each feature set at its best penalty; no test score decides.

    `metric` is the one that the probe chose by; `embeddings` says how they were made, where a probe
    read any.
    """
    rows = []
    for result in results:
        grid = pd.DataFrame(result.summary.get("grid") or [])
        if grid.empty or "feature" not in grid:
            continue
        mean = next(c for c in grid if c.startswith("validation_") and c.endswith("_mean"))
        metric = mean.removeprefix("validation_").removesuffix("_mean")
        # A penalty without a score (nothing to choose from) cannot be the best one.
        grid = grid.astype({mean: float}).dropna(subset=mean)
        selected = (result.summary.get("selected") or {}).get("feature")
        for _, candidates in grid.groupby("feature", sort=False):
            row = min(candidates.to_dict("records"), key=lambda row: rank(row, metric))
            rows.append(
                {
                    "method": result.method,
                    "model": result.model,
                    "task": result.task,
                    "feature": row["feature"],
                    "layer": _layer(row["feature"]),
                    "penalty": row.get("penalty", float("nan")),  # MLP probes have none
                    "metric": metric,
                    "validation_score": row[mean],
                    "validation_score_sd": row[f"validation_{metric}_sd"],
                    "chosen": row["feature"] == selected,
                    "embeddings": _embeddings(result.summary),
                }
            )
    return pd.DataFrame(rows, columns=list_columns("layers")).astype({"layer": "Int64"})


def _embeddings(summary: Mapping[str, Any]) -> str:
    made, computed = summary.get("embeddings"), summary.get("computed", {})
    if made is None:
        return ""
    strands = {"forward": "the strand given", "both": "the mean over both strands"}
    if made["strands"] not in strands:
        return "made by another program"
    text = (
        f"{strands[made['strands']]}, computed in {made['precision']} and kept as {made['dtype']}"
    )
    return text + (f"; the MLP's products in {computed['precision']}" if computed else "")


def _layer(feature: str) -> int | None:
    """Return the number of a feature named `layer.<i>`, None for k-mers and the like."""
    name, _, number = str(feature).partition(".")
    return int(number) if name == "layer" else None
