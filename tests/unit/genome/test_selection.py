"""Selection of the records of a genome by names as YAML gives them."""

import pytest

from dnalm.errors import InputError
from dnalm.genome.selection import select_contigs


def kept(path, keep):
    found = []
    for contig, name in select_contigs(path, "g", keep):
        found.append((name, sum(map(len, contig.blocks))))
    return found


def test_records_whose_names_yaml_reads_as_numbers_are_renamed(tmp_path):
    path = tmp_path / "x.fa"
    path.write_text(">1\nACGT\n>2\nTTTTT\n>X\nAA\n")
    assert kept(path, {1: "chr1", 2: "chr2"}) == [("chr1", 4), ("chr2", 5)]
    assert kept(path, {"1": "chr1", "X": "chrX"}) == [("chr1", 4), ("chrX", 2)]
    with pytest.raises(InputError, match=r"there is no record 3 to keep"):
        kept(path, {1: "chr1", 3: "chr3"})
    with pytest.raises(InputError, match=r"1 and 2 are both to be called c"):
        kept(path, {1: "c", 2: "c"})
