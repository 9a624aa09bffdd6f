"""The contigs on which the rows of a task lie, and those that training and test rows share."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

PROVENANCE = re.compile(r"(?P<contig>.+):(?P<start>\d+)-(?P<end>\d+)\([+-]\)")


def find_contigs(provenance: Sequence[str]) -> pd.Series:
    """Return the contigs of rows whose provenance is contig:start-end(strand), None for others."""
    found = [PROVENANCE.fullmatch(text) for text in provenance]
    return pd.Series([match and match["contig"] for match in found], dtype=object)


def share_contigs(contig: pd.Series, split: pd.Series) -> dict[str, Any] | None:
    """Return which contigs training and test rows share; None where no row has a place.

    `placed` counts the rows with a contig, `test_rows_shared` the test rows on a contig that holds
    training rows too.
    """
    contig, split = contig.reset_index(drop=True), split.reset_index(drop=True)
    placed = contig.notna()
    if not placed.any():
        return None
    on = {name: contig[placed & (split == name)] for name in ("train", "test")}
    shared = set(on["train"]) & set(on["test"])
    return {
        "placed": {name: len(own) for name, own in on.items()},
        "shared": sorted(shared),
        "test_rows_shared": int(on["test"].isin(shared).sum()),
    }
