"""Tables of what models read in pretraining: genomes, corpora, groups of genomes and k-mers."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from dnalm.errors import InputError
from dnalm.genome.kmers import ALPHABET
from dnalm.report.tables.catalogue import list_columns
from dnalm.report.tables.records import Identities

MAX_LISTED = 12
BASE_COUNTS = ["bases", "n", "soft_masked"]


def genomes_table(
    genomes: Mapping[str, dict[str, Any]],
    corpora: Mapping[str, dict[str, Any]],
    identities: Identities,
) -> pd.DataFrame:
    """Return one row per genome, with the corpora that hold it.

    `genomes` and `corpora` are the contents of the manifests by name, here and below.
    """
    holders: dict[str, list[str]] = {}
    for corpus, manifest in corpora.items():
        for name in _names(manifest):
            holders.setdefault(name, []).append(corpus)
    rows = [
        {
            **facts,
            "genome": name,
            "species": identities.species.get(name, ""),
            "group": identities.groups.get(name, ""),
            "corpora": ", ".join(holders.get(name, [])),
        }
        for name, facts in genomes.items()
    ]
    return pd.DataFrame(rows, columns=list_columns("genomes"))


def corpora_table(corpora: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    """Return one row per corpus and split.

    `held_out` names the contigs of the splits but train, `tail_bases` counts the bases after the
    last window of each contig. From `simulated` on, values are the same for all splits of a corpus.
    """
    rows = []
    for name, manifest in corpora.items():
        rule, haplotypes = manifest["windows"], manifest.get("haplotypes") or {}
        short = [genome.get("shorter_than_window", {}) for genome in manifest["genomes"]]
        corpus = {
            "corpus": name,
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
            held_out = "" if split == "train" else _some([contig for contig, _ in own])
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
    return pd.DataFrame(rows, columns=list_columns("corpora")).astype({"evaluated": "Int64"})


def groups_table(
    corpora: Mapping[str, dict[str, Any]],
    genomes: Mapping[str, dict[str, Any]],
    identities: Identities,
) -> pd.DataFrame:
    """Return genomes, bases, N and soft-masked bases per corpus and group, the largest first.

    A genome without a group in the config belongs to the group '', which comes last.
    """
    rows = [
        {
            "corpus": corpus,
            "group": identities.groups.get(name, ""),
            "genome_count": 1,
            **{key: genomes[name][key] for key in BASE_COUNTS},
        }
        for corpus, manifest in corpora.items()
        for name in _names(manifest)
    ]
    table = pd.DataFrame(rows, columns=list_columns("groups"))
    sums = table.groupby(["corpus", "group"], sort=False, as_index=False).sum()
    order = {corpus: i for i, corpus in enumerate(corpora)}
    keys = {
        "place": sums["corpus"].map(order),
        "unnamed": sums["group"] == "",
        "size": sums["bases"],
    }
    ordered = sums.assign(**keys).sort_values(list(keys), ascending=[True, True, False])
    return ordered[list_columns("groups")].reset_index(drop=True)


def kmers_table(
    corpora: Mapping[str, dict[str, Any]], kmer_counts: Mapping[str, str]
) -> pd.DataFrame:
    """Return how often each k-mer occurs in the training contigs of each corpus.

    `kmer_counts` are the kmer_counts.npy of the corpora, by name. Raises InputError when one does
    not hold a count for each k-mer.
    """
    tables = []
    for corpus, manifest in corpora.items():
        path = kmer_counts[corpus]
        counts = np.load(path)
        words = ["".join(letters) for letters in product(ALPHABET, repeat=manifest["k"])]
        if counts.shape != (len(words),):
            raise InputError(
                f"{path}: there are {counts.size:,} counts for {len(words):,} k-mers; "
                f"delete the file and run again to have it rebuilt."
            )
        tables.append(pd.DataFrame({"corpus": corpus, "kmer": words, "count": counts}))
    return pd.concat(tables) if tables else pd.DataFrame(columns=list_columns("kmers"))


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
    """Return the names in words, the first MAX_LISTED of a long list."""
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more
