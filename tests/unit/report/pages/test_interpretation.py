"""The page on what models have learned, from planted tables."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from dnalm.errors import InputError
from dnalm.interpretation.attention import HEAD_COLUMNS
from dnalm.report.figures.interpretation import heads_figure, map_figure
from dnalm.report.figures.likelihoods import snps_figure
from dnalm.report.pages.interpretation import (
    heads_grid,
    make_interpretation_page,
    maps_grid,
    read_interpretation,
    reconstruction_grid,
)
from dnalm.report.pages.likelihoods import assays_grid, published_snps_grid, snps_grid

NAMES = {"annotation": "genes", "model": "big"}
PUBLISHED = pd.DataFrame(
    [
        {"task": "introns", "model": "NT-2.5B", "metric": "significant heads", "value": 117.0},
        {"task": "windows", "model": "NT-2.5B", "metric": "median accuracy", "value": 0.219},
        {
            "task": "panel",
            "model": "NT 2.5B models",
            "metric": "median perplexity (low end of range)",
            "value": 48.4,
        },
        {"task": "exon11", "model": "NT", "metric": "Pearson r", "value": 0.44},
    ]
)


def heads(significant):
    layer, head = np.indices((2, 3))
    values = {
        "element": "intron",
        "direction": "receiver",
        "threshold": 0.3,
        "layer": layer.ravel() + 1,
        "attention_head": head.ravel(),
        "pairs": [0, 5, 5, 5, 5, 5],
        "share": 0.5,
        "natural_share": 0.25,
        "log2_enrichment": [np.nan, 1, 1, 1, 1, 1],
        "z_shift": [np.nan, 1, 2, 9, 3, 4],
        "significant_z": True,
        "significant_shift": [False] * (6 - significant) + [True] * significant,
    }
    table = pd.DataFrame({**dict.fromkeys(HEAD_COLUMNS, 0), **values}, index=range(6))
    return table.assign(**NAMES)


@pytest.fixture
def paths(tmp_path):
    heads(2).to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    summary = dict.fromkeys(["tokens", "windows"], 40) | {"accuracy": 0.25, "base_accuracy": 0.5}
    summary |= {"base_loss": 1.2345}
    summary |= {"perplexity": 1234.5, "median_accuracy": 0.2, "median_perplexity": 1000.0}
    for name in ("markov", "frequencies"):
        summary |= {
            f"{name}_accuracy": 0.01,
            f"{name}_base_accuracy": 0.3,
            f"{name}_perplexity": 2e3,
            f"{name}_base_loss": None,
        }
    rows = [{**NAMES, "element": "all", "mask": mask, **summary} for mask in ("centre", "random")]
    pd.DataFrame(rows).to_csv(tmp_path / "r.tsv", sep="\t", index=False)
    dots = {"contig": "c", "start": 5, "end": 9, "element": ["exon", "<b>"], "gc": 0.4}
    dots = pd.DataFrame({**NAMES, **dots, "layer": 1, "x": [0.0, 1.0], "y": [1.0, 0.0]})
    dots.to_csv(tmp_path / "m.tsv", sep="\t", index=False)
    facts = {"layer": 1, "neighbour_accuracy": 0.8, "gc_accuracy": 0.5, "chance": 0.5}
    facts |= {"probe_accuracy": 0.83, "silhouette": 0.1, "explained": 0.9}
    snps = {"snps": "people", "model": "big", "group": "all", "snps_scored": 7, "haplotypes": 9}
    snps |= {"carriers_missing": 5, "accuracy": 0.125, "base_accuracy": 0.6, "perplexity": 87.65}
    snps |= {"base_perplexity": 2.34, "median_perplexity": 70.0, "people": 8}
    rows = [
        {**snps, "bin": 0.05, "allele": allele, "people_trained_on": trained}
        for allele, trained in (("ref", 3), ("alt", None))
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "s.tsv", sep="\t", index=False)
    assay = {"assay": "exon", "model": "big"}
    correlation = {"score": "llr", "level": "variant", "effect": "signed", "points": 60}
    for name, value in (("pearson", 0.52), ("spearman", -0.31)):
        correlation |= {name: value, f"{name}_low": value - 0.1, f"{name}_high": value + 0.1}
    row = {**assay, **correlation, "published_as": "exon11"}
    pd.DataFrame([row]).to_csv(tmp_path / "e.tsv", sep="\t", index=False)
    variants = {"contig": "c", "position": [5, 6], "ref": "A", "alt": "C", "effect": [0.1, 0.2]}
    pd.DataFrame({**assay, **variants, "llr": [1.0, 2.0]}).to_parquet(tmp_path / "e.parquet")
    (tmp_path / "m.json").write_text(json.dumps({**NAMES, "layers": [facts]}))
    names = ("a.tsv", "r.tsv", "m.tsv", "m.json", "s.tsv", "e.tsv", "e.parquet")
    return [tmp_path / name for name in names]


def test_every_table_is_recognised_and_the_page_shows_its_numbers(paths):
    tables = read_interpretation(paths)
    assert {name: len(table) for name, table in tables.items()} == {
        "attention": 6,
        "reconstruction": 2,
        "maps": 2,
        "map_facts": 1,
        "snps": 2,
        "assays": 1,
        "assay_variants": 2,
    }
    page = make_interpretation_page(
        tables, PUBLISHED, {"big": "NT-2.5B"}, title="T", note="Simulated"
    )
    shown = ("intron", "1,234.5", "80.00%", "83.00%", "layer 2, head 0", "117", "21.90%", "87.7")
    for words in (*shown, "Simulated"):
        assert words in page
    assert "<b>" not in page.replace("<body>", "")


def test_heads_are_counted_by_both_tests_beside_the_published_number(paths):
    tables = read_interpretation(paths)
    (row,) = heads_grid(tables["attention"], PUBLISHED, {"big": "NT-2.5B"}).rows
    assert row[6:11] == ["6", "1", "6", "2", "117"]
    (row,) = heads_grid(tables["attention"], PUBLISHED, {}).rows
    assert row[10] == "–"


def test_the_published_median_stands_beside_all_tokens_under_random_masks_alone(paths):
    tables = read_interpretation(paths)
    rows = reconstruction_grid(tables["reconstruction"], PUBLISHED, {"big": "NT-2.5B"}).rows
    assert [row[10] for row in rows] == ["–", "21.90%"]
    assert {(row[8], row[13]) for row in rows} == {("1.234", "–")}


def test_masked_snps_are_shown_by_allele_beside_who_was_trained_on(paths):
    tables = read_interpretation(paths)
    ref, alt = snps_grid(tables["snps"]).rows
    assert ref[2:8] == ["5.0%", "all", "REF", "7", "9", "5"]
    assert ref[8:] == ["12.50%", "87.7", "70.0", "60.00%", "2.34", "3 of 8"]
    assert alt[-1] == "not known"
    (row,) = published_snps_grid(PUBLISHED).rows
    assert row == ["NT 2.5B models", "median perplexity (low end of range)", "48.4"]


def test_correlations_with_an_assay_stand_beside_the_published_one(paths):
    (row,) = assays_grid(read_interpretation(paths)["assays"], PUBLISHED).rows
    assert row[5:8] == ["60", "+0.520", "+0.420 … +0.620"]
    assert row[8:] == ["−0.310", "−0.410 … −0.210", "0.440"]


def test_a_page_of_one_analysis_says_what_is_missing(paths):
    page = make_interpretation_page(
        read_interpretation(paths[1:2]), PUBLISHED, {}, title="T", note=""
    )
    assert "No attention was counted." in page
    assert "No map was drawn." in page


def test_another_table_is_refused(tmp_path):
    pd.DataFrame([NAMES]).to_csv(tmp_path / "x.tsv", sep="\t", index=False)
    with pytest.raises(InputError, match="no table of interpretation"):
        read_interpretation([tmp_path / "x.tsv"])


def test_axe_finds_nothing_on_the_page(paths, inspect):
    tables = read_interpretation(paths)
    assert inspect(make_interpretation_page(tables, PUBLISHED, {}, title="T", note="")) == []


def test_a_heads_colour_is_the_one_that_the_page_names(paths):
    """Rendered, a head that looks at the element twice as often as chance is orange."""
    vl_convert = pytest.importorskip("vl_convert")
    chart = heads_figure(heads(0), "genes: intron", "head", "")
    svg = vl_convert.vegalite_to_svg(chart)
    fills = {
        tuple(int(value) for value in rgb)
        for rgb in re.findall(r'fill="rgb\((\d+), (\d+), (\d+)\)"[^>]*>', svg)
    }
    tinted = [rgb for rgb in fills if max(rgb) - min(rgb) > 20 and max(rgb) > 150]
    assert tinted
    assert all(red > green > blue for red, green, blue in tinted)


def test_heads_without_a_pair_keep_their_places():
    few = heads(0)
    few.loc[few["attention_head"] != 1, "log2_enrichment"] = np.nan
    place = heads_figure(few, "genes: intron", "head", "")["layer"][0]["encoding"]
    assert place["x"]["scale"]["domain"] == [0, 1, 2]
    assert place["y"]["scale"]["domain"] == [2, 1]


def test_no_two_elements_of_a_map_look_alike():
    names = [f"e{at}" for at in range(20)]
    dots = pd.DataFrame({"element": names, "contig": "c", **dict.fromkeys("xy", 0.0)})
    dots = dots.assign(gc=0.5, start=0)
    marks = map_figure(dots, names, "T", "")["layer"][0]["encoding"]
    looks = zip(*(marks[of]["scale"]["range"] for of in ("color", "shape")), strict=True)
    assert len(set(looks)) == len(names)


def test_the_lines_of_both_alleles_are_named():
    vl_convert = pytest.importorskip("vl_convert")
    table = {"bin": [0.01, 0.1] * 2, "allele": ["ref", "ref", "alt", "alt"], "perplexity": 4.0}
    table |= {"group": "all", "haplotypes": 5, "accuracy": 0.1}
    svg = vl_convert.vegalite_to_svg(snps_figure(pd.DataFrame(table), "T", ""))
    assert {"all", "REF", "ALT"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))


def test_tables_of_an_older_version_have_a_dash_for_what_they_lack(paths):
    tables = read_interpretation(paths)
    older = tables["reconstruction"].drop(columns=["base_loss", "markov_base_loss"])
    for row in reconstruction_grid(older, PUBLISHED, {}).rows:
        assert row.count("–") >= 2
    (facts,) = maps_grid(tables["map_facts"].drop(columns="probe_accuracy")).rows
    assert facts[5] == "–"
