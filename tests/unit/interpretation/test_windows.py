"""Windows in a row and around elements, on a genome with gaps."""

import numpy as np
import pytest

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.genome.kmers import to_sequence
from dnalm.interpretation.windows import list_pieces, read_codes, sample_windows, tile_windows

BASES = 60


@pytest.fixture
def genome(tmp_path):
    random = np.random.default_rng(0)
    one = "".join(random.choice(list("ACGT"), 1000))
    two = "".join(random.choice(list("ACGT"), 500))
    sequences = {"one": one[:300] + "N" * 20 + one[320:], "two:101-600": two}
    path = tmp_path / "g.fa"
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items()))
    files = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
    places = {role: tmp_path / name for role, name in files.items()}
    write_bases(path, name="g", config={}, **places)
    store = GenomeBases.of(tmp_path)
    store.text = {"one": sequences["one"], "two": "-" * 100 + two}
    return store


def test_windows_in_a_row_leave_out_those_with_n_and_the_rest_of_a_contig(genome):
    pieces = list_pieces(genome, None)
    assert pieces == {"one": (0, 1000), "two": (100, 600)}
    table, left_out = tile_windows(genome, pieces, BASES)
    starts = [("one", start) for start in range(0, 1000 - BASES + 1, BASES)]
    expected = [(c, s) for c, s in starts if "N" not in genome.text[c][s : s + BASES]]
    expected += [("two", s) for s in range(100, 600 - BASES + 1, BASES)]
    assert list(zip(table["contig"], table["start"], strict=True)) == expected
    assert left_out == len(starts) - sum(c == "one" for c, _ in expected) == 1
    for row in table.itertuples(index=False):
        assert to_sequence(read_codes(genome, row)) == genome.text[row.contig][row.start : row.end]


def test_sampled_windows_hold_their_element_whole_and_do_not_overlap(genome):
    starts = np.arange(20, 1000, 25, dtype=np.int64)
    elements = {
        "site": {"one": (starts, starts + 7)},
        "long": {"two": (np.array([120]), np.array([420]))},
    }
    table, found = sample_windows(
        genome, list_pieces(genome, None), elements, bases=BASES, each=8, seed=3
    )
    assert found == {"site": 8, "long": 1}
    own = table[table["element"] == "site"].sort_values("start")
    assert (np.diff(own["start"]) >= BASES).all()
    for row in own.itertuples(index=False):
        assert "N" not in genome.text["one"][row.start : row.end]
        assert ((starts >= row.start) & (starts + 7 <= row.end)).any()
    inside = table[table["element"] == "long"].iloc[0]
    assert inside["start"] >= 120
    assert inside["end"] <= 420
    places = {(start - own["start"]).min() for start in starts}
    assert len(places) > 1


def test_windows_of_an_element_do_not_depend_on_the_others(genome):
    starts = np.arange(20, 1000, 50, dtype=np.int64)
    site = {"one": (starts, starts + 7)}
    pieces = list_pieces(genome, None)
    alone, _ = sample_windows(genome, pieces, {"site": site}, bases=BASES, each=5, seed=3)
    both, _ = sample_windows(genome, pieces, {"a": site, "site": site}, bases=BASES, each=5, seed=3)
    own = both[both["element"] == "site"].reset_index(drop=True)
    assert own.equals(alone)
    again, _ = sample_windows(genome, pieces, {"site": site}, bases=BASES, each=5, seed=4)
    assert not again.equals(alone)


def test_what_is_not_there_is_told(genome):
    with pytest.raises(InputError, match="no contig three"):
        list_pieces(genome, ["three"])
    pieces = list_pieces(genome, ["one"])
    with pytest.raises(InputError, match="site never occurs"):
        sample_windows(genome, pieces, {"site": {}}, bases=BASES, each=1, seed=0)
    with pytest.raises(InputError, match="choose shorter windows"):
        tile_windows(genome, pieces, 800)
