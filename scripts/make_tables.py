"""Gather all results and facts of a run into tables."""

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.files import read_json
from dnalm.job import job
from dnalm.report.tables.assembly import Sources, make_tables
from dnalm.report.tables.draws import Statistics
from dnalm.report.tables.files import write_tables
from dnalm.report.tables.published_scores import read_published
from dnalm.report.tables.records import Identities, read_results

found = snakemake.input

with job(snakemake.log[0]):
    tables = make_tables(
        read_results(found.scores, found.summaries, found.predictions),
        Sources(
            tasks=list(map(read_json, found.tasks)),
            audits=list(map(read_json, found.audits)),
            audit_rows=found.audit_rows,
            genomes=list(map(read_json, found.genomes)),
            corpora=list(map(read_json, found.corpora)),
            kmer_counts=found.kmer_counts,
            panels=list(map(read_json, found.panels)),
            panel_samples=found.panel_samples,
            runs=list(map(read_json, found.runs)),
            histories=found.histories,
            locations=found.locations,
        ),
        read_published(found.published),
        Identities(**snakemake.params.identities),
        Statistics(
            bootstrap=BootstrapConfig(**snakemake.params.bootstrap),
            correction=snakemake.params.correction,
            leak=snakemake.params.leak,
        ),
    )
    write_tables(tables, dict(snakemake.output.items()))
