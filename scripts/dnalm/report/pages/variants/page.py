"""The page on variants: what scores find, how they follow severity, and what was skipped."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dnalm.report.figures.variants import curves_figure, intervals_figure, percentiles_figure
from dnalm.report.pages.template import render
from dnalm.report.pages.variants import grids
from dnalm.report.tables.catalogue import OF_VARIANTS
from dnalm.variants.score_table import BY_NAME, REASONS

TEMPLATE = "variants.html.j2"
ALL, EXTERNAL = "all", "external"
ROC, PR = "roc", "pr"
DIAGONAL = [(0.0, 0.0), (1.0, 1.0)]


def make_page(tables: Mapping[str, pd.DataFrame], title: str, level: float) -> str:
    """Return the page's HTML from the tables of `catalogue.OF_VARIANTS`."""
    sets = [_describe(name, tables) for name in tables["variant_sets"]["entry"]]
    figures = [chart for one in sets for group in one["figures"].values() for chart in group]
    used = dict.fromkeys(tables["variant_scores"]["score"]) | dict.fromkeys(
        tables["variant_severity"]["score"]
    )
    return render(
        TEMPLATE,
        title=title,
        level=f"{level:.0%}".replace("%", " %"),
        findings=grids.findings(tables),
        sets=sets,
        overview=grids.sets_grid(tables["variant_sets"]),
        specifications=figures,
        words={name: BY_NAME[name].words for name in used if name in BY_NAME},
        reasons={
            name: REASONS.get(name, name) for name in tables["variant_skipped"]["reason"].unique()
        },
        tables=[table.name for table in OF_VARIANTS],
    )


def _describe(name: str, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    own = {key: table[table["entry"] == name] for key, table in tables.items()}
    drawn = _draw(name, own)
    figures = {
        group: [
            {"id": f"{name.replace('.', '_')}-{group}-{number}", "specification": chart}
            for number, chart in enumerate(charts)
        ]
        for group, charts in drawn.items()
    }
    return {
        "name": name,
        "id": f"set-{name}",
        "figures": figures,
        "scores": grids.scores_grid(own["variant_scores"], ALL),
        "subsets": grids.subsets_grid(own["variant_scores"]),
        "chromosomes": grids.chromosomes_grid(own["variant_scores"]),
        "differences": grids.differences_grid(own["variant_differences"]),
        "severity": grids.severity_grid(own["variant_severity"]),
        "percentiles": grids.percentiles_grid(own["variant_percentiles"]),
        "skipped": grids.skipped_grid(own["variant_skipped"]),
        "published": grids.published_grid(own["variant_published"]),
    }


def _draw(name: str, own: Mapping[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    drawn: dict[str, list[dict[str, Any]]] = {
        group: [] for group in ("scores", "curves", "severity", "percentiles")
    }
    scores = own["variant_scores"]
    scores = scores[(scores["subset"] == ALL) & scores["auroc"].notna()]
    if len(scores):
        rows = scores.rename(columns={"auroc_low": "low", "auroc_high": "high"})
        drawn["scores"].append(intervals_figure(rows, "auroc", f"{name}: AUROC", "AUROC", 0.5))
    base = (scores["positives"] / scores["variants"]).max()
    for model, points in own["variant_curves"].groupby("model", sort=False):
        for curve, axes, chance in (
            (ROC, ("false positive rate", "true positive rate"), DIAGONAL),
            (PR, ("recall", "precision"), [(0.0, base), (1.0, base)]),
        ):
            title = f"{model}: {curve.upper()} curve"
            drawn["curves"].append(
                curves_figure(points[points["curve"] == curve], title, axes, chance)
            )
    severity = own["variant_severity"]
    if severity["spearman"].notna().any():
        drawn["severity"].append(
            intervals_figure(severity, "spearman", f"{name}: severity", "Spearman's ρ", 0.0)
        )
    for score, rows in own["variant_percentiles"].groupby("score", sort=False):
        drawn["percentiles"].append(percentiles_figure(rows, f"{name}: {score}"))
    return drawn
