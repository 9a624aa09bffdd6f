"""Summary of a panel: facts and samples, joined from the haplotype stores of its contigs."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.files import atomic_path, read_json, read_tsv, write_json
from dnalm.genome.haplotypes.placing import VARIANT_TYPES
from dnalm.genome.haplotypes.populations import COLUMNS as POPULATION_COLUMNS
from dnalm.genome.haplotypes.populations import read_populations
from dnalm.genome.haplotypes.store import MANIFEST, SAMPLES
from dnalm.jobs.progress import progress

COLUMNS = [*POPULATION_COLUMNS, "haplotype", *VARIANT_TYPES]
SUMMED_FACTS = ("records", "variants", "alleles", "store_bytes")
CONTIG_FACTS = (
    *("vcf_contig", *SUMMED_FACTS, "seconds"),
    *("ignored", "unphased", "haploid", "missing"),
)

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
    Raises InputError for whatever `read_populations` refuses.
    """
    facts = {Path(store).name: read_json(Path(store) / MANIFEST) for store in stores}
    tables = [
        read_tsv(Path(store) / SAMPLES, ["sample"], dtype={"sample": str}, keep_default_na=False)
        for store in progress(stores, f"read the stores of {name}", "contigs")
    ]
    table = pd.concat(tables).groupby(["sample", "haplotype"], sort=False).sum().reset_index()
    known = pd.DataFrame(columns=POPULATION_COLUMNS)
    if populations:
        known = read_populations(populations, list(dict.fromkeys(table["sample"])))
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
            **_count_calls(facts.values()),
            "contigs": {
                contig: {key: contig_facts[key] for key in CONTIG_FACTS if key in contig_facts}
                for contig, contig_facts in facts.items()
            },
        },
    )
    samples_known, contigs = table["sample"].nunique(), len(facts)
    log.info("panel %s: %d samples on %d contigs", name, samples_known, contigs)


def _count_calls(facts: Collection[Mapping[str, Any]]) -> dict[str, int]:
    """Return the counts of odd calls; stores made before one was counted do not say."""
    return {
        name: sum(contig[key][unit] for contig in facts)
        for name, key, unit in (
            ("haploid_calls", "haploid", "calls"),
            ("missing_alleles", "missing", "alleles"),
        )
        if all(key in contig for contig in facts)
    }


def _sum(facts: Any, key: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for contig in facts:
        counts.update(contig[key])
    return dict(counts)
