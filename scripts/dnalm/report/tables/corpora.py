"""Tables of what models read in pretraining: genomes, corpora, groups of genomes and k-mers."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from dnalm.errors import InputError
from dnalm.genome.kmers import ALPHABET
from dnalm.report.tables.records import Identities

NAMES = 12
LETTERS = ["bases", "n", "soft_masked"]
COLUMNS = {
    "genomes": [
        *["genome", "species", "group", "accession", "source", "bases", "contigs", "n"],
        *["soft_masked", "iupac", "sha256", "simulated", "corpora"],
    ],
    "corpora": [
        *["corpus", "genomes", "k", "vocabulary", "window_tokens", "split", "windows"],
        *["contigs", "bases", "tokens", "evaluated", "tail_bases", "held_out", "simulated"],
        *["genome_count", "window_length", "window_stride", "start_max"],
        *["short_contigs", "short_bases", "panel", "draw"],
    ],
    "groups": ["corpus", "group", "genome_count", *LETTERS],
    "kmers": ["corpus", "kmer", "count"],
}


def genomes_table(
    manifests: Sequence[dict[str, Any]],
    corpora: Sequence[dict[str, Any]],
    identities: Identities,
) -> pd.DataFrame:
    """Return one row per genome from its manifest; `corpora` names those that hold it."""
    holders: dict[str, list[str]] = {}
    for corpus in corpora:
        for name in _names(corpus):
            holders.setdefault(name, []).append(corpus["name"])
    rows = [
        {
            **facts,
            "genome": facts["name"],
            "species": identities.species.get(facts["name"], ""),
            "group": identities.groups.get(facts["name"], ""),
            "corpora": ", ".join(holders.get(facts["name"], [])),
        }
        for facts in manifests
    ]
    return pd.DataFrame(rows, columns=COLUMNS["genomes"])


def corpora_table(manifests: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return one row per corpus and split.

    `held_out` names the contigs of the splits but train, `tail_bases` counts the bases after the
    last window of each contig. From `simulated` on, values are the same for all splits of a corpus.
    """
    rows = []
    for manifest in manifests:
        rule, haplotypes = manifest["windows"], manifest.get("haplotypes") or {}
        short = [genome.get("shorter_than_window", {}) for genome in manifest["genomes"]]
        corpus = {
            "corpus": manifest["name"],
            "genomes": _some(_names(manifest)),
            "k": manifest["k"],
            "vocabulary": manifest["vocabulary"],
            "window_tokens": manifest["tokens"],
            "simulated": manifest["simulated"],
            "genome_count": len(manifest["genomes"]),
            "window_length": rule["length"],
            "window_stride": rule["stride"],
            "start_max": rule["start_max"],
            "short_contigs": sum(left.get("contigs", 0) for left in short),
            "short_bases": sum(left.get("bases", 0) for left in short),
            **{key: haplotypes.get(key, "") for key in ("panel", "draw")},
        }
        for split, counts in manifest["splits"].items():
            own = list(_contigs(manifest, split))
            held_out = "" if split == "train" else _some([name for name, _ in own])
            rows.append(
                {
                    **corpus,
                    "split": split,
                    **{key: counts[key] for key in ("windows", "contigs", "bases", "tokens")},
                    "evaluated": counts.get("evaluated"),
                    "tail_bases": sum(contig["dropped_tail"] for _, contig in own),
                    "held_out": held_out,
                }
            )
    return pd.DataFrame(rows, columns=COLUMNS["corpora"]).astype({"evaluated": "Int64"})


def groups_table(
    manifests: Sequence[dict[str, Any]],
    genomes: Sequence[dict[str, Any]],
    identities: Identities,
) -> pd.DataFrame:
    """Return genomes, bases, N and soft-masked bases per corpus and group, the largest first.

    `manifests` are those of corpora, `genomes` those of genomes. A genome without a group in the
    config belongs to the group '', which comes last.
    """
    facts = {genome["name"]: genome for genome in genomes}
    rows = [
        {
            "corpus": manifest["name"],
            "group": identities.groups.get(name, ""),
            "genome_count": 1,
            **{key: facts[name][key] for key in LETTERS},
        }
        for manifest in manifests
        for name in _names(manifest)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS["groups"])
    sums = table.groupby(["corpus", "group"], sort=False, as_index=False).sum()
    order = {manifest["name"]: i for i, manifest in enumerate(manifests)}
    keys = {
        "place": sums["corpus"].map(order),
        "unnamed": sums["group"] == "",
        "size": sums["bases"],
    }
    ordered = sums.assign(**keys).sort_values(list(keys), ascending=[True, True, False])
    return ordered[COLUMNS["groups"]].reset_index(drop=True)


def kmers_table(manifests: Sequence[dict[str, Any]], paths: Sequence[str]) -> pd.DataFrame:
    """Return how often each k-mer occurs in the training contigs of each corpus.

    `paths` are the kmer_counts.npy of the corpora, in their order. Raises InputError when one
    does not hold a count for each k-mer.
    """
    tables = []
    for manifest, path in zip(manifests, paths, strict=True):
        counts = np.load(path)
        words = ["".join(letters) for letters in product(ALPHABET, repeat=manifest["k"])]
        if counts.shape != (len(words),):
            raise InputError(
                f"{path}: there are {counts.size:,} counts for {len(words):,} k-mers; "
                f"delete the file and run again to have it rebuilt."
            )
        tables.append(pd.DataFrame({"corpus": manifest["name"], "kmer": words, "count": counts}))
    return pd.concat(tables) if tables else pd.DataFrame(columns=COLUMNS["kmers"])


def _names(manifest: Mapping[str, Any]) -> list[str]:
    return [genome["name"] for genome in manifest["genomes"]]


def _contigs(manifest: Mapping[str, Any], split: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name for people and the facts of each contig of a split."""
    several = len(manifest["genomes"]) > 1
    for genome in manifest["genomes"]:
        for contig in genome["contigs"]:
            if contig["split"] == split:
                name = str(contig["contig"])
                yield f"{genome['name']}:{name}" if several else name, contig


def _some(names: Sequence[str]) -> str:
    """Return the names in words, the first NAMES of a long list."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more
