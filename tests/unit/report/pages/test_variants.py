"""The page on variants holds what was planted in evaluations: scores, signs, skips, values."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dnalm.benchmark.parquet import write_parquet
from dnalm.report.figures.variants import curves_figure
from dnalm.report.pages.variants.page import make_page
from dnalm.report.tables.catalogue import OF_VARIANTS, list_columns
from dnalm.report.tables.variants import make_tables, read_published

PUBLISHED = Path(__file__).parents[4] / "resources" / "published_scores.tsv"


def metric(model, score, sign, low, value, high, subset="all"):
    return {
        "model": model, "score": score, "sign": sign, "subset": subset, "variants": 392,
        "positives": 22, "missing": 3, "auroc": value, "auroc_low": low, "auroc_high": high,
        "auprc": 0.2, "auprc_low": 0.1, "auprc_high": 0.3, "chromosomes": 2,
        "chromosome_auprc": 0.21, "chromosome_se": 0.04,
    }  # fmt: skip


@pytest.fixture
def tables(tmp_path):
    curve = [{"model": "m", "score": "cosine", "curve": c, "x": x, "y": x}
             for c in ("roc", "pr") for x in (0.0, 0.5, 1.0)]  # fmt: skip
    evaluation = {
        "set": "clinvar",
        "published_as": "ClinVar",
        "counts": {"positive_indels": 12, "negative_indels": 13}
        | {"positives": 22, "negatives": 370, "without_label": 423, "repeated": 1}
        | {"contradictory": 2, "unlabelled": {"Uncertain_significance": 404}},
        "metrics": [
            metric("m", "cosine", -1, 0.61, 0.712, 0.8),
            metric("m", "llr", -1, 0.2, 0.3, 0.4),
            metric("external", "cadd", 1, None, None, None),
            metric("m", "cosine", -1, 0.6, 0.7, 0.8, "missense_variant"),
        ],
        "differences": [],
        "severity": [{"model": "m", "score": "cosine", "variants": 800, "classes": 5}
                     | {"spearman": -0.31, "low": -0.4, "high": -0.2}],
        "curves": curve,
        "skipped": [{"model": "m", "reason": "n_in_window", "variants": 7}
                    | {"positives": 1, "negatives": 6}],
    }  # fmt: skip
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(evaluation))
    placed = pd.DataFrame(
        {
            "consequence": ["intron_variant"] * 4 + ["missense_variant"],
            "cosine_percentile": [10.0, 20.0, 60.0, 98.0, None],
            "reference_variants": [1234] * 4 + [0],
        }
    )
    write_parquet(placed, tmp_path / "p.parquet", {"set": "clinvar", "model": "m"})
    percentiles = [str(tmp_path / "p.parquet")]
    return make_tables([str(path)], percentiles, read_published(PUBLISHED))


def test_the_tables_are_those_of_the_catalogue(tables):
    assert {name: list(table.columns) for name, table in tables.items()} == {
        table.name: list_columns(table.name) for table in OF_VARIANTS
    }
    sets = tables["variant_sets"].iloc[0]
    assert (sets["variants"], sets["contradictory"]) == (815, 2)
    values = tables["variant_published"]
    assert values["value"].tolist() == [0.80, -0.30, -0.35, 6.55e-186]


def test_the_page_tells_scores_signs_skips_and_published_values(tables):
    page = make_page(tables, "Title", 0.95)
    for text in ("0.712", "0.610 … 0.800", "clinvar, m: 1 of 2 scores", "llr the wrong way round"):
        assert text in page
    for text in (
        "n_in_window",
        "The window holds more N",
        "−0.310",
        "missense_variant",
        "0.8</td>",
    ):
        assert text in page
    assert "6.55e−186" in page
    assert "clinvar: 12 positives and 13 negatives are indels." in page


def test_percentiles_are_summed_up_by_class_where_there_are_any(tables):
    (row,) = tables["variant_percentiles"].to_dict("records")
    assert (row["score"], row["consequence"], row["variants"]) == ("cosine", "intron_variant", 4)
    assert (row["median"], row["above_95"], row["reference_variants"]) == (40, 0.25, 1234)
    page = make_page(tables, "Title", 0.95)
    assert "25.0%</td>" in page
    assert "clinvar-percentiles-0" in page


def test_a_page_without_labels_says_so(tables):
    empty = {
        name: table if name in ("variant_sets", "variant_severity") else table.iloc[:0]
        for name, table in tables.items()
    }
    page = make_page(empty, "Title", 0.95)
    assert "No variant of the set has a label." in page
    assert "No set of variants has labels of both classes." in page
    assert pd.isna(empty["variant_sets"]["matched_negatives"].iloc[0])


def test_no_two_of_many_scores_are_drawn_alike():
    points = pd.DataFrame({"score": [f"s{at}" for at in range(20)], "x": 0.5, "y": 0.5})
    drawn = curves_figure(points, "T", ("x", "y"), [(0, 0), (1, 1)])["layer"][1]["encoding"]
    colours, dashes = (drawn[of]["scale"]["range"] for of in ("color", "strokeDash"))
    assert len(set(zip(colours, map(tuple, dashes), strict=True))) == 20


def test_axe_finds_nothing_on_the_page(tables, inspect):
    assert inspect(make_page(tables, "Title", 0.95)) == []
