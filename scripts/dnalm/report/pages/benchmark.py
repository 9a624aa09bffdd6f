"""The page: one HTML file with text, figures and tables that opens without a network."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from dnalm.files import atomic_path
from dnalm.methods import ADAPTERS, ANOTHER, KMERS, PROBES, STRONGEST, UNTRAINED
from dnalm.report.figures import finetuning
from dnalm.report.figures import scores as figures
from dnalm.report.figures.rule_graph import rule_graph_figure
from dnalm.report.gaps import Gaps
from dnalm.report.job_records import RuleGraph
from dnalm.report.method_names import Series, add_labels, plan
from dnalm.report.metric_names import describe, shared_name
from dnalm.report.pages.cards.corpus_card import MAX_LISTED_GENOMES, card_figures, corpus_cards
from dnalm.report.pages.companions import Companion
from dnalm.report.pages.comparison_grids import comparison_grid, with_choices
from dnalm.report.pages.context import context_grid
from dnalm.report.pages.facts import (
    facts_grids,
    licence_notes,
    run_sentence,
    simulated_note,
    token_sizes,
)
from dnalm.report.pages.findings import findings, kmers_win, pretraining_in_short
from dnalm.report.pages.finetuning import (
    crop_note,
    pair_methods,
    probing_grid,
    probing_sentence,
)
from dnalm.report.pages.grids import (
    costs_grid,
    curve_grid,
    layers_grid,
    make_grid,
    published_grid,
    score_matrix,
    scores_grids,
    stages_grid,
    stages_sentence,
)
from dnalm.report.pages.leakage import (
    add_marks,
    clean_grid,
    confounding_grid,
    exposure_grid,
    identity_grid,
    lift_grid,
    overlaps_grid,
    search_notes,
)
from dnalm.report.pages.template import render
from dnalm.report.pages.test_rows import (
    confusion_grid,
    curve_figures,
    output_groups_grid,
    outputs_grid,
    published_outputs_figures,
    undefined_outputs,
    without_curves,
)
from dnalm.report.pages.verdicts import (
    choices_grid,
    headline_grid,
    headline_sentences,
    prediction_lines,
    reproduction_grid,
    reproduction_sentences,
    rows_can_tell,
    tasks_without_prediction,
)
from dnalm.report.provenance import Provenance
from dnalm.report.tables.comparisons import MIN_ROWS
from dnalm.suggestions import check_choice

TEMPLATE = "page.html.j2"
STATISTICS = ("mean_2sd",)
CORRECTIONS = {
    "holm": "corrected by Holm's method",
    "benjamini_hochberg": "corrected by Benjamini and Hochberg's method",
    "none": "not corrected",
}
LEAKS = {
    "overlap": "is identical to a training row, a near duplicate of one or overlaps one",
    "near": "is identical to a training row or a near duplicate of one",
    "identical": "is identical to a training row",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Title, how scores are summarised and compared, what counts as equal and as leaking."""

    title: str
    statistic: str
    bootstrap: Mapping[str, Any]
    correction: str
    equal: float
    leak: str


def make_page(
    tables: Mapping[str, pd.DataFrame],
    stages: pd.DataFrame,
    config: ReportConfig,
    made: Provenance,
    beside: Sequence[Companion],
    gaps: Gaps | None = None,
) -> str:
    """Return the page's HTML.

    `tables` are those of make_tables by name, `stages` the time per stage, `made` says how they
    came about, `beside` are the other pages of the run, `gaps` what is missing of a run that did
    not end. Raises InputError when `config.statistic` is not known.
    """
    check_choice("report.statistic", config.statistic, STATISTICS)
    tables = dict(tables)
    for name in ("summary", "layers", "comparisons", "lift", "finetuning_curves"):
        tables[name] = add_labels(tables[name])
    for name in ("summary", "comparisons"):
        tables[name] = add_marks(tables[name], tables["summary"])
    models = tables["models"]
    untrained = {
        row["model"]: row["untrained_of"]
        for row in models.to_dict("records")
        if row["untrained_of"]
    }
    series = plan(tables["summary"], untrained)
    note = simulated_note(tables)
    pairs = pair_methods(tables["summary"], tables["comparisons"], config.bootstrap["level"])
    cards = corpus_cards(tables)
    shown = with_choices(tables["comparisons"], tables["choices"])
    controls = set(tables["tasks"].loc[tables["tasks"]["shuffled_labels"].astype(bool), "task"])
    drawn = _figures(tables, series, note, config) | _tuning_figures(tables, pairs, series, note)
    drawn |= _named({"rules": _rule_figures(made.rules, stages, note)})
    drawn |= _named({"errors": curve_figures(tables["test_curves"], controls, note)})
    drawn |= _named({"outputs": published_outputs_figures(tables["outputs"], note)})
    return render(
        TEMPLATE,
        title=f"{config.title}: unfinished" if gaps else config.title,
        note=note,
        gaps=gaps,
        ran=run_sentence(tables["summary"], models),
        beside=beside,
        level=f"{config.bootstrap['level']:.0%}".replace("%", " %"),
        draws=f"{config.bootstrap['draws']:,}",
        headlines=[
            *headline_sentences(tables["headline"]),
            *pretraining_in_short(tables["comparisons"], controls),
            *reproduction_sentences(tables["reproduction"]),
            *rows_can_tell(tables["choices"], controls),
        ],
        choices=choices_grid(tables["choices"], controls),
        predictions=prediction_lines(tables["choices"], controls),
        unpredicted=tasks_without_prediction(tables["choices"], controls),
        headline=headline_grid(tables["headline"]),
        reproduction=reproduction_grid(tables["reproduction"]),
        equal=f"{config.equal:g}",
        findings=findings(tables["summary"], tables["comparisons"], tables["tasks"], models),
        kmers=kmers_win(tables["comparisons"], controls),
        figures=drawn,
        specifications=[*chain.from_iterable(drawn.values()), *card_figures(cards)],
        drawn_series=len(series),
        all_series=tables["summary"]["series"].nunique(),
        matrix=score_matrix(tables["summary"], series, controls),
        scores=scores_grids(tables["summary"]),
        confusion=confusion_grid(tables["confusion"], controls),
        missing=without_curves(tables["confusion"], tables["test_curves"]),
        outputs=outputs_grid(tables["outputs"]),
        groups=output_groups_grid(tables["output_groups"]),
        undefined=undefined_outputs(tables["output_groups"]),
        costs=costs_grid(tables["summary"]),
        cropped=crop_note(tables["summary"]),
        probing=probing_grid(pairs),
        probed=probing_sentence(pairs),
        tuning_legend=_legend(series, tables["finetuning_curves"]),
        metric=shared_name(tables["summary"]["metric"]),
        layer_metric=shared_name(tables["layers"]["metric"]),
        metrics=describe(tables["summary"]["metric"]),
        probes={probe.words: probe.explained for probe in PROBES},
        adapters={adapter.words: adapter.explained for adapter in ADAPTERS},
        published=published_grid(tables["summary"], tables["tasks"]),
        untrained=comparison_grid(tables["comparisons"], UNTRAINED.against),
        against_kmers=comparison_grid(tables["comparisons"], KMERS.against),
        embeddings="; or of ".join(filter(None, tables["layers"]["embeddings"].unique())),
        layers=layers_grid(tables["layers"]),
        layer_legend=_legend(series, tables["layers"].dropna(subset="layer")),
        curves=curve_grid(models),
        context=context_grid(models),
        among_methods=comparison_grid(shown, ANOTHER),
        pairs_left_out=len(tables["comparisons"]) - len(shown),
        against_strongest=comparison_grid(tables["comparisons"], STRONGEST),
        correction=CORRECTIONS[config.correction],
        leak=LEAKS[config.leak],
        identity=identity_grid(tables["audits"]),
        unseen=search_notes(tables["audits"]),
        clean=clean_grid(tables["summary"]),
        confounding=confounding_grid(tables["audits"]),
        exposure=exposure_grid(tables["exposure"]),
        overlaps=overlaps_grid(tables["tasks"]),
        few=MIN_ROWS,
        lift=lift_grid(tables["lift"]),
        cards=cards,
        listed=MAX_LISTED_GENOMES,
        facts=facts_grids(tables),
        licences=licence_notes(models),
        tokens=token_sizes(tables["corpora"]),
        stages=stages_grid(stages),
        times=stages_sentence(stages),
        made=made,
        made_facts=make_grid(["what", "value"], [list(fact) for fact in made.facts], first=2),
    )


def write_text(text: str, path: str | Path) -> None:
    """Write a text under its final name when it is complete."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    log.info("%s: %s letters", path, f"{len(text):,}")


def _figures(
    tables: Mapping[str, pd.DataFrame], series: list[Series], note: str, config: ReportConfig
) -> dict[str, list[dict[str, Any]]]:
    """Return the specifications per section; a section without data has none."""
    summary, comparisons = tables["summary"], tables["comparisons"]
    level = f"{config.bootstrap['level']:.0%}".replace("%", " %")
    drawn: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("scores", "untrained", "kmers", "layers", "curves")
    }
    for _, own in summary.groupby("metric", sort=False):
        drawn["scores"].append(figures.scores_figure(own, series, note))
    for name, against, title in (
        ("untrained", UNTRAINED.against, "Trained − untrained"),
        ("kmers", KMERS.against, "Trained model − k-mer counts"),
    ):
        pairs = comparisons[comparisons["against"] == against]
        for _, own in pairs.groupby("metric", sort=False):
            drawn[name].append(figures.differences_figure(own, series, title, level, note))
    drawn["layers"] = _layer_figures(tables["layers"], series, note)
    for model in tables["curves"]["model"].unique():
        drawn["curves"].append(figures.curves_figure(tables["curves"], model, note))
    return _named(drawn)


def _named(drawn: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [{"id": f"{name}-{i}", "specification": chart} for i, chart in enumerate(charts)]
        for name, charts in drawn.items()
    }


def _tuning_figures(
    tables: Mapping[str, pd.DataFrame], pairs: pd.DataFrame, series: list[Series], note: str
) -> dict[str, list[dict[str, Any]]]:
    """Return the specifications on fine-tuning; of a single evaluation there is no curve."""
    names = {one.label for one in series}
    curves = tables["finetuning_curves"]
    curves = curves[curves["series"].isin(names)]
    shown = pairs[pairs["series"].isin(names)]
    return _named(
        {
            "probing": [
                finetuning.probing_figure(own, series, note)
                for _, own in shown.groupby("metric", sort=False)
            ],
            "tuning": [
                finetuning.tuning_figure(own, series, task, note)
                for task, own in curves.groupby("task", sort=True)
                if own["step"].nunique() > 1
            ],
        }
    )


def _rule_figures(rules: RuleGraph, stages: pd.DataFrame, note: str) -> list[dict[str, Any]]:
    """Return the picture of the rules, none where there are no records of any job."""
    seconds = dict(zip(stages["stage"], stages["seconds"], strict=True))
    return [rule_graph_figure(rules, seconds, note)] if len(rules.jobs) > 1 else []


def _legend(series: list[Series], drawn: pd.DataFrame) -> list[Series]:
    """Return the series of a group of panels, whose legend stands once above all of them."""
    return [one for one in series if one.label in set(drawn["series"])]


def _layer_figures(layers: pd.DataFrame, series: list[Series], note: str) -> list[dict[str, Any]]:
    charts = []
    shown = layers[layers["layer"].notna() | (layers["model"] == KMERS.name)]
    scores = shown.groupby("metric")["validation_score"]
    lows, highs = scores.min(), scores.max()
    # One panel for each metric: probes of two kinds may choose by different ones.
    for (task, metric), own in layers.groupby(["task", "metric"], sort=True):
        by_layer = own[own["layer"].notna()]
        if by_layer.empty:
            continue
        kmers = own.loc[own["model"] == KMERS.name, "validation_score"].max()
        line = None if pd.isna(kmers) else float(kmers)
        limits = (min(0.0, float(lows[metric])), float(highs[metric]) * 1.08)
        charts.append(figures.layers_figure(by_layer, line, series, limits, task, note))
    return charts
