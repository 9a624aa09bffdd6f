import numpy as np
import pytest

from dnalm.errors import InputError
from dnalm.report.tables.corpora import corpora_table, genomes_table, groups_table, kmers_table
from dnalm.report.tables.records import Identities

GROUPS = {"coli": "Bacteria", "subtilis": "Bacteria", "yeast": "Fungi"}


def genome(name, bases, n=0, soft_masked=0):
    facts = {"name": name, "bases": bases, "n": n, "soft_masked": soft_masked, "contigs": 1}
    facts |= {"accession": None, "source": "x.fa", "iupac": 0, "sha256": "a" * 64}
    return facts | {"simulated": False}


GENOMES = {
    "coli": genome("coli", 4_000, n=40),
    "subtilis": genome("subtilis", 3_000, soft_masked=300),
    "yeast": genome("yeast", 12_000, n=10, soft_masked=1_200),
    "unknown": genome("unknown", 20_000),
}


def corpus(name, genomes, **others):
    entries = [
        {
            "name": genome,
            "contigs": [
                {"contig": contig, "split": split, "dropped_tail": tail}
                for contig, split, tail in (("1", "train", 5), ("2", "test", 7), ("3", "test", 2))
            ],
            "shorter_than_window": {"contigs": 2, "bases": 60},
        }
        for genome in genomes
    ]
    counts = {"contigs": 1, "windows": 10, "bases": 1_000, "tokens": 640}
    splits = {"train": counts, "validation": counts, "test": counts | {"evaluated": 8}}
    rule = {"length": 100, "stride": 90, "start_max": 10}
    facts = {"name": name, "k": 2, "vocabulary": "v2", "tokens": 64, "windows": rule}
    return facts | {"simulated": False, "genomes": entries, "splits": splits} | others


def identities(**names):
    empty = dict.fromkeys(("baselines", "genomes", "corpora", "panels"), ())
    empty |= {key: {} for key in ("models", "tasks", "methods", "species", "groups")}
    return Identities(**empty | names)


def named(*manifests):
    return {manifest["name"]: manifest for manifest in manifests}


def test_groups_sum_the_genomes_of_each_corpus_and_the_largest_comes_first():
    both = named(corpus("all", [*GROUPS, "unknown"]), corpus("bacteria", ["coli", "subtilis"]))
    table = groups_table(both, GENOMES, identities(groups=GROUPS))
    assert table.to_numpy().tolist() == [
        ["all", "Fungi", 1, 12_000, 10, 1_200],
        ["all", "Bacteria", 2, 7_000, 40, 300],
        ["all", "", 1, 20_000, 0, 0],
        ["bacteria", "Bacteria", 2, 7_000, 40, 300],
    ]


def test_a_genome_names_its_group_and_every_corpus_that_holds_it():
    both = named(corpus("all", [*GROUPS]), corpus("bacteria", ["coli", "subtilis"]))
    names = identities(groups=GROUPS, species={"yeast": "Saccharomyces cerevisiae"})
    table = genomes_table(GENOMES, both, names).set_index("genome")
    assert table["corpora"].to_dict() == {
        "coli": "all, bacteria",
        "subtilis": "all, bacteria",
        "yeast": "all",
        "unknown": "",
    }
    assert table.loc["yeast", ["species", "group"]].tolist() == [
        "Saccharomyces cerevisiae",
        "Fungi",
    ]


def test_a_corpus_says_how_windows_are_laid_and_what_is_in_none():
    table = corpora_table(named(corpus("all", ["coli", "yeast"]))).set_index("split")
    assert table["tail_bases"].to_dict() == {"train": 10, "validation": 0, "test": 18}
    assert table.loc["test", "evaluated"] == 8
    assert table["evaluated"].isna().tolist() == [True, True, False]
    facts = table.iloc[0]
    assert (facts["window_length"], facts["window_stride"], facts["start_max"]) == (100, 90, 10)
    assert (facts["genome_count"], facts["short_contigs"], facts["short_bases"]) == (2, 4, 120)
    assert table.loc["test", "held_out"] == "coli:2, coli:3, yeast:2, yeast:3"


@pytest.mark.parametrize("others", [{}, {"haplotypes": None}])
def test_most_corpora_have_no_panel(others):
    assert set(corpora_table(named(corpus("all", ["coli"], **others)))["panel"]) == {""}


def test_a_corpus_of_haplotypes_names_its_panel_and_how_they_are_drawn():
    haplotypes = {"panel": "people", "draw": "random", "seed": 1}
    table = corpora_table(named(corpus("all", ["coli"], haplotypes=haplotypes)))
    assert set(table["panel"]) == {"people"}
    assert set(table["draw"]) == {"random"}


def test_kmers_carry_the_letters_of_their_place_in_the_order_a_t_c_g(tmp_path):
    path = tmp_path / "kmer_counts.npy"
    np.save(path, np.arange(16))
    table = kmers_table(named(corpus("all", ["coli"])), {"all": str(path)})
    counts = dict(zip(table["kmer"], table["count"], strict=True))
    planted = {"AA": 0, "AT": 1, "TA": 4, "CG": 4 * 2 + 3, "GG": 15}
    assert {word: counts[word] for word in planted} == planted
    assert len(counts) == 16


def test_counts_of_another_k_are_refused(tmp_path):
    path = tmp_path / "kmer_counts.npy"
    np.save(path, np.arange(64))
    with pytest.raises(InputError, match="64 counts for 16 k-mers"):
        kmers_table(named(corpus("all", ["coli"])), {"all": str(path)})


def test_without_corpora_the_tables_hold_their_headings_only():
    groups = groups_table({}, GENOMES, identities())
    assert groups.columns.tolist()[:3] == ["corpus", "group", "genome_count"]
    assert len(groups) == 0
    assert kmers_table({}, {}).columns.tolist() == ["corpus", "kmer", "count"]
