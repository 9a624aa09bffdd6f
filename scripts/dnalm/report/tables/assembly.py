"""All tables of a run from its files."""

from collections.abc import Sequence

import pandas as pd

from dnalm.report.tables.audits import audits_table, exposure_table
from dnalm.report.tables.catalogue import BENCHMARK
from dnalm.report.tables.comparisons import comparisons_table, lift_table
from dnalm.report.tables.context import context_table
from dnalm.report.tables.corpora import corpora_table, genomes_table, groups_table, kmers_table
from dnalm.report.tables.draws import Statistics, draw_results
from dnalm.report.tables.panels import haplotypes_table, panels_table
from dnalm.report.tables.records import Identities, Record
from dnalm.report.tables.runs import add_foreign, curves_table, models_table, tasks_table
from dnalm.report.tables.scores import (
    finetuning_curves_table,
    layers_table,
    scores_table,
    summary_table,
)
from dnalm.report.tables.sources import Sources
from dnalm.report.tables.test_rows.entries import list_entries
from dnalm.report.tables.test_rows.errors import errors_tables
from dnalm.report.tables.verdicts.choices import choices_table
from dnalm.report.tables.verdicts.headline import headline_table
from dnalm.report.tables.verdicts.outputs import output_groups_table, outputs_table
from dnalm.report.tables.verdicts.reproduction import reproduction_table


def make_tables(
    results: Sequence[Record],
    sources: Sources,
    published: pd.DataFrame,
    identities: Identities,
    statistics: Statistics,
) -> dict[str, pd.DataFrame]:
    """Return the tables of `catalogue.BENCHMARK` by name."""
    curves = curves_table(sources.histories)
    corpora = {model: run.get("corpus") for model, run in sources.runs.items()}
    tasks = sources.tasks
    draws = draw_results(results, sources.audit_rows, statistics)
    bootstrap = statistics.bootstrap
    context = context_table(sources.histories, bootstrap)
    summary = summary_table(results, tasks, published, identities, draws, bootstrap.level)
    headline = headline_table(results, identities, tasks, draws, bootstrap.level)
    outputs = outputs_table(results, tasks)
    judged = {
        "summary": summary,
        "comparisons": comparisons_table(results, identities, draws, statistics),
        "exposure": exposure_table(identities, sources.locations, corpora),
    }
    choices = choices_table(results, identities, judged)
    errors = errors_tables(list(list_entries(results, choices)), tasks)
    tables = judged | {
        **errors,
        "scores": scores_table(results),
        "layers": layers_table(results),
        "outputs": outputs,
        "output_groups": output_groups_table(outputs),
        "choices": choices,
        "headline": headline,
        "reproduction": reproduction_table(
            summary, headline, published, tasks, identities, statistics.equal
        ),
        "lift": lift_table(results, identities, sources.locations, corpora, bootstrap),
        "audits": audits_table(sources.audits, sources.locations),
        "finetuning_curves": finetuning_curves_table(results),
        "curves": curves,
        "genomes": genomes_table(sources.genomes, sources.corpora, identities),
        "corpora": corpora_table(sources.corpora),
        "groups": groups_table(sources.corpora, sources.genomes, identities),
        "kmers": kmers_table(sources.corpora, sources.kmer_counts),
        "panels": panels_table(sources.panels),
        "haplotypes": haplotypes_table(sources.panel_samples),
        "models": models_table(sources.runs, curves, context, results, identities).pipe(
            add_foreign, sources.embedders, results, identities
        ),
        "tasks": tasks_table(tasks, identities, sources.locations),
    }
    return {table.name: tables[table.name] for table in BENCHMARK}
