"""Summary of a panel: facts and samples, joined from the haplotype stores of its contigs."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.errors import InputError
from dnalm.files import atomic_path, read_json, write_json
from dnalm.genome.haplotypes.placing import VARIANT_TYPES
from dnalm.genome.haplotypes.store import MANIFEST, SAMPLES
from dnalm.jobs.progress import progress

# Names of columns in published sample tables, letters and digits in lower case.
COLUMN_SYNONYMS = {
    "sample": ("sample", "sampleid", "samplename", "individualid"),
    "population": ("population", "pop", "populationcode"),
    "superpopulation": ("superpopulation", "superpop", "superpopulationcode"),
}
COLUMNS = ["sample", "population", "superpopulation", "haplotype", *VARIANT_TYPES]
SUMMED_FACTS = ("records", "variants", "alleles", "store_bytes")
CONTIG_FACTS = ("vcf_contig", *SUMMED_FACTS, "seconds", "ignored", "unphased")

log = logging.getLogger(__name__)


def describe_panel(
    name: str,
    stores: Sequence[str | Path],
    populations: str | Path | None,
    *,
    genome: str,
    manifest: str | Path,
    samples: str | Path,
) -> None:
    """Write the manifest and the sample table of a panel on `genome`, from its contigs' stores.

    manifest: JSON; samples: a row per sample and haplotype with the numbers of its variants by type
    and its population, empty where `populations`, a table with a header, does not name the sample.
    Raises InputError for a table without a column of samples.
    """
    facts = {Path(store).name: read_json(Path(store) / MANIFEST) for store in stores}
    tables = [
        pd.read_csv(Path(store) / SAMPLES, sep="\t", dtype={"sample": str}, keep_default_na=False)
        for store in progress(stores, f"read the stores of {name}", "contigs")
    ]
    table = pd.concat(tables).groupby(["sample", "haplotype"], sort=False).sum().reset_index()
    known = read_populations(populations) if populations else pd.DataFrame(columns=COLUMNS[:3])
    table = table.merge(known, on="sample", how="left")
    table[COLUMNS[1:3]] = table[COLUMNS[1:3]].fillna("")
    with atomic_path(samples) as temporary:
        table[COLUMNS].to_csv(temporary, sep="\t", index=False)
    write_json(
        manifest,
        {
            "panel": name,
            "genome": genome,
            "samples": int(table["sample"].nunique()),
            "haplotypes": len(table),
            **{key: sum(contig[key] for contig in facts.values()) for key in SUMMED_FACTS},
            **{key: _sum(facts.values(), key) for key in ("ignored", "unphased")},
            "contigs": {
                contig: {key: contig_facts[key] for key in CONTIG_FACTS}
                for contig, contig_facts in facts.items()
            },
        },
    )
    samples_known, contigs = table["sample"].nunique(), len(facts)
    log.info("panel %s: %d samples on %d contigs", name, samples_known, contigs)


def _sum(facts: Any, key: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for contig in facts:
        counts.update(contig[key])
    return dict(counts)


def read_populations(path: str | Path) -> pd.DataFrame:
    """Return sample, population and superpopulation of a table, separated by tabs or blanks.

    Raises InputError when none of its columns is of samples, or one sample has two rows.
    """
    try:
        table = pd.read_csv(path, sep=r"\s+", dtype=str, keep_default_na=False, comment=None)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: the populations cannot be read ({error}); give a table with a header, "
            "separated by tabs or blanks."
        ) from None
    plain = {"".join(filter(str.isalnum, str(name))).lower(): name for name in table.columns}
    found = {
        column: next((plain[name] for name in names if name in plain), None)
        for column, names in COLUMN_SYNONYMS.items()
    }
    if found["sample"] is None:
        raise InputError(
            f"{path}: no column is called {', '.join(COLUMN_SYNONYMS['sample'])} or the like, it "
            f"has {', '.join(map(str, table.columns))}; name the one with the samples so."
        )
    chosen = pd.DataFrame({c: table[name] if name else "" for c, name in found.items()})
    if chosen["sample"].duplicated().any():
        twice = chosen.loc[chosen["sample"].duplicated(), "sample"].iloc[0]
        raise InputError(f"{path}: sample {twice} stands in two rows; remove one of them.")
    return chosen
