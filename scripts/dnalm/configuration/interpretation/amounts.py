"""What interpretation is asked to read, in bases, haplotypes and alleles, before a file is made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnalm.configuration.interpretation.annotations import resolve_annotation
from dnalm.configuration.interpretation.likelihoods import resolve_assay, resolve_entry
from dnalm.download.compression import open_binary
from dnalm.errors import InputError

SECTIONS = ("annotations", "snps", "assays", "tracks")
TWO_ALLELES = 2


def describe_interpretation(
    config: Mapping[str, Any], selected: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the entries of `SECTIONS` with their `amount`, None of what is not known yet.

    Of annotations and tracks these are bases of their contigs, of SNPs haplotypes, of assays
    alleles.
    `selected` are names of each section; `found` are `contigs` of genomes, {contig: bases}, and
    `assays`, the rows of their tables.
    """
    annotations = {name: resolve_annotation(config, name) for name in selected["annotations"]}
    snps = {name: resolve_entry(config, "snps", name) for name in selected["snps"]}
    assays = {name: resolve_assay(config, name) for name in selected["assays"]}
    tracks = {name: resolve_entry(config, "tracks", name) for name in selected["tracks"]}
    stated = config["estimate"]["bases"]
    return {
        "annotations": {
            name: {**entry, "amount": _count_bases(entry, found["contigs"], stated)}
            for name, entry in annotations.items()
        },
        "snps": {name: {**entry, "amount": _count_snps(entry)} for name, entry in snps.items()},
        "assays": {
            name: {
                **entry,
                "models": config["assays"][name]["models"],
                "amount": found["assays"].get(name),
            }
            for name, entry in assays.items()
        },
        "tracks": {
            name: {**entry, "amount": _count_bases(entry, found["contigs"], stated)}
            for name, entry in tracks.items()
        },
    }


def count_lines(path: str | Path) -> int | None:
    """Return the lines of a text file, gzip or plain, without empty ones; None of no such file."""
    try:
        with open_binary(path) as file:
            return sum(1 for line in file if line.strip())
    except (OSError, InputError):
        return None


def count_table_rows(path: str | Path) -> int | None:
    """Return the rows of a table by its lines but the header, None where it cannot be read."""
    lines = count_lines(path)
    return None if lines is None else max(0, lines - 1)


def _count_bases(
    entry: Mapping[str, Any],
    contigs: Mapping[str, Mapping[str, int]],
    stated: Mapping[str, int],
) -> int | None:
    """Return the bases of the contigs of an entry, of all of them also as they are stated."""
    own, genome = contigs.get(entry["genome"]), entry["genome"]
    if entry["contigs"] is None:
        return sum(own.values()) if own else stated.get(genome)
    return sum(own.get(name, 0) for name in entry["contigs"]) if own else None


def _count_snps(entry: Mapping[str, Any]) -> int | None:
    """Return the most haplotypes that are read; None where each population has its own."""
    if entry["by"]:
        return None
    return len(entry["frequencies"]) * entry["each"] * TWO_ALLELES * entry["carriers"]
