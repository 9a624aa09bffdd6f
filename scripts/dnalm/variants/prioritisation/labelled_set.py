"""One set of variants with labels, classes and other people's scores, and what to score of it."""

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pysam

from dnalm.benchmark.parquet import write_parquet
from dnalm.errors import InputError
from dnalm.files import atomic_path, write_json
from dnalm.variants.prioritisation import labels as labelling
from dnalm.variants.prioritisation.allele_tables import (
    KEY,
    Neighbourhood,
    key_of,
    plain_contig,
    read_alleles,
    read_variant_table,
)
from dnalm.variants.prioritisation.consequences import ConsequenceConfig, read_consequences
from dnalm.variants.prioritisation.external_scores import ExternalConfig, read_external
from dnalm.variants.prioritisation.labels import LabelConfig
from dnalm.variants.prioritisation.matching import (
    DISTANCE,
    MatchConfig,
    match_negatives,
    select_common,
)
from dnalm.variants.prioritisation.start_sites import (
    check_contigs,
    measure_distances,
    read_start_sites,
)

TABLES = (".tsv", ".tsv.gz", ".txt", ".txt.gz", ".parquet")
EXTERNAL_PREFIX = "external."
VCF_LINES = (
    '##INFO=<ID=LABEL,Number=1,Type=Integer,Description="1 positive, 0 negative">',
    '##INFO=<ID=CONSEQUENCE,Number=1,Type=String,Description="consequence class">',
    '##INFO=<ID=MATCH_GROUP,Number=1,Type=String,Description="a positive and its negatives">',
)
CONTIG_NUMBER = 3  # digits of an autosome's name at most, in the order of contigs

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """What is known of a set: labels, matched negatives, classes, scores of others; None for none.

    `vcf` is its own file; without one the set is made of what the labels name.
    """

    name: str
    vcf: str | None
    label: LabelConfig | None
    match: MatchConfig | None
    consequence: ConsequenceConfig | None
    compare: Mapping[str, ExternalConfig]


def make_config(settings: Mapping[str, Any], files: Mapping[str, str | None]) -> SetConfig:
    """Return the configuration of a set from its settings and the paths of its files by role."""
    label, match = settings["label"], settings["match"]
    consequence, compare = settings["consequence"], settings["compare"]
    own = {key: files.get(f"label_{key}") for key in ("path", "positives", "negatives")}
    return SetConfig(
        name=settings["set"],
        vcf=files.get("vcf"),
        label=LabelConfig(**{**label, **own}) if label else None,
        match=MatchConfig(**match, common=files["common"], tss=files.get("tss")) if match else None,
        consequence=ConsequenceConfig(**consequence) if consequence else None,
        compare={
            name: ExternalConfig(
                **{
                    **entry,
                    **{
                        key: files.get(f"compare_{key}_{name}")
                        for key in ("vcf", "table", "bigwig")
                    },
                }
            )
            for name, entry in compare.items()
        },
    )


def label_set(config: SetConfig) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the variants of a set, each once, and counts of what was found and left out.

    Columns chrom, pos, ref, alt, id, label (nullable), consequence and match_group (empty for
    none) and `external.<name>`. Raises InputError for labels that are all of one class or of no
    variant.
    """
    table, counts = _read_set(config)
    if config.match:
        table, matched = _add_negatives(table, config)
        counts |= matched
    if config.label:
        labelling.check_classes(table["label"], f"variants.{config.name}.label")
    counts |= labelling.count_labels(table["label"])
    for name, external in config.compare.items():
        values = read_external(name, table, external)
        table[f"{EXTERNAL_PREFIX}{name}"] = values
        counts.setdefault("external", {})[name] = int(np.isfinite(values).sum())
        log.info("%s: %d of %d variants have a value", name, np.isfinite(values).sum(), len(table))
    fields = [f.info for f in config.compare.values() if f.info and not f.vcf]
    return table.drop(columns=[f for f in dict.fromkeys(fields) if f in table]), counts


def _list_fields(config: SetConfig) -> list[str]:
    """Return the INFO fields of the set's own file that are read."""
    fields = [entry.info for entry in config.compare.values() if entry.info and not entry.vcf]
    if config.consequence and config.consequence.info:
        fields.append(config.consequence.info)
    return fields


def _read_set(config: SetConfig) -> tuple[pd.DataFrame, dict[str, Any]]:
    label = config.label
    if not config.vcf:
        table, counts = _read_labels(label, _list_fields(config))
        table, repeated = labelling.settle(_complete(table, config.consequence))
        return table, {**counts, **repeated}
    fields = _list_fields(config) + ([label.info] if label and label.info else [])
    table = read_alleles(config.vcf, fields)
    counts: dict[str, Any] = {}
    found = pd.Series(pd.array([pd.NA] * len(table), dtype="boolean"))
    if label and label.info:
        found, counts = labelling.read_label_field(table[label.info], label)
    elif label:
        rows, counts = _read_labels(label, [])
        rows, repeated = labelling.settle(rows)
        counts |= {f"label_{name}": count for name, count in repeated.items()}
        what = label.path or f"{label.positives} and {label.negatives}"
        found, joined = labelling.join_labels(table, rows, what)
        counts |= joined
    table = table.assign(label=found.array)
    table, repeated = labelling.settle(_complete(table, config.consequence))
    return table, {**counts, **repeated}


def _read_labels(label: LabelConfig, fields: list[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows of the files of labels, with their labels."""
    if label.path:
        table = read_variant_table(label.path, [label.column])
        found, counts = labelling.read_label_field(table[label.column], label)
        labelling.check_column(table, found, label)
        return table.assign(label=found.array), counts
    parts = []
    for path, value in ((label.positives, True), (label.negatives, False)):
        if path:
            is_table = path.lower().endswith(TABLES)
            part = read_variant_table(path) if is_table else read_alleles(path, fields)
            parts.append(part.assign(label=pd.array([value] * len(part), dtype="boolean")))
    return pd.concat(parts, ignore_index=True), {}


def _complete(table: pd.DataFrame, config: ConsequenceConfig | None) -> pd.DataFrame:
    """Return the table with the columns that every set has."""
    classes = pd.Series("", index=table.index)
    if config:
        named = [source for source in (config.info, config.column) if source]
        source = next((name for name in named if name in table), None)
        if source is None:
            raise InputError(
                f"consequence: the variants have no column or field {' or '.join(named)}; correct "
                "the key."
            )
        classes = read_consequences(table[source].fillna("").astype(str), config)
    own = {"id": ".", "match_group": ""}
    filled = {
        name: table[name].fillna(value) if name in table else value for name, value in own.items()
    }
    return table.assign(consequence=classes, **filled).astype({"match_group": str, "id": str})


def _add_negatives(table: pd.DataFrame, config: SetConfig) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the positives of a table and common variants drawn for them."""
    match = config.match
    positives = table[(table["label"] == True).fillna(False)].reset_index(drop=True)  # noqa: E712
    if positives.empty:
        labelling.check_classes(table["label"], f"variants.{config.name}.label")
    fields = [match.frequency, *_list_fields(config)]
    common = read_alleles(match.common, fields, Neighbourhood(positives, match.within))
    if common.empty:
        raise InputError(
            f"{match.common}: no variant lies within {match.within:,} bases of a positive; widen "
            "match.within or name the file of the same genome."
        )
    common = common[select_common(common, match)].reset_index(drop=True)
    common = _complete(common, config.consequence)
    common = common[~key_of(common).duplicated()].reset_index(drop=True)
    if match.tss:
        sites = read_start_sites(match.tss)
        check_contigs(positives, sites, match.tss)
        positives[DISTANCE] = measure_distances(positives, sites)
        common[DISTANCE] = measure_distances(common, sites)
    rows, groups, counts = match_negatives(positives, common, match)
    negatives = common.iloc[rows].assign(
        label=pd.array([False] * len(rows), dtype="boolean"),
        match_group=[str(group) for group in groups],
    )
    positives["match_group"] = [str(group) for group in range(len(positives))]
    return pd.concat([positives, negatives], ignore_index=True), counts


def write_set(
    table: pd.DataFrame, counts: Mapping[str, Any], name: str, paths: Mapping[str, str]
) -> None:
    """Write labelled variants as Parquet, counts as JSON `summary`, and the `vcf` if asked."""
    columns = [*KEY, "id", "label", "consequence", "match_group"]
    columns += [c for c in table if c.startswith(EXTERNAL_PREFIX) or c == DISTANCE]
    names = {"set": name, "counts": json.dumps(counts)}
    if "vcf" in paths:
        write_vcf(table, paths["vcf"])
    write_parquet(table[columns], paths["labels"], names)
    write_json(paths["summary"], {"set": name, **counts})
    log.info("%s: %d variants", paths["labels"], len(table))


def write_vcf(table: pd.DataFrame, path: str | Path) -> None:
    """Write variants as a bgzipped VCF file without genotypes, sorted."""
    order = sorted(table["chrom"].unique(), key=_contig_order)
    ranks = table["chrom"].map({name: rank for rank, name in enumerate(order)})
    table = table.assign(_rank=ranks).sort_values(["_rank", "pos", "ref", "alt"], kind="stable")
    with atomic_path(path) as temporary, pysam.BGZFile(str(temporary), "w") as file:
        contigs = [f"##contig=<ID={name}>" for name in order]
        header = ["##fileformat=VCFv4.3", *contigs, *VCF_LINES]
        columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
        file.write("".join(f"{line}\n" for line in [*header, columns]).encode())
        for row in table.itertuples(index=False):
            info = [] if pd.isna(row.label) else [f"LABEL={int(row.label)}"]
            info += [f"CONSEQUENCE={_info(row.consequence)}"] if row.consequence else []
            info += [f"MATCH_GROUP={_info(row.match_group)}"] if row.match_group else []
            cells = (row.chrom, row.pos, row.id, row.ref, row.alt, ".", ".")
            line = "\t".join(map(str, [*cells, ";".join(info) or "."]))
            file.write(f"{line}\n".encode())


def _info(text: str) -> str:
    return re.sub(r"[;=,\s]", "_", text)  # which the format keeps for itself


def _contig_order(name: str) -> tuple[int, int, str]:
    plain = plain_contig(name)
    if plain.isdigit() and len(plain) <= CONTIG_NUMBER:
        return 0, int(plain), ""
    return 1, 0, plain
