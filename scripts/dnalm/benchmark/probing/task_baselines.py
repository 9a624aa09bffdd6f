"""Every baseline of one task: scored one after the other, written together."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.benchmark.probing.baselines import Settings, baseline_features
from dnalm.benchmark.probing.linear.probe import ProbeConfig, probe
from dnalm.benchmark.probing.per_base import score_bases
from dnalm.benchmark.scoring.results import Result, identify, write_result
from dnalm.files import make_folder
from dnalm.jobs.partial import discard

log = logging.getLogger(__name__)


def score_baselines(
    names: Sequence[str],
    baselines: Mapping[str, Settings],
    table: pd.DataFrame,
    kind: str,
    config: ProbeConfig,
    *,
    threads: int,
    partial: str | Path,
) -> dict[str, Result]:
    """Return the results of baselines whose features are probed, by name.

    `baselines` is the section of the config. Finished parts of each lie in a folder of its name
    below `partial`, so that a killed job loses one feature set at most.
    """
    results = {}
    for name in names:
        log.info("baseline %s", name)
        features = baseline_features(name, baselines, table["sequence"])
        results[name] = probe(features, table, kind, config, threads, Path(partial) / name)
    return results


def score_base_baselines(
    names: Sequence[str],
    baselines: Mapping[str, Settings],
    table: pd.DataFrame,
    kind: str,
    partial: str | Path,
) -> dict[str, Result]:
    """Return the results of baselines that score single bases, by name.

    Their outputs lie in files without a name in the folder `partial`.
    """
    make_folder(Path(partial))
    return {name: score_bases(name, baselines, table, kind, partial) for name in names}


def write_baselines(
    results: Mapping[str, Result],
    task: dict[str, Any],
    table_path: str | Path,
    *,
    scores: Sequence[str | Path],
    summaries: Sequence[str | Path],
    predictions: Sequence[str | Path],
    partial: str | Path | None = None,
) -> None:
    """Write the results of one task's baselines, three files each, in the order of `results`.

    Then the folder `partial`, whose finished parts nobody needs any more, is removed.
    """
    paths = zip(scores, summaries, predictions, strict=True)
    for (name, result), files in zip(results.items(), paths, strict=True):
        identity = identify(method="baseline", task=task, table_path=table_path, baseline=name)
        named = dict(zip(("scores", "summary", "predictions"), files, strict=True))
        write_result(result, identity, **named)
    if partial is not None:
        discard(partial)
