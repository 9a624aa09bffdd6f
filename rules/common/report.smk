"""Which tables and pages people read, how they came about, and all that a run is to leave."""

from importlib.metadata import version


def get_tables(wildcards):
    """Return every table of the run by its name."""
    return dict(rules.make_tables.output.items())


def get_variant_tables(wildcards):
    """Return what the page says of variants, where something is held against labels or classes."""
    found = rules.report_variants.output
    return [found.variant_scores, found.variant_sets] if EVALUATED else []


def get_snakemake_version(wildcards):
    """Return what a job in an environment of its own cannot see."""
    return version("snakemake")


def get_pages(wildcards):
    """Return the pages that people read; one on pretraining only where a model is pretrained."""
    return [
        "<results>/report.html",
        *(["<results>/pretrain_summary.html"] if PRETRAINED else []),
    ]


def get_products(wildcards):
    """Return what the default target asks for: pages, predictions, variants, and so on."""
    return [
        *get_pages(wildcards),
        *get_predictions(wildcards),
        *get_scored_variants(wildcards),
        *get_variant_benchmarks(wildcards),
        *get_interpretation(wildcards),
        *get_exported_embeddings(wildcards),
    ]
