"""SNPs of a panel by the frequency of ALT, and which haplotypes carry REF and which ALT.

Positions are 0-based. Shapes: V variants of a haplotype store.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.benchmark.parquet import write_parquet
from dnalm.errors import InputError
from dnalm.files import read_tsv
from dnalm.genome.bases import GenomeBases, find_gaps
from dnalm.genome.haplotypes.carriers import count_carriers, find_carriers
from dnalm.genome.haplotypes.reading import HaplotypeStore
from dnalm.genome.intervals import merge_spans, touch
from dnalm.genome.kmers import ALPHABET, N
from dnalm.interpretation.windows import list_pieces
from dnalm.jobs.progress import progress

EVERYBODY = "all"  # in the place of a population
REF, ALT = "ref", "alt"
COLUMNS = ("contig", "position", "ref", "alt", "frequency", "bin", "allele", "group", "sample")
COLUMNS += ("haplotype",)

log = logging.getLogger(__name__)


class Contig:
    """The haplotypes of one contig with its reference: `codes` from position `first` on."""

    def __init__(self, store: str | Path, genome: GenomeBases) -> None:
        self.store = HaplotypeStore(store)
        self.name = str(self.store.manifest["contig"])
        (self.first, self.stop), *_ = list_pieces(genome, [self.name]).values()
        row = genome.contigs[genome.contigs["contig"] == self.name].iloc[0]
        # A plain view of the mapped memory, as compiled code reads it.
        codes = np.frombuffer(np.load(genome.bases_path, mmap_mode="r"), dtype=np.uint8)
        self.codes = codes[int(row["offset"]) : int(row["offset"]) + int(row["length"])]


def open_contigs(stores: Sequence[str | Path], genome: GenomeBases) -> dict[str, Contig]:
    """Return the contigs of haplotype stores by their names."""
    return {contig.name: contig for contig in (Contig(store, genome) for store in stores)}


def choose_snps(
    files: Mapping[str, Any], settings: Mapping[str, Any], output: str | Path
) -> pd.DataFrame:
    """Write SNPs of each frequency with carriers of either allele, a row for each of these.

    `files` are the stores of a panel, its samples.tsv, and bases and contigs of its genome. Raises
    InputError where no SNP has any of the frequencies, and where populations are asked for that
    the panel does not have.
    """
    genome = GenomeBases(files["bases"], files["contigs"])
    contigs = open_contigs(files["stores"], genome)
    groups = _read_groups(files["samples"], settings["by"])
    found = [
        list_snps(contig, genome, settings["bases"])
        for contig in progress(contigs.values(), "look for SNPs", "contigs")
    ]
    chosen = _draw(pd.concat(found, ignore_index=True), settings)
    if chosen.empty:
        raise InputError(
            f"snps.{settings['snps']}: of {sum(map(len, found)):,} SNPs none has a frequency "
            f"within {settings['tolerance']:.0%} of {_name(settings['frequencies'])}; give other "
            "`frequencies`, or a larger `tolerance`."
        )
    rows = []
    for name, own in progress(chosen.groupby("contig"), "find carriers", "contigs"):
        rows += _list_rows(contigs[str(name)].store, own, groups, settings)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_parquet(table, output, {"snps": settings["snps"]})
    log.info("%s: %d haplotypes at %d SNPs", output, len(table), len(chosen))
    return table


def _name(frequencies: Sequence[float]) -> str:
    return ", ".join(f"{frequency:g}" for frequency in frequencies)


def _read_groups(samples: str | Path, by: str | None) -> dict[str, str]:
    """Return the population of each sample of a panel, or the same for all."""
    table = read_tsv(samples, ["sample"], dtype=str, keep_default_na=False)
    names = list(dict.fromkeys(table["sample"]))
    if by is None:
        return dict.fromkeys(names, EVERYBODY)
    if not table[by].any():
        raise InputError(
            f"{samples}: no sample has a {by}; name a table of the samples as `populations` of the "
            "panel, or set `by: null`."
        )
    return dict(zip(table["sample"], table[by], strict=True))


def list_snps(contig: Contig, genome: GenomeBases, bases: int) -> pd.DataFrame:
    """Return the biallelic SNPs of a contig with room for windows of `bases`, and frequencies.

    A SNP is a base in place of which the panel has one other base and nothing else, neither a
    deletion across it nor the base itself. Within `bases` of it the reference has no N and does not
    end.
    """
    variants, letters = contig.store.arrays[:2]
    edits = variants[:-1].astype(np.int64)
    position, length, letter = edits.T
    ends = variants[1:, 2].astype(np.int64)
    one = (length == 1) & (ends - letter == 1)
    # How many edits replace a base: those that have begun there less those that have ended.
    starts = np.sort(position[length > 0])
    stops = np.sort((position + length)[length > 0])
    depth = np.searchsorted(starts, position, "right") - np.searchsorted(stops, position, "right")
    inside = (position >= contig.first + bases) & (position + bases < contig.stop)
    numbers = np.flatnonzero(one & (depth == 1) & inside)
    position = position[numbers]
    gaps = merge_spans(*find_gaps(genome, contig.name))
    alt, ref = letters[letter[numbers]], contig.codes[position - contig.first]
    known = (alt != N) & (ref != N) & (alt != ref)  # some files repeat REF as ALT
    kept = known & ~touch(position - bases, position + bases, gaps)
    numbers, position, alt, ref = numbers[kept], position[kept], alt[kept], ref[kept]
    carriers = count_carriers(contig.store)[numbers]
    alphabet = np.array(list(ALPHABET))
    return pd.DataFrame(
        {
            "contig": contig.name,
            "number": numbers,
            "position": position,
            "ref": alphabet[ref],
            "alt": alphabet[alt],
            "frequency": carriers / contig.store.count_haplotypes(position),
        }
    )


def _draw(snps: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return up to `each` SNPs of every frequency; column `bin` says which."""
    chosen = []
    for bin_ in settings["frequencies"]:
        distance = (snps["frequency"] - bin_).abs()
        # A frequency is a share of counts: what is right on the edge must not depend on rounding.
        fitting = snps[distance <= settings["tolerance"] * bin_ + 1e-9]
        number = min(len(fitting), settings["each"])
        level = logging.WARNING if number < settings["each"] else logging.INFO
        log.log(level, "frequency %g: %d of %d SNPs", bin_, number, settings["each"])
        random = np.random.default_rng([settings["seed"], round(bin_ * 1e9)])
        places = np.sort(random.choice(len(fitting), number, replace=False))
        chosen.append(fitting.iloc[places].assign(bin=bin_))
    return pd.concat(chosen, ignore_index=True)


def _list_rows(
    store: HaplotypeStore,
    snps: pd.DataFrame,
    groups: Mapping[str, str],
    settings: Mapping[str, Any],
) -> list[tuple]:
    """Return a row for each haplotype that is drawn; of a group without enough, all it has."""
    named = np.array([groups[sample] for sample in store.samples])
    wanted = [group for group in dict.fromkeys(groups.values()) if group]
    rows: list[tuple] = []
    carriers = find_carriers(store, snps["number"].to_numpy())
    for snp, carrying in zip(snps.itertuples(index=False), carriers, strict=True):
        present = store.list_haplotypes(int(snp.position))
        # Of the SNP alone, so that another SNP, frequency or model draws the same people.
        random = np.random.default_rng([settings["seed"], int(snp.position), *snp.contig.encode()])
        of_alt = np.isin(present, carrying)
        for allele, own in ((REF, present[~of_alt]), (ALT, present[of_alt])):
            for group in wanted:
                fitting = own[named[own // 2] == group]
                drawn = _choose(fitting, settings["carriers"], random)
                rows += [
                    (
                        *(snp.contig, int(snp.position), snp.ref, snp.alt),
                        *(float(snp.frequency), snp.bin, allele, group),
                        *(store.samples[haplotype // 2], int(haplotype % 2 + 1)),
                    )
                    for haplotype in drawn.tolist()
                ]
    return rows


def _choose(
    haplotypes: NDArray[np.int64], number: int, random: np.random.Generator
) -> NDArray[np.int64]:
    return np.sort(random.permutation(haplotypes)[:number])
