"""Contigs and genomes go where the configuration sends them."""

import pytest

from dnalm.corpus.splits import assign_splits
from dnalm.errors import InputError

CONTIGS = {"human": ["chr1", "chr2", "HLA:01"], "yeast": ["I", "chr2"], "fly": ["X"], "worm": ["V"]}


def splits(by, validation, test):
    assigned = assign_splits("c", {"by": by, "validation": validation, "test": test}, CONTIGS)
    assert set(assigned) == {(g, c) for g, names in CONTIGS.items() for c in names}
    return {
        name: sorted(":".join(key) for key, split in assigned.items() if split == name)
        for name in ("train", "validation", "test")
    }


def test_a_contigs_name_means_it_in_every_genome_and_a_full_name_in_one():
    assert splits("contig", ["chr2"], ["yeast:I", "HLA:01"]) == {
        "train": ["fly:X", "human:chr1", "worm:V"],
        "validation": ["human:chr2", "yeast:chr2"],
        "test": ["human:HLA:01", "yeast:I"],
    }
    assert splits("contig", ["human:chr2"], ["V"])["validation"] == ["human:chr2"]


def test_the_last_genomes_test_and_those_before_them_validate():
    assert splits("genome", 2, 1) == {
        "train": ["human:HLA:01", "human:chr1", "human:chr2"],
        "validation": ["fly:X", "yeast:I", "yeast:chr2"],
        "test": ["worm:V"],
    }


def test_genomes_may_be_named_and_counted_together():
    assert splits("genome", 1, ["worm"])["validation"] == ["fly:X"]
    assert splits("genome", ["human"], 1)["train"] == ["fly:X", "yeast:I", "yeast:chr2"]


@pytest.mark.parametrize(
    ("by", "validation", "test", "sentence"),
    [
        (
            "contig",
            ["chr21"],
            [],
            "corpora.c.split.validation: .* no contig chr21; did you mean 'chr2'",
        ),
        ("contig", [], ["mouse:chr1"], "split.test: .* no contig mouse:chr1"),
        ("genome", ["humann"], [], "no genome humann; did you mean 'human'"),
        ("contig", ["chr2"], ["yeast:chr2"], "yeast:chr2 is in validation and in test"),
        ("genome", ["fly"], ["fly"], "fly:X is in validation and in test"),
        ("genome", 2, 2, r"holds out every genome \(4\) .*nothing is left for training; hold out"),
        ("genome", 1, 9, r"c.split holds out every genome \(4\) .*nothing is left for training"),
        (
            "contig",
            ["chr1", "chr2", "I"],
            ["HLA:01", "X", "V"],
            r"holds out every contig \(7\) for validation and test, so nothing is left",
        ),
        ("genome", 0, 1, "split.validation names no genome, so nothing is held out for validation"),
        ("contig", ["chr1"], [], "split.test names no contig, so nothing is held out for test"),
    ],
)
def test_wrong_entries_are_told(by, validation, test, sentence):
    with pytest.raises(InputError, match=sentence):
        splits(by, validation, test)
