"""What a score means: its percentile among common variants of the same consequence class.

A reference distribution is a file of its own: scores of common variants, by class, with the model
and the options that they were made with. Other scores are only ever compared with one of the same.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dnalm.benchmark.parquet import read_names, write_parquet
from dnalm.errors import InputError
from dnalm.variants.prioritisation.evaluation import ScoreColumn

ANY = "any"  # the class of all common variants together
OPTIONS = "dnalm_options"
MAX_REASON = 200  # characters of another library's error
COLUMNS = ["score", "consequence", "value"]


def write_distribution(
    scores: Sequence[ScoreColumn], classes: np.ndarray, options: Mapping[str, Any], path: str | Path
) -> None:
    """Write scores of V common variants with `classes` [V], sorted, and the options behind them.

    A variant of a class stands twice: in its class and among all.
    """
    parts = []
    for score in scores:
        for name in (ANY, *sorted(set(classes) - {""})):
            own = score.known if name == ANY else score.known & (classes == name)
            values = np.sort(score.oriented[own])
            parts.append(pd.DataFrame({"score": score.name, "consequence": name, "value": values}))
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)
    write_parquet(table, path, {OPTIONS: json.dumps(dict(options), sort_keys=True)})


def read_distribution(
    path: str | Path, options: Mapping[str, Any]
) -> dict[tuple[str, str], np.ndarray]:
    """Return {(score, class): sorted values} of a distribution that was made with `options`.

    Raises InputError, which names the first option that differs, for one that was made otherwise.
    """
    foreign = (
        f"{path}: this is no reference distribution of variants{{}}; name one that this workflow "
        "wrote."
    )
    try:
        names = read_names(path)
        if OPTIONS not in names:
            raise InputError(foreign.format(""))
        made = dict(json.loads(names[OPTIONS]))
        stored = pq.read_table(path, columns=COLUMNS, use_pandas_metadata=False)
        kinds = [stored.schema.field(name).type for name in COLUMNS]
        texts = [pa.types.is_string(kind) or pa.types.is_large_string(kind) for kind in kinds]
        numeric = (pa.types.is_floating, pa.types.is_integer, pa.types.is_null)
        numbers = any(is_kind(kinds[-1]) for is_kind in numeric)
        if not all(texts[:-1]) or not numbers:
            of = ", ".join(map(str, kinds))
            raise InputError(foreign.format(f", its columns {', '.join(COLUMNS)} are of {of}"))
        table = stored.to_pandas(ignore_metadata=True)
        values = table["value"].astype(np.float64)
    except InputError:
        raise
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        reason = " ".join(str(error).split())[:MAX_REASON]
        raise InputError(foreign.format(f" that can be read ({reason})")) from None
    if table.isna().any(axis=None) or not np.isfinite(values).all():
        raise InputError(foreign.format(", a value is missing or infinite"))
    for key in sorted({*made, *options}):
        if made.get(key) != options.get(key):
            raise InputError(
                f"{path}: the reference distribution was made with {key} "
                f"{json.dumps(made.get(key))}, the scores with {json.dumps(options.get(key))}; "
                "percentiles need both alike, score the common variants the same way."
            )
    return {
        (str(score), str(name)): np.sort(own.to_numpy())
        for (score, name), own in values.groupby([table["score"], table["consequence"]], sort=False)
    }


def rank_among(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return percentiles, 0 to 100, of values among a sorted reference; nan stays nan.

    The share of the reference that is less extreme, equal ones counted half.
    """
    below = np.searchsorted(reference, values, side="left")
    to = np.searchsorted(reference, values, side="right")
    return np.where(np.isnan(values), np.nan, 50.0 * (below + to) / len(reference))


def find_percentiles(
    score: ScoreColumn,
    classes: np.ndarray,
    distribution: Mapping[tuple[str, str], np.ndarray],
    min_reference: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile of each of V variants, and among how many of which class.

    A variant whose class has fewer than `min_reference` common ones has none; so has one without a
    class where others have one. Where no variant has a class, the reference are all common ones.
    The second array [V] is the size of the reference, 0 where there is no percentile.
    """
    percentiles = np.full(len(classes), np.nan)
    sizes = np.zeros(len(classes), dtype=np.int64)
    unclassed = not (classes != "").any()
    for name in np.unique(classes):
        reference = distribution.get((score.name, ANY if unclassed else str(name)))
        if reference is None or len(reference) < max(min_reference, 1):
            continue
        own = (classes == name) & score.known
        percentiles[own] = rank_among(score.oriented[own], reference)
        sizes[own] = len(reference)
    return percentiles, sizes
