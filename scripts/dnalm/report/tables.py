"""The tables behind the report: every number of the page stands in one of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from dnalm.benchmark.metrics import METRICS, METRICS_BY_KIND
from dnalm.report.comparison import (
    BootstrapConfig,
    paired_bootstrap,
    read_predictions,
    regions,
    verdict,
)
from dnalm.report.published import published_beside
from dnalm.report.results import Identities, Record

COLUMNS = {
    "scores": ["method", "model", "task", "fold"],  # and the metrics
    "summary": [
        *["method", "model", "task", "kind", "n", "metric", "score_mean", "score_sd"],
        *["chosen", "edge", "not_converged", "seconds"],
        *["published", "published_sd", "published_model", "published_method"],
        *["published_data_set", "comparable", "reason"],
    ],
    "layers": [
        *["method", "model", "task", "feature", "layer", "penalty"],
        *["metric", "validation_score", "validation_score_sd", "chosen"],
    ],
    "comparisons": [
        *["method", "model", "task", "against", "reference", "metric", "score"],
        *["reference_score", "difference", "low", "high", "rows", "verdict"],
    ],
    "lift": [
        *["method", "model", "task", "corpus", "region", "rows", "metric", "score"],
        *["untrained_score", "lift", "low", "high"],
    ],
}


def list_metrics(kinds: Collection[str]) -> list[str]:
    """Return the metrics of these kinds of tasks, those of classes always and first."""
    own = [metric for kind, names in METRICS_BY_KIND.items() if kind in kinds for metric in names]
    return list(dict.fromkeys([*METRICS, *own]))


def scores_table(results: Sequence[Record]) -> pd.DataFrame:
    """Return the test scores of every fold; a metric that a task's kind has not is missing."""
    columns = [*COLUMNS["scores"], *list_metrics({result.kind for result in results})]
    rows = [
        {"method": r.method, "model": r.model, "task": r.task, **row}
        for r in results
        for row in r.scores.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=columns)


def summary_table(
    results: Sequence[Record],
    tasks: Sequence[dict[str, Any]],
    published: pd.DataFrame,
    identities: Identities,
) -> pd.DataFrame:
    """Return mean and SD (n − 1) over folds, what validation chose, and the published value.

    `tasks` are the contents of the tasks' JSON files. `metric` is the one by which methods are
    compared on the task, `score_mean` and `score_sd` are its; every metric has columns of its own.
    """
    facts = {task["name"]: task for task in tasks}
    at = COLUMNS["summary"].index("score_sd") + 1
    metrics = list_metrics({result.kind for result in results})
    parts = [f"{metric}_{part}" for metric in metrics for part in ("mean", "sd")]
    columns = [*COLUMNS["summary"][:at], *parts, *COLUMNS["summary"][at:]]
    rows = []
    for result in results:
        row = {"method": result.method, "model": result.model, "task": result.task}
        row |= {"kind": result.kind, "n": len(result.scores), "metric": result.metric}
        for metric in METRICS_BY_KIND[result.kind]:
            row[f"{metric}_mean"] = result.scores[metric].mean()
            row[f"{metric}_sd"] = result.scores[metric].std(ddof=1)
        row |= {f"score_{part}": row[f"{result.metric}_{part}"] for part in ("mean", "sd")}
        row["chosen"] = _chosen(result.summary.get("selected") or {})
        row["edge"] = bool(result.summary.get("edge"))
        row["not_converged"] = result.summary.get("not_converged")
        row["seconds"] = result.summary.get("seconds")
        beside = published_beside(
            published,
            # Published values are MCCs.
            key=identities.published_task(result.task) if result.metric == "mcc" else None,
            method=identities.adapter(result.method),
            model=identities.published_model(result.model),
            trained=not result.is_baseline and identities.untrained_of(result.model) is None,
            rows=facts[result.task]["rows"],
            published_rows=facts[result.task].get("published_rows"),
        )
        rows.append(row | beside)
    return pd.DataFrame(rows, columns=columns)


def _chosen(selected: dict[str, Any]) -> str:
    """Return in words what validation chose: a layer and a penalty, or the stopping steps."""
    return ", ".join(
        f"{key} {', '.join(map(_short, value)) if isinstance(value, list) else _short(value)}"
        for key, value in selected.items()
        if value is not None
    )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def layers_table(results: Sequence[Record]) -> pd.DataFrame:
    """Return the validation score of each feature set at its best penalty; no test score decides.

    `metric` is the one that the probe chose by.
    """
    rows = []
    for result in results:
        grid = pd.DataFrame(result.summary.get("grid") or [])
        if grid.empty or "feature" not in grid:
            continue
        mean = next(c for c in grid if c.startswith("validation_") and c.endswith("_mean"))
        metric = mean.removeprefix("validation_").removesuffix("_mean")
        # A penalty without a score (nothing to choose from) cannot be the best one.
        grid = grid.dropna(subset=mean)
        best = grid.loc[grid.groupby("feature", sort=False)[mean].idxmax()]
        selected = (result.summary.get("selected") or {}).get("feature")
        for row in best.to_dict("records"):
            rows.append(
                {
                    "method": result.method,
                    "model": result.model,
                    "task": result.task,
                    "feature": row["feature"],
                    "layer": _layer(row["feature"]),
                    "penalty": row.get("penalty", float("nan")),  # networks have none
                    "metric": metric,
                    "validation_score": row[mean],
                    "validation_score_sd": row[f"validation_{metric}_sd"],
                    "chosen": row["feature"] == selected,
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS["layers"]).astype({"layer": "Int64"})


def _layer(feature: str) -> int | None:
    """Return the number of a feature named `layer.<i>`, None for k-mers and the like."""
    name, _, number = str(feature).partition(".")
    return int(number) if name == "layer" else None


def comparisons_table(
    results: Sequence[Record], identities: Identities, config: BootstrapConfig
) -> pd.DataFrame:
    """Return each trained model against its untrained self and against each k-mer baseline."""
    rows = []
    for result, reference, against in _pairs(results, identities):
        found = paired_bootstrap(
            read_predictions(result.predictions, result.kind),
            read_predictions(reference.predictions, result.kind),
            config,
        )
        rows.append(
            {
                "method": result.method,
                "model": result.model,
                "task": result.task,
                "against": against,
                "reference": reference.model,
                "metric": result.metric,
                "score": found.first,
                "reference_score": found.second,
                "difference": found.difference,
                "low": found.low,
                "high": found.high,
                "rows": found.rows,
                "verdict": verdict(found.low, found.high),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS["comparisons"])


def _pairs(
    results: Sequence[Record], identities: Identities
) -> Iterator[tuple[Record, Record, str]]:
    """Yield (a trained model's result, what it is compared with on that task, in which sense)."""
    by_name = {(r.method, r.model, r.task): r for r in results}
    for result in results:
        if result.is_baseline or identities.untrained_of(result.model) is not None:
            continue
        untrained = identities.untrained(result.model)
        if reference := by_name.get((result.method, untrained, result.task)):
            yield result, reference, "untrained"
        if reference := by_name.get(("baseline", "kmers", result.task)):
            yield result, reference, "k-mers"


def lift_table(
    results: Sequence[Record],
    identities: Identities,
    locations: Sequence[str],
    corpora: Mapping[str, str],
    config: BootstrapConfig,
) -> pd.DataFrame:
    """Return trained − untrained by where the test rows lie in the pretraining genomes.

    `locations` are the files named by `identities.locations`; `corpora` names each model's.
    """
    paths = {
        (where["corpus"], where["task"]): path
        for where, path in zip(identities.locations, locations, strict=True)
    }
    rows = []
    for result, reference, against in _pairs(results, identities):
        path = paths.get((corpora.get(result.model), result.task))
        if against != "untrained" or path is None:
            continue
        trained = read_predictions(result.predictions, result.kind)
        untrained = read_predictions(reference.predictions, result.kind)
        for region, mask in regions(trained, pd.read_parquet(path)).items():
            if not mask.any():
                continue
            found = paired_bootstrap(trained.select(mask), untrained.select(mask), config)
            rows.append(
                {
                    "method": result.method,
                    "model": result.model,
                    "task": result.task,
                    "corpus": corpora[result.model],
                    "region": region,
                    "rows": found.rows,
                    "metric": result.metric,
                    "score": found.first,
                    "untrained_score": found.second,
                    "lift": found.difference,
                    "low": found.low,
                    "high": found.high,
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS["lift"])
