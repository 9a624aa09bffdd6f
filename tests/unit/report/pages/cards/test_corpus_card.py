import math

import pytest

from dnalm.report.pages.cards.corpus_card import MAX_LISTED_GENOMES, card_figures, corpus_cards
from dnalm.report.pages.grids import large, length
from dnalm.report.tables.files import read_tables, write_tables

SAMPLES = [
    ("one", "GBR", "EUR", (10, 2, 3, 0)),
    ("two", "YRI", "AFR", (20, 4, 5, 1)),
]


def cards(run, folder):
    tables = run.tables()
    paths = {name: str(folder / f"{name}.tsv") for name in tables}
    write_tables(tables, paths)
    return corpus_cards(read_tables(paths))


def only(run, folder):
    (card,) = cards(run, folder)
    return card


def row(grid, name):
    (found,) = [row for row in grid.rows if row[0] == name]
    return dict(zip(grid.headings, found, strict=True))


def add_genomes(run, number, groups):
    """Plant so many genomes of 100, 200, ... bases and put them into the corpus."""
    for i in range(number):
        genome = run.genomes[0] | {"name": f"genome{i}", "bases": 100 * (i + 1)}
        run.genomes.append(genome | {"n": 10, "soft_masked": 0, "simulated": False})
        run.corpora[0]["genomes"].append(genome | {"contigs": []})
        run.groups[f"genome{i}"] = groups[i % len(groups)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(862, "862 bases"), (178_393, "178 kb"), (12_071_326, "12.1 Mb"), (3_099_750_718, "3.1 Gb")],
)
def test_lengths_have_three_figures_and_a_unit(value, text):
    assert length(value) == text


def test_a_number_just_below_a_unit_is_written_in_it():
    assert (large(999_999), large(999_499)) == ("1 M", "999 k")


def test_the_head_of_a_card_holds_the_planted_numbers(run, tmp_path):
    card = only(run, tmp_path)
    assert dict(card.numbers) == {
        "genome": "1",
        "bases": "1 Mb",
        "training windows": "9",
        "tokens per epoch": "1.5 k",
        "GC, training contigs": "50.0%",
        "unknown (N)": "1.00%",
        "soft-masked": "25.0%",
    }
    assert "Read as 6-mers, in the v2 vocabulary of 4,107 tokens" in card.rule
    assert "Windows of 900 bases begin every 800 bases" in card.rule
    assert "start drawn anew from 0 to 50; each gives 128 tokens" in card.rule


def test_equal_counts_have_the_highest_entropy_in_both_units(run, tmp_path):
    values = dict(only(run, tmp_path).spectrum)
    assert values["entropy, of at most ln 4,096"] == "8.318 of 8.318 nats"
    assert values["entropy, of at most log₂ 4,096"] == "12.000 of 12.000 bits"
    assert values["different 6-mers"] == "4,096 of 4,096"


def test_the_spectrum_is_that_of_the_planted_counts(run, tmp_path):
    run.corpora[0]["k"] = 2
    run.add_counts(2, [8, *[0] * 10, 8, *[0] * 4])  # AA and CG, in the order A, T, C, G
    card = only(run, tmp_path)
    values = dict(card.spectrum)
    assert values["entropy, of at most log₂ 16"] == "1.000 of 4.000 bits"
    assert values["2-mers with CG"] == "50.0%"
    # One pair in two is CG; C and G are a quarter of the letters each, so 1 in 16 is expected.
    assert values["CG observed / expected"] == "8.00"
    assert card.entropy == f"{math.log(2):.3f}"
    assert row(card.frequent, "CG") == {
        "k-mer": "CG",
        "occurrences": "8",
        "share": "50.00%",
        "of the mean": "8.0 ×",
    }


def test_a_corpus_without_a_kmer_has_a_card_without_a_spectrum(run, tmp_path):
    run.add_counts(6, [0] * 4096)
    card = only(run, tmp_path)
    assert not card.figures["spectrum"]
    assert dict(card.numbers)["GC, training contigs"] == "–"


def test_groups_are_drawn_and_few_genomes_listed(run, tmp_path):
    run.groups["toygenome"] = "Fungi"
    add_genomes(run, 4, ["Fungi", "Bacteria"])  # 100 + 300 and 200 + 400 bases
    card = only(run, tmp_path)
    bacteria = row(card.groups, "Bacteria")
    assert (bacteria["genomes"], bacteria["bases"]) == ("2", "600 bases")
    assert (bacteria["share of bases"], bacteria["unknown (N)"]) == ("0.1%", "3.33%")
    assert row(card.groups, "Fungi")["genomes"] == "3"
    assert len(card.genomes.rows) == 5
    (figure,) = card.figures["groups"]
    (data,) = figure["specification"]["datasets"].values()
    assert {bar["group"]: bar["bases"] for bar in data} == {"Fungi": 1_000_400, "Bacteria": 600}


def test_many_genomes_are_listed_by_group_only(run, tmp_path):
    add_genomes(run, MAX_LISTED_GENOMES, ["Fungi"])
    card = only(run, tmp_path)
    assert card.genomes is None
    assert card.genome_count == str(MAX_LISTED_GENOMES + 1)
    assert [line[0] for line in card.groups.rows] == ["Fungi", "no group given"]


def test_genomes_without_groups_are_listed_without_them(run, tmp_path):
    card = only(run, tmp_path)
    assert card.groups is None
    assert "group" not in card.genomes.headings
    assert not card.figures["groups"]


def test_parts_show_windows_and_what_is_evaluated(run, tmp_path):
    run.corpora[0]["splits"]["test"]["evaluated"] = 5
    run.corpora[0]["genomes"][0]["shorter_than_window"] = {"contigs": 1, "bases": 2_350}
    card = only(run, tmp_path)
    test = row(card.splits, "test")
    assert (test["windows"], test["windows evaluated"]) == ("9", "5")
    assert test["contigs held out"] == "chr3"
    assert row(card.splits, "training")["windows evaluated"] == "–"
    assert "and 1 contig shorter than one (2.35 kb)" in card.left_out


def test_a_card_is_called_simulated_by_its_own_genomes(run, tmp_path):
    assert only(run, tmp_path).note == "Simulated data, not a real genome"
    add_genomes(run, 1, [""])
    assert only(run, tmp_path).note == "Partly simulated data"
    run.genomes[0]["simulated"] = run.corpora[0]["simulated"] = False
    card = only(run, tmp_path)
    assert card.note == ""
    assert card.rule.startswith("Real, not simulated.")
    titles = [figure["specification"]["title"] for figure in card_figures([card])]
    assert titles
    assert not any("subtitle" in title for title in titles)


def test_a_corpus_of_haplotypes_shows_its_panel(run, tmp_path):
    run.add_panel("people", SAMPLES, ignored={"breakend": 4, "overlap": 60, "mismatch": 0})
    panel = only(run, tmp_path).panel
    assert (panel.name, panel.genome) == ("people", "toygenome")
    assert "at random" in panel.draw
    numbers = dict(panel.numbers)
    assert (numbers["samples"], numbers["haplotypes"]) == ("2", "4")
    assert (numbers["variants kept"], numbers["alternative alleles carried"]) == ("800", "2 k")
    assert numbers["bytes per allele carried"] == "1.50"
    assert panel.ignored.rows == [["overlap", "60"], ["breakend", "4"]]
    europe = row(panel.populations, "GBR")
    assert europe["samples"] == "1"
    assert (europe["SNVs"], europe["variants per haplotype"]) == ("10.5", "15.5")
    assert len(panel.figures) == 3


def test_a_corpus_of_the_reference_shows_no_panel(run, tmp_path):
    assert only(run, tmp_path).panel is None


def test_the_figures_of_two_cards_have_names_of_their_own(run, tmp_path):
    run.corpora.append(run.corpora[0] | {"name": "other"})
    run.add_counts(6, corpus="other")
    two = cards(run, tmp_path)
    assert [card.name for card in two] == ["toy", "other"]
    names = [figure["id"] for figure in card_figures(two)]
    assert len(names) == len(set(names)) == 2
    assert two[0].id != two[1].id
