"""The tables of what scores of variants find, from the evaluations of all sets."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.benchmark.parquet import read_names
from dnalm.files import read_json
from dnalm.report.tables.catalogue import OF_VARIANTS, list_columns
from dnalm.report.tables.verdicts import published_scores

BENCHMARKS = ("zero_shot", "vep_severity")
PERCENTILE = "_percentile"
HIGH_PERCENTILE = 95
MAX_OTHER_LABELS = 6  # named in a cell


def read_published(path: str | Path) -> pd.DataFrame:
    """Return the published values of variants: benchmark, task, model, method, metric, value."""
    table = published_scores.read_published(path)
    return table[table["benchmark"].isin(BENCHMARKS)].reset_index(drop=True)


def make_tables(
    evaluations: Iterable[str], percentiles: Iterable[str], published: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return the tables of `catalogue.OF_VARIANTS` by name.

    `evaluations` are the JSON files of all sets, `percentiles` the Parquet files of those that have
    them.
    """
    sets = [read_json(path) for path in evaluations]
    rows = {
        "variant_sets": [_describe(one) for one in sets],
        "variant_scores": _list(sets, "metrics"),
        "variant_differences": _list(sets, "differences"),
        "variant_severity": _list(sets, "severity"),
        "variant_curves": _list(sets, "curves"),
        "variant_percentiles": [row for path in percentiles for row in _place(path)],
        "variant_skipped": _list(sets, "skipped"),
        "variant_published": [row for one in sets for row in _publish(one, published)],
    }
    return {
        table.name: pd.DataFrame(rows[table.name], columns=list_columns(table.name))
        for table in OF_VARIANTS
    }


def _list(sets: Iterable[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    return [{"entry": one["set"], **row} for one in sets for row in one[key]]


def _describe(one: Mapping[str, Any]) -> dict[str, Any]:
    counts = one["counts"]
    known = ("positives", "negatives", "without_label")
    other = counts.get("unlabelled", {})
    words = [f"{name or 'empty'} {number:,}" for name, number in other.items()]
    more = ["..."] if len(words) > MAX_OTHER_LABELS else []
    return {
        **counts,
        "entry": one["set"],
        "variants": sum(counts[name] for name in known),
        "other_labels": ", ".join(words[:MAX_OTHER_LABELS] + more),
    }


def _place(path: str) -> list[dict[str, Any]]:
    """Return, for each score and class of a file of percentiles, where its variants lie."""
    table, names = pd.read_parquet(path), read_names(path)
    rows = []
    for column in (name for name in table if name.endswith(PERCENTILE)):
        for consequence, own in table[table[column].notna()].groupby("consequence"):
            low, median, high = own[column].quantile([0.25, 0.5, 0.75])
            rows.append(
                {
                    "entry": names["set"],
                    "model": names["model"],
                    "score": column.removesuffix(PERCENTILE),
                    "consequence": consequence,
                    "variants": len(own),
                    "reference_variants": int(own["reference_variants"].max()),
                    "lower_quartile": low,
                    "median": median,
                    "upper_quartile": high,
                    "above_95": float((own[column] >= HIGH_PERCENTILE).mean()),
                }
            )
    return rows


def _publish(one: Mapping[str, Any], published: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the published values of a set's name, and of severity where it has classes."""
    zero_shot = published["benchmark"] == "zero_shot"
    own = published[zero_shot & (published["task"] == one["published_as"])]
    if one["severity"]:
        own = pd.concat([own, published[~zero_shot]])
    return [
        {
            "entry": one["set"],
            "published_model": row["model"],
            "published_method": row["method"],
            "metric": row["metric"],
            "value": row["value"],
            "note": row["note"] if isinstance(row["note"], str) else "",
        }
        for row in own.to_dict("records")
    ]
