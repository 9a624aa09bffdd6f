"""What the page of interpretation shows of the probabilities of masked tokens, as text."""

from typing import Any

import pandas as pd

from dnalm.report.figures.likelihoods import assay_figure, snps_figure
from dnalm.report.pages.grids import MISSING, Grid, count, interval, make_grid, percent, score

PUBLISHED_ASSAY = "Pearson r"
PUBLISHED_SNPS = "median perplexity"  # as their metric begins


def perplexity(value: Any) -> str:
    """Return a perplexity with one decimal."""
    return MISSING if pd.isna(value) else f"{value:,.1f}"


def nats(value: Any) -> str:
    """Return a loss in nats with three decimals."""
    return MISSING if pd.isna(value) else f"{value:.3f}"


def snps_grid(table: pd.DataFrame) -> Grid:
    """Return accuracy and perplexity of masked SNPs by frequency, people and allele."""
    rows = [
        [
            *[row["snps"], row["model"], f"{row['bin']:.1%}", row["group"], row["allele"].upper()],
            *[count(row["snps_scored"]), count(row["haplotypes"]), count(row["carriers_missing"])],
            *[percent(row["accuracy"]), perplexity(row["perplexity"])],
            *[perplexity(row["median_perplexity"]), percent(row["base_accuracy"])],
            MISSING if pd.isna(row["base_perplexity"]) else f"{row['base_perplexity']:.2f}",
            _trained(row["people_trained_on"], row["people"]),
        ]
        for row in table.to_dict("records")
    ]
    headings = ["SNPs", "model", "frequency", "people", "allele", "scored", "haplotypes", "missing"]
    headings += ["accuracy", "perplexity", "median", "of bases", "perplexity of bases"]
    return make_grid([*headings, "people trained on"], rows, first=5)


def _trained(number: Any, people: Any) -> str:
    return "not known" if pd.isna(number) else f"{int(number):,} of {int(people):,}"


def published_snps_grid(published: pd.DataFrame) -> Grid:
    """Return the published perplexities of SNPs."""
    own = published[published["metric"].str.startswith(PUBLISHED_SNPS)]
    rows = [
        [row["model"], row["metric"], perplexity(row["value"])] for row in own.to_dict("records")
    ]
    return make_grid(["models", "value", "perplexity"], rows, first=2)


def draw_snps(table: pd.DataFrame, note: str) -> list[dict[str, Any]]:
    """Return a figure of each set of SNPs and model."""
    if table.empty:
        return []
    return [
        snps_figure(own, f"{model}: SNPs of {name}", note)
        for (name, model), own in table.groupby(["snps", "model"], sort=False)
    ]


def assays_grid(table: pd.DataFrame, published: pd.DataFrame) -> Grid:
    """Return the correlations of scores with measured effects, beside a published one."""
    known = published[published["metric"] == PUBLISHED_ASSAY].set_index("task")["value"]
    rows = [
        [
            *[row["assay"], row["model"], row["score"], row["level"], row["effect"]],
            *[count(row["points"]), score(row["pearson"], sign=True)],
            interval(row["pearson_low"], row["pearson_high"], sign=True),
            score(row["spearman"], sign=True),
            interval(row["spearman_low"], row["spearman_high"], sign=True),
            score(known.get(row["published_as"])),
        ]
        for row in table.to_dict("records")
    ]
    headings = ["assay", "model", "score", "of each", "effect", "points", "Pearson r"]
    headings += ["its interval", "Spearman ρ", "the interval of ρ", "published r"]
    return make_grid(headings, rows, first=5)


def draw_assays(variants: pd.DataFrame, table: pd.DataFrame, note: str) -> list[dict[str, Any]]:
    """Return a figure of each assay and model, of its first score."""
    drawn: list[dict[str, Any]] = []
    if table.empty:
        return drawn
    for (assay, model), own in variants.groupby(["assay", "model"], sort=False):
        first = table[(table["assay"] == assay) & (table["model"] == model)]["score"].iloc[0]
        drawn.append(assay_figure(own, first, f"{model}: {assay}", note))
    return drawn
