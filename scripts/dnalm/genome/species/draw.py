"""Stratified draw of species for the multispecies corpus from NCBI's assembly summaries.

The paper took one arbitrary species per genus from NCBI, without plants and viruses, so many per
group, and saw to it that well-studied ones were in; its own list is not at hand, so this draws one
by that rule. Whatever is random is decided by the order of sha256 sums over the seed and the name
of what is drawn: neither the order of rows nor a library's version matters, and a genus that NCBI
adds changes at most one species of the list.
"""

import csv
import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dnalm.errors import InputError
from dnalm.files import atomic_path, sha256_of
from dnalm.genome.species.assembly_summaries import Assembly, Summary, read_summary
from dnalm.jobs.progress import progress

COLUMNS = ("name", "accession", "species", "group", "url", "md5")
RULE = (
    "Of every species the one latest assembly that is best: reference before representative genome"
    " before others, then Complete Genome, Chromosome, Scaffold, Contig, then the first accession."
    " Of every genus (first word of the organism's name, without Candidatus, brackets and quotes)"
    " the species with the lowest sha256 of seed, group and species taxid; of every group as many"
    " genera as asked for, those with the lowest sha256 of seed, group and genus. Included species"
    " count within their group, stand for their genus and come first in the sheet, so that they"
    " train; the others follow by the sha256 of seed and accession, so that those held out, the"
    " last of the sheet, are drawn from all groups."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SpeciesConfig:
    """The `species` section of the configuration: all that decides the list.

    `counts` are the species per group, `summaries` the URL or path of each group's assembly
    summary, `include` names or accessions of species that are always in.
    """

    seed: int
    counts: Mapping[str, int]
    summaries: Mapping[str, str]
    include: list[str]


@dataclass(frozen=True, kw_only=True)
class Draw:
    """The rows of a genome sheet in order, and the record of how they were drawn."""

    rows: list[dict[str, str]]
    record: dict[str, Any]


def draw_species(config: SpeciesConfig, files: Mapping[str, str | Path]) -> Draw:
    """Return the drawn species; `files` holds the assembly summary of every group to draw from.

    Raises:
        InputError: a file is no assembly summary, a group has fewer genera than are asked for or
            more included species, an included one is nowhere or fits several species, or two
            summaries share an assembly.
    """
    summaries = {
        group: read_summary(path, group=group, include=config.include)
        for group, path in progress(files.items(), "read assembly summaries", "files")
    }
    _refuse_shared(summaries)
    included = _find_included(config.include, summaries)
    drawn, groups = [], {}
    for group, summary in summaries.items():
        always = included[group]
        drawn += [(group, assembly) for assembly in _draw_group(config, group, summary, always)]
        groups[group] = {
            "summary": config.summaries[group],
            "sha256": sha256_of(files[group]),
            "date": summary.date,
            "rows": dict(summary.rows),
            "candidate_species": len(summary.species),
            "candidate_genera": len({assembly.genus for assembly in summary.species.values()}),
            "included": [assembly.accession for assembly in always],
            "drawn": config.counts[group] - len(always),
        }
    first = [(group, assembly) for group in included for assembly in included[group]]
    log.info(
        "%d species are drawn and %d included: %s",
        *(len(drawn), len(first)),
        ", ".join(f"{config.counts[group]} {group}" for group in files),
    )
    drawn.sort(key=lambda pair: _draw_key(config.seed, pair[1].accession))
    settings = asdict(config)
    del settings["summaries"]
    return Draw(
        rows=[
            {
                "name": assembly.accession,
                "accession": assembly.accession,
                "species": assembly.organism,
                "group": group,
                "url": assembly.url,
            }
            for group, assembly in first + drawn
        ],
        record={
            "rule": RULE,
            **settings,
            "genomes": len(first + drawn),
            "groups": groups,
        },
    )


def write_sheet(rows: Iterable[Mapping[str, str]], path: str | Path) -> None:
    """Write rows as a sheet that `read_sheet` reads; checksums are left for the download."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t", restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _draw_key(*parts: object) -> str:
    """Return the sort key of what `parts` name: a sha256, whose order is a random one."""
    return hashlib.sha256("\t".join(map(str, parts)).encode()).hexdigest()


def _draw_group(
    config: SpeciesConfig, group: str, summary: Summary, always: list[Assembly]
) -> list[Assembly]:
    """Return the drawn assemblies of a group, without those that are always in."""
    taken = {assembly.genus for assembly in always}
    genera = defaultdict(list)
    for assembly in summary.species.values():
        if assembly.genus not in taken:
            key = _draw_key(config.seed, group, assembly.taxid)
            genera[assembly.genus].append((key, assembly))
    wanted = config.counts[group] - len(always)
    if wanted < 0:
        raise InputError(
            f"species.counts.{group}: {config.counts[group]} species are asked for, but"
            f" {len(always)} are in species.include; raise the number or include fewer."
        )
    if wanted > len(genera):
        beside = f" beside the {len(always)} of species.include" if always else ""
        raise InputError(
            f"species.counts.{group}: {wanted} genera are to be drawn{beside}, but"
            f" {config.summaries[group]} has {len(genera)}; lower the number to"
            f" {len(genera) + len(always)} or give another summary."
        )
    keys = sorted(genera, key=lambda genus: _draw_key(config.seed, group, genus))
    return [min(genera[genus], key=lambda pair: pair[0])[1] for genus in keys[:wanted]]


def _find_included(
    include: Iterable[str], summaries: Mapping[str, Summary]
) -> dict[str, list[Assembly]]:
    """Return {group: assemblies} of the included species, in the order given."""
    found: dict[str, list[Assembly]] = {group: [] for group in summaries}
    species: dict[str, str] = {}
    for entry in include:
        hits = [
            (group, assembly)
            for group, summary in summaries.items()
            for assembly in summary.find(entry)
        ]
        if not hits:
            raise InputError(
                f"species.include: '{entry}' is in none of the summaries of"
                f" {', '.join(summaries)} among the latest assemblies; correct or drop it."
            )
        if len(hits) > 1:
            raise InputError(
                f"species.include: '{entry}' fits {len(hits)} species, among them"
                f" {' and '.join(f'{hit.organism} ({hit.accession})' for _, hit in hits[:2])}; give"
                " the accession of one."
            )
        ((group, assembly),) = hits
        if (other := species.setdefault(assembly.taxid, entry)) is not entry:
            raise InputError(
                f"species.include: '{other}' and '{entry}' are the same species; drop one."
            )
        found[group].append(assembly)
    return found


def _refuse_shared(summaries: Mapping[str, Summary]) -> None:
    groups: dict[str, str] = {}
    for group, summary in summaries.items():
        for assembly in summary.species.values():
            if (other := groups.setdefault(assembly.accession, group)) != group:
                raise InputError(
                    f"species.summaries: {assembly.accession} is in the summaries of {other} and"
                    f" {group}; give each group its own."
                )
