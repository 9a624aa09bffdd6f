"""The tables of the page on variants as text."""

from collections.abc import Mapping

import pandas as pd

from dnalm.report.pages.comparison_grids import probability
from dnalm.report.pages.grids import MISSING, Grid, count, interval, make_grid, percent, score

ALL = "all"


def findings(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return, for each set and model, a sentence on all its scores; none is picked by its value."""
    sentences = []
    scores = tables["variant_scores"]
    known = scores[(scores["subset"] == ALL) & scores["auroc"].notna()]
    for (name, model), own in known.groupby(["entry", "model"], sort=False):
        above = own[own["auroc_low"] > 0.5]
        below = own[own["auroc_high"] < 0.5]
        size = f"{count(own['variants'].max())} variants, {count(own['positives'].max())} positive"
        said = f"{name}, {model}: {len(above)} of {len(own)} scores tell positives from negatives"
        said += f" ({', '.join(above['score'])})" if len(above) else ""
        said += f"; {', '.join(below['score'])} the wrong way round" if len(below) else ""
        sentences.append(f"{said}; {size}.")
    sentences = sentences or ["No set of variants has labels of both classes."]
    for row in tables["variant_sets"].fillna(0).to_dict("records"):
        if row["positive_indels"] + row["negative_indels"]:
            sentences.append(
                f"{row['entry']}: {count(row['positive_indels'])} positives and "
                f"{count(row['negative_indels'])} negatives are indels. An indel moves all bases "
                "behind it, so that distances are large whatever it does: read the scores of SNVs "
                "alone."
            )
    return sentences


def sets_grid(sets: pd.DataFrame) -> Grid:
    """Return what each set holds and what was left out of it."""
    counted = ["variants", "positives", "negatives", "positive_indels", "negative_indels"]
    counted += ["without_label", "repeated", "contradictory"]
    counted += ["labels_without_variant", "matched_negatives", "positives_with_too_few_negatives"]
    rows = [
        [row["entry"], *[count(row[key]) for key in counted], row["other_labels"] or MISSING]
        for row in sets.fillna({"other_labels": ""}).to_dict("records")
    ]
    headings = ["set", "variants", "positive", "negative", "positive indels", "negative indels"]
    headings += ["neither", "repeats", "called both"]
    headings += ["labels of no variant", "drawn negatives", "positives short of negatives"]
    return make_grid([*headings, "labels that are neither"], rows, first=1, last=len(headings))


def scores_grid(scores: pd.DataFrame, subset: str) -> Grid:
    """Return AUROC and AUPRC of every score on one subset."""
    rows = [
        [
            *[row["model"], row["score"], "+" if row["sign"] > 0 else "−"],
            *[score(row["auroc"]), interval(row["auroc_low"], row["auroc_high"])],
            *[score(row["auprc"]), interval(row["auprc_low"], row["auprc_high"])],
            score(row["positives"] / row["variants"] if row["positives"] else None),
            *[count(row[key]) for key in ("variants", "positives", "missing")],
        ]
        for row in scores[scores["subset"] == subset].to_dict("records")
    ]
    headings = ["model", "score", "sign", "AUROC", "interval", "AUPRC", "interval", "chance AUPRC"]
    return make_grid([*headings, "variants", "positive", "without the score"], rows, first=3)


def subsets_grid(scores: pd.DataFrame) -> Grid:
    """Return AUROC and AUPRC by consequence class, and on what has every score."""
    rows = [
        [
            *[row["subset"], row["model"], row["score"]],
            *[score(row["auroc"]), interval(row["auroc_low"], row["auroc_high"])],
            *[score(row["auprc"]), interval(row["auprc_low"], row["auprc_high"])],
            *[count(row["variants"]), count(row["positives"])],
        ]
        for row in scores[scores["subset"] != ALL]
        .sort_values("subset", kind="stable")
        .to_dict("records")
    ]
    headings = ["variants", "model", "score", "AUROC", "interval", "AUPRC", "interval"]
    return make_grid([*headings, "number", "positive"], rows, first=3)


def chromosomes_grid(scores: pd.DataFrame) -> Grid:
    """Return the AUPRC by chromosome, of sets with several."""
    rows = [
        [
            *[row["model"], row["score"], score(row["chromosome_auprc"])],
            *[score(row["chromosome_se"]), count(row["chromosomes"])],
        ]
        for row in scores[(scores["subset"] == ALL) & (scores["chromosomes"] > 1)].to_dict(
            "records"
        )
    ]
    headings = ["model", "score", "AUPRC by chromosome", "standard error", "chromosomes"]
    return make_grid(headings, rows, first=2)


def differences_grid(differences: pd.DataFrame) -> Grid:
    """Return the paired differences between scores."""
    rows = [
        [
            *[row["metric"].upper(), f"{row['model']} {row['score']}"],
            f"{row['reference_model']} {row['reference_score']}",
            *[score(row["value"]), score(row["reference_value"])],
            *[score(row["difference"], sign=True), interval(row["low"], row["high"], sign=True)],
            *[probability(row["p_value"]), probability(row["p_adjusted"]), count(row["variants"])],
        ]
        for row in differences.to_dict("records")
    ]
    headings = ["metric", "score", "other", "value", "value of the other", "difference"]
    return make_grid([*headings, "interval", "p", "p, corrected", "variants"], rows, first=3)


def severity_grid(severity: pd.DataFrame) -> Grid:
    """Return the correlations with severity."""
    rows = [
        [
            *[row["model"], row["score"], score(row["spearman"], sign=True)],
            interval(row["low"], row["high"], sign=True),
            *[count(row["variants"]), count(row["classes"])],
        ]
        for row in severity.to_dict("records")
    ]
    headings = ["model", "score", "Spearman's ρ", "interval", "variants", "classes"]
    return make_grid(headings, rows, first=2)


def percentiles_grid(percentiles: pd.DataFrame) -> Grid:
    """Return where the scores of each class lie among common variants."""
    rows = [
        [
            *[row["model"], row["score"], row["consequence"] or "no class"],
            *[f"{row[key]:.0f}" for key in ("lower_quartile", "median", "upper_quartile")],
            *[percent(row["above_95"], digits=1), count(row["variants"])],
            count(row["reference_variants"]),
        ]
        for row in percentiles.fillna({"consequence": ""}).to_dict("records")
    ]
    headings = ["model", "score", "class", "lower quartile", "median", "upper quartile"]
    headings += ["at the 95th or above", "variants", "common variants"]
    return make_grid(headings, rows, first=3)


def skipped_grid(skipped: pd.DataFrame) -> Grid:
    """Return what has no scores, or not all, and why."""
    rows = [
        [
            *[row["model"], row["reason"]],
            *[count(row[key]) for key in ("variants", "positives", "negatives")],
        ]
        for row in skipped.to_dict("records")
    ]
    return make_grid(["model", "reason", "variants", "positive", "negative"], rows, first=2)


def published_grid(published: pd.DataFrame) -> Grid:
    """Return published values, all of them for orientation."""
    rows = [
        [
            *[row["published_model"], row["published_method"], row["metric"]],
            f"{row['value']:.3g}".replace("-", "−"),
            row["note"] or MISSING,
        ]
        for row in published.fillna({"note": ""}).to_dict("records")
    ]
    headings = ["model", "method", "metric", "published", "what is known of it"]
    return make_grid(headings, rows, first=3, last=4, grey=set(range(len(rows))))
