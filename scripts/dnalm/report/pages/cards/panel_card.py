"""The part of a corpus card about haplotypes: the panel, what it left out, its populations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dnalm.report.figures.corpora import variants_figure
from dnalm.report.pages.grids import MISSING, Grid, count, large, make_grid
from dnalm.report.tables.panels import IGNORED, KINDS, finest_part, populations_of, spread_of

MAX_OPEN_ROWS = 12  # a longer table of populations is folded
MIN_WHOLE_MEAN = 1000  # means above it have no decimals
DRAWS = {"random": "The haplotype of a training window is drawn at random, anew in each epoch."}


@dataclass(frozen=True, kw_only=True)
class PanelPart:
    """What a card shows of its panel: texts, tables and figures (id and specification)."""

    name: str
    genome: str
    draw: str
    numbers: Sequence[tuple[str, str]]
    ignored: Grid
    populations: Grid
    folded: bool
    figures: Sequence[dict[str, Any]]


def panel_part(
    tables: Mapping[str, pd.DataFrame], panel: str, draw: str, identity: str, note: str
) -> PanelPart | None:
    """Return the part of the card `identity` about `panel`, None for a corpus without one."""
    own = tables["panels"][tables["panels"]["panel"] == panel]
    if own.empty:
        return None
    facts = own.iloc[0]
    haplotypes = tables["haplotypes"][tables["haplotypes"]["panel"] == panel]
    populations = _populations(haplotypes)
    return PanelPart(
        name=panel,
        genome=facts["genome"],
        draw=DRAWS.get(draw, f"Haplotypes are drawn by the rule “{draw}”." if draw else ""),
        numbers=_numbers(facts),
        ignored=_ignored(facts),
        populations=populations,
        folded=len(populations.rows) > MAX_OPEN_ROWS,
        figures=_figures(haplotypes, identity, note),
    )


def _numbers(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    alleles, size = facts["alleles"], facts["store_bytes"]
    return [
        ("samples", count(facts["samples"])),
        ("haplotypes", count(facts["haplotypes"])),
        ("records read", count(facts["records"])),
        ("variants kept", count(facts["variants"])),
        ("alternative alleles carried", large(alleles)),
        ("haploid calls", count(facts["haploid_calls"])),
        ("missing alleles, read as the reference", count(facts["missing_alleles"])),
        ("size on disk", f"{large(size)}B"),
        ("bytes per allele carried", f"{size / alleles:.2f}" if alleles else MISSING),
    ]


def _ignored(facts: pd.Series) -> Grid:
    counts = {
        name.removeprefix(IGNORED): value
        for name, value in facts.items()
        if name.startswith(IGNORED) and value
    }
    rows = [
        [reason, count(value)]
        for reason, value in sorted(counts.items(), key=lambda pair: -pair[1])
    ]
    return make_grid(["why", "alleles"], rows, first=1)


def _populations(haplotypes: pd.DataFrame) -> Grid:
    rows = [
        [
            *[row["population"] or MISSING, row["superpopulation"] or MISSING],
            *[count(row["samples"]), *(_mean(row[key]) for key in ("variants", *KINDS))],
        ]
        for row in populations_of(haplotypes).to_dict("records")
    ]
    headings = ["population", "superpopulation", "samples", "variants per haplotype"]
    return make_grid([*headings, *KINDS.values()], rows, first=2)


def _mean(value: float) -> str:
    return f"{value:,.0f}" if value >= MIN_WHOLE_MEAN else f"{value:,.1f}"


def _figures(haplotypes: pd.DataFrame, identity: str, note: str) -> list[dict[str, Any]]:
    spread = spread_of(haplotypes, finest_part(haplotypes))
    return [
        {"id": f"{identity}-variants-{i}", "specification": variants_figure(spread, kind, note)}
        for i, kind in enumerate(spread["kind"].unique())
    ]
