"""All tables of a run from its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dnalm.report.comparison import BootstrapConfig
from dnalm.report.results import Identities, Record
from dnalm.report.runs import (
    corpora_table,
    curves_table,
    genomes_table,
    models_table,
    tasks_table,
)
from dnalm.report.tables import (
    comparisons_table,
    layers_table,
    lift_table,
    scores_table,
    summary_table,
)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a run left besides scores: contents of JSON files, paths of the larger ones."""

    tasks: Sequence[dict[str, Any]]
    genomes: Sequence[dict[str, Any]]
    corpora: Sequence[dict[str, Any]]
    runs: Sequence[dict[str, Any]]
    histories: Sequence[str]
    locations: Sequence[str]


def make_tables(
    results: Sequence[Record],
    sources: Sources,
    published: pd.DataFrame,
    identities: Identities,
    bootstrap: BootstrapConfig,
) -> dict[str, pd.DataFrame]:
    """Return the tables scores, summary, layers, comparisons, lift, curves, genomes, corpora,
    models and tasks."""
    curves = curves_table(sources.histories, identities)
    corpora = {run["model"]: run.get("corpus") for run in sources.runs}
    return {
        "scores": scores_table(results),
        "summary": summary_table(results, sources.tasks, published, identities),
        "layers": layers_table(results),
        "comparisons": comparisons_table(results, identities, bootstrap),
        "lift": lift_table(results, identities, sources.locations, corpora, bootstrap),
        "curves": curves,
        "genomes": genomes_table(sources.genomes, identities),
        "corpora": corpora_table(sources.corpora),
        "models": models_table(sources.runs, curves, results, identities),
        "tasks": tasks_table(sources.tasks, identities, sources.locations),
    }
