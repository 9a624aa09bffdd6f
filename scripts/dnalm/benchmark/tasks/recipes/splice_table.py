"""Splice sites per base of the genes in SpliceAI's table."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dnalm.benchmark.tasks.recipes.gene_blocks import cut_genes
from dnalm.benchmark.tasks.recipes.gene_table import read_genes
from dnalm.benchmark.tasks.recipes.recipe import Files, Recipe


def cut_table(
    build: Mapping[str, Any], name: str, files: Files
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows and facts of `cut_genes` for the genes of the tables."""
    genes = [gene for path in files["table"] for gene in read_genes(path)]
    return cut_genes(genes, ", ".join(files["table"]), build, name, files)


SPLICE_TABLE = Recipe(
    name="splice_table",
    source="table",
    format="SpliceAI's table of genes",
    extra_files=(),
    keys=("block", "context", "test_paralogs", "labels_by_kind"),
    labels_by="labels_by_kind",
    placements=(),
    decoys=("none",),
    cut=cut_table,
)
