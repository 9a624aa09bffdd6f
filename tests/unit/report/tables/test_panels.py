import pandas as pd
import pytest

from dnalm.errors import InputError
from dnalm.report.tables.files import read_tables, write_tables
from dnalm.report.tables.panels import (
    finest_part,
    haplotypes_table,
    panels_table,
    populations_of,
    spread_of,
)

# Kinds: SNVs, insertions, deletions, others; the second haplotype has one SNV more.
SAMPLES = [
    ("one", "GBR", "EUR", (10, 2, 3, 0)),
    ("two", "GBR", "EUR", (20, 4, 5, 1)),
    ("three", "NA", "EUR", (40, 0, 0, 0)),
    ("four", "YRI", "AFR", (100, 20, 30, 5)),
]


def tables(run):
    panels = {facts["panel"]: facts for facts in run.panels}
    return panels_table(panels), haplotypes_table(run.panel_samples)


def test_a_panel_is_a_row_with_a_column_for_each_reason(run):
    run.add_panel("people", SAMPLES, ignored={"breakend": 4, "other": 6})
    run.add_panel("more", SAMPLES[:1], ignored={"other": 9})
    panels, haplotypes = tables(run)
    assert panels["ignored: breakend"].tolist() == [4, 0]
    assert panels["ignored: other"].tolist() == [6, 9]
    first = panels.iloc[0]
    assert (first["samples"], first["haplotypes"], first["contigs"]) == (4, 8, 1)
    assert (first["records"], first["alleles"], first["store_bytes"]) == (900, 2000, 3000)
    assert haplotypes["panel"].value_counts().to_dict() == {"people": 8, "more": 2}


def test_haploid_calls_of_an_older_panel_are_not_known(run):
    run.add_panel("people", SAMPLES)
    run.add_panel("older", SAMPLES)
    del run.panels[1]["haploid_calls"], run.panels[1]["missing_alleles"]
    panels, _ = tables(run)
    assert panels.to_csv(columns=["haploid_calls"], index=False) == 'haploid_calls\n12\n""\n'
    assert panels.to_csv(columns=["missing_alleles"], index=False) == 'missing_alleles\n34\n""\n'


def test_populations_hold_means_over_the_haplotypes_of_their_samples(run):
    run.add_panel("people", SAMPLES)
    populations = populations_of(tables(run)[1]).set_index("population")
    assert populations["samples"].to_dict() == {"YRI": 1, "GBR": 2, "NA": 1}
    # SNVs of GBR: 10, 11, 20, 21; with 2 + 3 and 4 + 5 + 1 others on both haplotypes.
    assert populations.loc["GBR", "snvs"] == pytest.approx(15.5)
    assert populations.loc["GBR", "variants"] == pytest.approx(15.5 + (5 + 10) / 2)
    assert populations.loc["YRI", "others"] == 5


def test_a_population_called_na_survives_writing_and_reading(run, tmp_path):
    run.add_panel("people", SAMPLES)
    paths = {"haplotypes": str(tmp_path / "haplotypes.tsv")}
    write_tables({"haplotypes": tables(run)[1]}, paths)
    read = read_tables(paths)["haplotypes"]
    pd.testing.assert_frame_equal(read, tables(run)[1].reset_index(drop=True), check_dtype=False)
    assert (read["population"] == "NA").sum() == 2


def test_the_spread_of_a_superpopulation_is_that_of_its_haplotypes(run):
    run.add_panel("people", SAMPLES)
    haplotypes = tables(run)[1]
    assert finest_part(haplotypes) == "superpopulation"
    spread = spread_of(haplotypes, "superpopulation").set_index(["part", "kind"])
    # SNVs of EUR: 10, 11, 20, 21, 40, 41.
    europe = spread.loc[("EUR", "SNVs")]
    assert europe[["haplotypes", "least", "median", "most"]].tolist() == [6, 10, 20.5, 41]
    assert (europe["low"], europe["high"]) == (13.25, 35.25)
    assert set(spread.index.get_level_values("kind")) == {"SNVs", "insertions", "deletions"}


def test_samples_without_population_are_one_part(run):
    run.add_panel("people", [(name, "", "", kinds) for name, _, _, kinds in SAMPLES])
    haplotypes = tables(run)[1]
    spread = spread_of(haplotypes, finest_part(haplotypes))
    assert set(spread["part"]) == {"all haplotypes"}
    assert populations_of(haplotypes)["samples"].tolist() == [4]


def test_a_sample_without_population_beside_others_is_called_not_given(run):
    run.add_panel("people", [*SAMPLES, ("five", "", "", (7, 1, 1, 0))])
    haplotypes = tables(run)[1]
    spread = spread_of(haplotypes, finest_part(haplotypes))
    assert set(spread["part"]) == {"EUR", "AFR", "not given"}


def test_a_file_without_a_column_is_refused(run, tmp_path):
    run.add_panel("people", SAMPLES)
    path = tmp_path / "short.tsv"
    pd.read_csv(run.panel_samples["people"], sep="\t").drop(columns="deletions").to_csv(
        path, sep="\t"
    )
    with pytest.raises(InputError, match="the column deletions is missing"):
        haplotypes_table({"people": str(path)})


def test_without_panels_the_tables_hold_their_headings_only():
    assert len(panels_table({})) == 0
    assert panels_table({}).columns.tolist()[:2] == ["panel", "genome"]
    assert haplotypes_table({}).columns.tolist()[:2] == ["panel", "sample"]
