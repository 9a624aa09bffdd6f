"""The card of a corpus: what its models read in pretraining, on one stretch of the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dnalm.genome.kmers import Vocabulary
from dnalm.report.figures.corpora import groups_figure, spectrum_figure
from dnalm.report.pages.cards.panel_card import PanelPart, panel_part
from dnalm.report.pages.facts import note_of
from dnalm.report.pages.grids import MISSING, Grid, count, large, length, make_grid, percent
from dnalm.report.tables.kmer_spectrum import Spectrum, most_frequent, spectrum_of

MAX_LISTED_GENOMES = 25  # a longer list of genomes stands in the table of genomes only
MAX_LISTED_KMERS = 10
SPLITS = {"train": "training", "validation": "validation", "test": "test"}
UNGROUPED = "no group given"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the page shows of one corpus: texts, tables and figures (id and specification)."""

    id: str
    name: str
    note: str
    rule: str
    left_out: str
    numbers: Sequence[tuple[str, str]]
    groups: Grid | None
    genomes: Grid | None
    genome_count: str
    splits: Grid
    spectrum: Sequence[tuple[str, str]]
    entropy: str
    frequent: Grid
    figures: Mapping[str, Sequence[dict[str, Any]]]
    panel: PanelPart | None


def corpus_cards(tables: Mapping[str, pd.DataFrame]) -> list[Card]:
    """Return a card for each corpus of the tables corpora, in their order."""
    names = tables["corpora"]["corpus"].unique()
    return [_card(name, f"corpus-{i}", tables) for i, name in enumerate(names)]


def card_figures(cards: Sequence[Card]) -> list[dict[str, Any]]:
    """Return the figures of all cards."""
    figures = [figure for card in cards for group in card.figures.values() for figure in group]
    return figures + [figure for card in cards if card.panel for figure in card.panel.figures]


def _card(name: str, identity: str, tables: Mapping[str, pd.DataFrame]) -> Card:
    splits = _of(tables["corpora"], name)
    facts = splits.iloc[0]
    groups = _of(tables["groups"], name)
    groups = groups.assign(group=groups["group"].replace("", UNGROUPED))
    kmers = _of(tables["kmers"], name)
    genomes = tables["genomes"]
    own = genomes[[name in corpora.split(", ") for corpora in genomes["corpora"]]]
    note = note_of(own["simulated"])
    spectrum = spectrum_of(kmers)
    figures = {"spectrum": [spectrum_figure(kmers, spectrum, note)] if spectrum.total else []}
    figures["groups"] = [groups_figure(groups, note)] if len(groups) > 1 else []
    grouped = list(groups["group"]) != [UNGROUPED]
    return Card(
        id=identity,
        name=name,
        note=note,
        rule=_rule(facts),
        left_out=_left_out(splits),
        numbers=_numbers(splits, groups, spectrum),
        groups=_groups(groups) if grouped or len(own) > MAX_LISTED_GENOMES else None,
        genomes=_genomes(own) if len(own) <= MAX_LISTED_GENOMES else None,
        genome_count=count(len(own)),
        splits=_splits(splits),
        spectrum=_spectrum(spectrum),
        entropy=f"{spectrum.entropy:.3f}",
        frequent=_frequent(kmers),
        figures={
            key: [
                {"id": f"{identity}-{key}-{i}", "specification": chart}
                for i, chart in enumerate(charts)
            ]
            for key, charts in figures.items()
        },
        panel=panel_part(tables, facts["panel"], facts["draw"], identity, note),
    )


def _of(table: pd.DataFrame, corpus: str) -> pd.DataFrame:
    return table[table["corpus"] == corpus].reset_index(drop=True)


def _rule(facts: Mapping[str, Any]) -> str:
    """Return in words how windows are laid and read."""
    vocabulary = Vocabulary(k=int(facts["k"]), version=facts["vocabulary"])
    origin = "" if facts["simulated"] else "Real, not simulated. "
    start = (
        f"read from a start drawn anew from 0 to {count(facts['start_max'])}"
        if facts["start_max"]
        else "read from their first base"
    )
    return (
        f"{origin}Read as {vocabulary.k}-mers, in the {vocabulary.version} vocabulary of "
        f"{count(vocabulary.size)} tokens. Windows of {count(facts['window_length'])} bases begin "
        f"every {count(facts['window_stride'])} bases and are {start}; each gives "
        f"{count(facts['window_tokens'])} tokens, <cls> included."
    )


def _left_out(splits: pd.DataFrame) -> str:
    """Return in words which bases are in no window."""
    facts = splits.iloc[0]
    tails = f"{length(splits['tail_bases'].sum())} after the last window of a contig"
    if not facts["short_contigs"]:
        return f"In no window: {tails}."
    contigs = "contig" if facts["short_contigs"] == 1 else "contigs"
    return (
        f"In no window: {tails}, and {count(facts['short_contigs'])} {contigs} shorter than one "
        f"({length(facts['short_bases'])})."
    )


def _numbers(
    splits: pd.DataFrame, groups: pd.DataFrame, spectrum: Spectrum
) -> list[tuple[str, str]]:
    """Return the numbers at the head of a card."""
    facts, train = splits.iloc[0], splits[splits["split"] == "train"]
    bases = groups["bases"].sum()
    return [
        ("genome" if facts["genome_count"] == 1 else "genomes", count(facts["genome_count"])),
        ("bases", length(bases)),
        ("training windows", count(train["windows"].sum())),
        ("tokens per epoch", large(train["tokens"].sum())),
        ("GC, training contigs", percent(spectrum.gc, digits=1)),
        ("unknown (N)", percent(groups["n"].sum(), bases)),
        ("soft-masked", percent(groups["soft_masked"].sum(), bases, digits=1)),
    ]


def _groups(groups: pd.DataFrame) -> Grid:
    rows = [
        [row["group"], count(row["genome_count"]), *_sizes(row, groups["bases"].sum())]
        for row in groups.to_dict("records")
    ]
    headings = ["group", "genomes", "bases", "share of bases", "unknown (N)", "soft-masked"]
    return make_grid(headings, rows, first=1)


def _genomes(genomes: pd.DataFrame) -> Grid:
    named = [key for key in ("species", "group") if (genomes[key] != "").any()]
    rows = [
        [
            *[row["genome"], *[row[key] or MISSING for key in named]],
            *[count(row["contigs"]), *_sizes(row, genomes["bases"].sum())],
        ]
        for row in genomes.to_dict("records")
    ]
    headings = ["genome", *named, "contigs", "bases", "share of bases", "unknown (N)"]
    return make_grid([*headings, "soft-masked"], rows, first=1 + len(named))


def _sizes(row: Mapping[str, Any], whole: int) -> list[str]:
    return [
        *[length(row["bases"]), percent(row["bases"], whole, digits=1)],
        *[percent(row[key], row["bases"]) for key in ("n", "soft_masked")],
    ]


def _splits(splits: pd.DataFrame) -> Grid:
    rows = [
        [
            SPLITS.get(row["split"], row["split"]),
            *[count(row["contigs"]), length(row["bases"])],
            percent(row["bases"], splits["bases"].sum(), digits=1),
            *[count(row["windows"]), large(row["tokens"]), count(row["evaluated"])],
            row["held_out"] or MISSING,
        ]
        for row in splits.to_dict("records")
    ]
    headings = ["part", "contigs", "bases", "share", "windows", "tokens", "windows evaluated"]
    return make_grid([*headings, "contigs held out"], rows, first=1, last=7)


def _spectrum(spectrum: Spectrum) -> list[tuple[str, str]]:
    """Return the numbers beside the spectrum."""
    k, possible = spectrum.k, spectrum.possible
    missing = math.isnan(spectrum.entropy)
    entropy = [
        f"{spectrum.entropy / unit:.3f} of {spectrum.most / unit:.3f} {name}"
        for unit, name in ((1.0, "nats"), (math.log(2), "bits"))
    ]
    ratio = MISSING if math.isnan(spectrum.cpg_ratio) else f"{spectrum.cpg_ratio:.2f}"
    return [
        (f"{k}-mers counted", large(spectrum.total)),
        (f"different {k}-mers", f"{count(spectrum.distinct)} of {count(possible)}"),
        (f"entropy, of at most ln {count(possible)}", MISSING if missing else entropy[0]),
        (f"entropy, of at most log₂ {count(possible)}", MISSING if missing else entropy[1]),
        (f"{k}-mers with CG", percent(spectrum.cpg, digits=1)),
        ("CG observed / expected", ratio),
    ]


def _frequent(kmers: pd.DataFrame) -> Grid:
    rows = [
        [
            *[row["kmer"], count(row["count"]), percent(row["share"])],
            f"{row['times']:.1f} ×",
        ]
        for row in most_frequent(kmers, MAX_LISTED_KMERS).to_dict("records")
    ]
    return make_grid(["k-mer", "occurrences", "share", "of the mean"], rows, first=1)
