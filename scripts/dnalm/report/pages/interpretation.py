"""The page on what models have learned: attention on elements, reconstruction, maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.errors import InputError
from dnalm.files import read_json, read_tsv
from dnalm.report.figures.interpretation import heads_figure, map_figure
from dnalm.report.pages.grids import Grid, count, make_grid, percent, score
from dnalm.report.pages.likelihoods import (
    assays_grid,
    draw_assays,
    draw_snps,
    nats,
    perplexity,
    published_snps_grid,
    snps_grid,
)
from dnalm.report.pages.template import render

TEMPLATE = "interpretation.html.j2"
# A column by which the tables of each analysis are known.
MARKS = {"z_shift": "attention", "markov_accuracy": "reconstruction", "x": "maps"}
MARKS |= {"carriers_missing": "snps", "pearson": "assays"}
OTHERS = ("map_facts", "assay_variants")  # of JSON and of Parquet
# How the article names elements of which it counts enriched heads.
PUBLISHED_ELEMENTS = {"intron": "introns", "exon": "exons", "tf_binding": "TF_binding_sites"}
ENRICHED_HEADS = "significant heads"


def read_interpretation(paths: Sequence[str | Path]) -> dict[str, pd.DataFrame]:
    """Return the tables of the stage: attention, reconstruction, maps, map_facts, snps, assays and
    assay_variants.

    Files are told apart by their columns. Raises InputError for one that is none of these.
    """
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in (*MARKS.values(), *OTHERS)}
    for path in paths:
        if str(path).endswith(".json"):
            facts = read_json(path)
            names = {key: facts[key] for key in ("annotation", "model")}
            found["map_facts"].append(pd.DataFrame(facts["layers"]).assign(**names))
            continue
        if str(path).endswith(".parquet"):
            found["assay_variants"].append(pd.read_parquet(path))
            continue
        table = read_tsv(path, ("model",))
        analysis = next((MARKS[column] for column in MARKS if column in table), None)
        if analysis is None:
            raise InputError(f"{path} is no table of interpretation; delete it and run again.")
        found[analysis].append(table)
    return {
        name: pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
        for name, tables in found.items()
    }


def make_interpretation_page(
    tables: Mapping[str, pd.DataFrame],
    published: pd.DataFrame,
    published_as: Mapping[str, str],
    *,
    title: str,
    note: str,
) -> str:
    """Return the page's HTML from the tables of `read_interpretation`.

    `published_as` names the published model of each model that is one; `note` says that data are
    simulated, '' that none are.
    """
    drawn = {
        "heads": _draw_heads(tables["attention"], note),
        "maps": _draw_maps(tables, note),
        "snps": draw_snps(tables["snps"], note),
        "assays": draw_assays(tables["assay_variants"], tables["assays"], note),
    }
    figures = {
        name: [{"id": f"{name}-{i}", "specification": chart} for i, chart in enumerate(charts)]
        for name, charts in drawn.items()
    }
    return render(
        TEMPLATE,
        title=title,
        note=note,
        figures=figures,
        specifications=[one for own in figures.values() for one in own],
        heads=heads_grid(tables["attention"], published, published_as),
        reconstruction=reconstruction_grid(tables["reconstruction"], published, published_as),
        maps=maps_grid(tables["map_facts"]),
        snps=snps_grid(tables["snps"]),
        published_snps=published_snps_grid(published),
        assays=assays_grid(tables["assays"], published),
    )


def _draw_heads(heads: pd.DataFrame, note: str) -> list[dict[str, Any]]:
    if heads.empty:
        return []
    keys = ["annotation", "model", "element"]
    # By the receiver, as the article, and the first threshold that any pair is above.
    received = heads[(heads["direction"] == "receiver")]
    drawn = []
    for (annotation, model, element), own in received.groupby(keys, sort=False):
        pairs = own.groupby("threshold", sort=False)["pairs"].sum()
        if pairs.any():
            threshold = pairs.index[pairs > 0][0]
            chosen = own[own["threshold"] == threshold]
            axis = f"head of {model}; attention above {threshold:g}"
            drawn.append(heads_figure(chosen, f"{annotation}: {element}", axis, note))
    return drawn


def _draw_maps(tables: Mapping[str, pd.DataFrame], note: str) -> list[dict[str, Any]]:
    maps = tables["maps"]
    if maps.empty:
        return []
    names, keys = sorted(maps["element"].unique()), ["annotation", "model", "layer"]
    return [
        map_figure(own, names, f"{annotation}: {model}, layer {layer}", note)
        for (annotation, model, layer), own in maps.groupby(keys, sort=False)
    ]


def heads_grid(
    heads: pd.DataFrame, published: pd.DataFrame, published_as: Mapping[str, str]
) -> Grid:
    """Return how many heads are enriched on each element, by both tests, beside the published."""
    rows = []
    keys = ["annotation", "model", "element", "direction", "threshold"]
    for names, own in heads.groupby(keys, sort=False) if len(heads) else ():
        _, model, element, direction, threshold = names
        known = published[
            (published["model"] == published_as.get(model))
            & (published["metric"] == ENRICHED_HEADS)
            & (published["task"] == PUBLISHED_ELEMENTS.get(element))
        ]["value"]
        best = own.sort_values("z_shift", ascending=False).iloc[0]
        without = own["pairs"] == 0
        rows.append(
            [
                *[str(names[0]), model, element, direction, f"{threshold:g}"],
                *[count(own["windows"].iloc[0]), count(len(own)), count(without.sum())],
                *[count(own["significant_z"].sum()), count(own["significant_shift"].sum())],
                count(known.iloc[0]) if len(known) else "–",
                f"layer {best['layer']}, head {best['attention_head']}",
                *[percent(best["share"]), percent(best["natural_share"])],
            ]
        )
    headings = ["annotation", "model", "element", "end of the pair", "threshold", "windows"]
    headings += ["heads", "without a pair", "enriched, z-test", "enriched, shifted masks"]
    headings += ["published", "strongest head", "its share", "share of tokens"]
    return make_grid(headings, rows, first=4)


def reconstruction_grid(
    table: pd.DataFrame, published: pd.DataFrame, published_as: Mapping[str, str]
) -> Grid:
    """Return accuracy and perplexity of masked tokens by element, beside baselines."""
    medians = published[published["metric"] == "median accuracy"].set_index("model")["value"]
    rows = []
    for row in table.to_dict("records"):
        known = medians.get(published_as.get(row["model"], ""))
        shown = known is not None and row["element"] == "all" and row["mask"] == "random"
        rows.append(
            [
                *[row["annotation"], row["model"], row["element"], row["mask"]],
                *[count(row["tokens"]), percent(row["accuracy"]), percent(row["base_accuracy"])],
                *[perplexity(row["perplexity"]), nats(row.get("base_loss"))],
                percent(row["median_accuracy"]),
                percent(known) if shown else "–",
                *[percent(row["markov_accuracy"]), perplexity(row["markov_perplexity"])],
                nats(row.get("markov_base_loss")),
                percent(row["frequencies_accuracy"]),
                perplexity(row["frequencies_perplexity"]),
            ]
        )
    headings = ["annotation", "model", "element", "masked", "tokens", "accuracy", "of bases"]
    headings += ["perplexity", "nats per base", "median accuracy", "published median"]
    headings += ["Markov accuracy", "Markov perplexity", "Markov nats per base"]
    headings += ["frequencies' accuracy", "frequencies' perplexity"]
    return make_grid(headings, rows, first=4)


def maps_grid(facts: pd.DataFrame) -> Grid:
    """Return how far elements lie apart in each layer."""
    rows = [
        [
            *[row["annotation"], row["model"], count(row["layer"])],
            *[percent(row["neighbour_accuracy"]), percent(row["gc_accuracy"])],
            percent(row.get("probe_accuracy")),
            *[percent(row["chance"]), score(row["silhouette"], sign=True)],
            percent(row["explained"]),
        ]
        for row in facts.to_dict("records")
    ]
    headings = ["annotation", "model", "layer", "accuracy of neighbours", "by GC alone"]
    headings += ["accuracy of a probe", "chance", "silhouette", "variance kept"]
    return make_grid(headings, rows, first=2)
