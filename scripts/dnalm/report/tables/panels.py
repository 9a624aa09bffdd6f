"""Tables of haplotypes: what a panel's variants are, and how many each haplotype carries."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dnalm.files import read_tsv
from dnalm.report.tables.catalogue import list_columns

KINDS = {"snvs": "SNVs", "insertions": "insertions", "deletions": "deletions", "others": "others"}
SAMPLE_COLUMNS = ["sample", "population", "superpopulation", "haplotype", *KINDS]
TEXT = ["sample", "population", "superpopulation"]
IGNORED = "ignored: "
CALLS = ["haploid_calls", "missing_alleles"]
COUNTS = ["samples", "haplotypes", "records", "variants", "alleles", "store_bytes"]


def panels_table(panels: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    """Return one row per panel; `panels` are the contents of the manifests by name.

    What was left out stands in columns of its own, `ignored: <reason>`, 0 where a panel has none.
    """
    reasons = list(
        dict.fromkeys(reason for facts in panels.values() for reason in facts["ignored"])
    )
    rows = [
        {
            "panel": panel,
            "genome": facts["genome"],
            "contigs": len(facts["contigs"]),
            **{key: facts[key] for key in COUNTS},
            **{key: facts.get(key) for key in CALLS},  # of older stores they are not known
            **{f"{IGNORED}{reason}": facts["ignored"].get(reason, 0) for reason in reasons},
        }
        for panel, facts in panels.items()
    ]
    table = pd.DataFrame(rows, columns=list_columns("panels", reason=reasons))
    return table.astype(dict.fromkeys(CALLS, "Int64"))


def haplotypes_table(panel_samples: Mapping[str, str]) -> pd.DataFrame:
    """Return the variants of every haplotype; `panel_samples` is the samples.tsv of each panel.

    Raises InputError when a file lacks a column.
    """
    tables = []
    for panel, path in panel_samples.items():
        # A population may be called NA.
        options = {"keep_default_na": False, "na_values": {name: [""] for name in KINDS}}
        table = read_tsv(
            path, TEXT, numbers=SAMPLE_COLUMNS[3:], dtype=dict.fromkeys(TEXT, "object"), **options
        )
        tables.append(table[SAMPLE_COLUMNS].assign(panel=panel))
    table = pd.concat(tables) if tables else pd.DataFrame(columns=list_columns("haplotypes"))
    return table[list_columns("haplotypes")]


def spread_of(haplotypes: pd.DataFrame, part: str) -> pd.DataFrame:
    """Return how many variants of each kind a haplotype carries, by the column `part`.

    Columns part, kind (SNVs, insertions, deletions), haplotypes, least, low (25 %), median,
    high (75 %) and most. Parts without a name are called `all haplotypes` or, beside others,
    `not given`.
    """
    named = haplotypes[part].where(haplotypes[part] != "", _unnamed(haplotypes[part]))
    rows = []
    for name, own in haplotypes.groupby(named, sort=True):
        for kind in ("snvs", "insertions", "deletions"):
            least, low, median, high, most = own[kind].quantile([0, 0.25, 0.5, 0.75, 1])
            rows.append((name, KINDS[kind], len(own), least, low, median, high, most))
    columns = ["part", "kind", "haplotypes", "least", "low", "median", "high", "most"]
    return pd.DataFrame(rows, columns=columns)


def populations_of(haplotypes: pd.DataFrame) -> pd.DataFrame:
    """Return samples and mean variants per haplotype of each population.

    Columns superpopulation, population, samples, then means: variants (of all kinds) and KINDS.
    """
    table = haplotypes.assign(variants=haplotypes[list(KINDS)].sum(axis=1))
    groups = table.groupby(["superpopulation", "population"], sort=True)
    means = groups[["variants", *KINDS]].mean()
    return means.assign(samples=groups["sample"].nunique()).reset_index()


def finest_part(haplotypes: pd.DataFrame) -> str:
    """Return by which column haplotypes are drawn: superpopulation, or population without it."""
    named = (haplotypes["superpopulation"] != "").any()
    return "superpopulation" if named else "population"


def _unnamed(names: pd.Series) -> str:
    return "not given" if (names != "").any() else "all haplotypes"
