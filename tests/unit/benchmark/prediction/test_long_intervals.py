"""Intervals as long as a chromosome: refused unread, cropped and tiled piece by piece."""

import re
import tracemalloc

import numpy as np
import pytest

from dnalm import predict, predict_file, read_genome
from dnalm.benchmark.prediction.pieces import Rules, cut_pieces
from dnalm.benchmark.prediction.scan import read_pieces, scan
from dnalm.benchmark.prediction.sources import GenomeIntervals, Row
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.model.embedders.tunable import ForeignLimits, ForeignTokens
from dnalm.model.token_batches import Limits

LIMITS = Limits(vocabulary=Vocabulary(2, "v2"), max_tokens=1000)
LENGTH = 4_000_000
MUCH = LENGTH // 4  # bytes: a fourth of one letter for each base


def rules(too_long: str, **changes) -> Rules:
    usual = {"min_bases": 2, "max_bases": None, "tile_overlap": 0} | changes
    return Rules(other_letters="refuse", too_short="refuse", too_long=too_long, **usual)


@pytest.fixture
def chromosome(store, sequence, tmp_path):
    """Return intervals of a whole chromosome of some Mb, on either strand, and its letters."""
    text = sequence(1, LENGTH // 40, 0.01) * 40
    folder = store("g", {"c": text})
    bed = tmp_path / "whole.bed"
    bed.write_text(f"c\t0\t{LENGTH}\tx\t0\t+\nc\t0\t{LENGTH}\tx\t0\t-\n")
    return GenomeIntervals(path=bed, genome=read_genome(folder), window=None), text


def test_what_is_too_long_is_refused_or_left_out_before_a_base_is_read(chromosome):
    source, _ = chromosome
    source.genome.bases_path.unlink()
    sentence = r"c:0-4000000\(\+\).*has 4,000,000 bases, more than the 1,998 bases that are read"
    with pytest.raises(InputError, match=sentence):
        scan(source, rules("refuse"), LIMITS)
    found = scan(source, rules("drop"), LIMITS)
    assert (found.rows, found.left_out) == (2, 2)
    with pytest.raises(InputError, match="more than the 300 bases"):
        scan(source, rules("refuse", max_bases=300), LIMITS)


def test_a_place_outside_of_the_genome_is_told_first(chromosome):
    source, _ = chromosome
    source.path.write_text(f"c\t0\t{LENGTH + 1}\n")
    with pytest.raises(InputError, match=r"whole\.bed:1: c:0-4000001 cannot be read"):
        scan(source, rules("refuse"), LIMITS)


@pytest.mark.parametrize("too_long", ["centre", "tiles"])
def test_memory_holds_what_is_read_and_not_the_chromosome(chromosome, too_long):
    source, _ = chromosome
    wanted = 2 * (LENGTH if too_long == "tiles" else 1000)
    tracemalloc.start()
    try:
        scan(source, rules(too_long), LIMITS)
        letters = sum(
            len(text)
            for pieces in read_pieces(source, rules(too_long), LIMITS)
            for text in pieces.texts
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert letters >= wanted
    assert peak < MUCH, peak


@pytest.mark.parametrize("too_long", ["centre", "tiles"])
def test_pieces_are_those_of_the_same_letters_in_a_file(chromosome, too_long):
    source, text = chromosome
    other = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    asked = rules(too_long, tile_overlap=30)
    for pieces, letters in zip(read_pieces(source, asked, LIMITS), (text, other), strict=True):
        row = Row(id="x", sequence=letters, place="here", columns={})
        wanted = cut_pieces(row, asked, LIMITS)
        assert (pieces.bases, pieces.note) == (wanted.bases, wanted.note)
        assert list(pieces.starts) == list(wanted.starts)
        assert list(pieces.texts) == list(wanted.texts)


def test_a_tiled_interval_has_the_mean_over_its_tiles(trained, store, sequence, tmp_path):
    text = sequence(2, 5000, 0.02)
    genome = read_genome(store("g", {"c": text}))
    bed, output = tmp_path / "x.bed", tmp_path / "out.tsv"
    bed.write_text("c\t100\t4900\tx\t0\t-\n")
    predict_file(
        trained.classifier, bed, output, genome=genome, too_long="tiles", max_bases=60
    )  # fmt: skip
    fields = dict(zip(*(line.split("\t") for line in output.read_text().splitlines()), strict=True))
    turned = text[100:4900][::-1].translate(str.maketrans("ACGT", "TGCA"))
    tiles = [turned[start : start + 60] for start in range(0, 4800, 60)]
    wanted = predict(trained.classifier, tiles).mean(axis=0)
    np.testing.assert_allclose(float(fields["probability.1"]), wanted[1], rtol=1e-4)
    assert fields["bases"] == "4800"


class FusedGaps:
    """An embedder that reads bases, and of a run of N one token."""

    max_bases, max_tokens, longest_token = None, 10, 1

    def count_tokens(self, sequences):
        return [len(re.sub("N+", "N", sequence)) for sequence in sequences]


def test_a_text_whose_tokens_are_few_fits_whatever_its_tokens_usually_hold():
    limits = ForeignLimits.of(ForeignTokens(embedder=FusedGaps(), name="fused"))
    text = "ACGT" + "N" * 100
    row = Row(id="x", sequence=text, place="here", columns={})
    assert cut_pieces(row, rules("refuse"), limits).texts == (text,)
    with pytest.raises(InputError, match=r"which make 5 tokens .* more than the 50 bases"):
        cut_pieces(row, rules("refuse", max_bases=50), limits)
    pieces = cut_pieces(row, rules("centre", max_bases=50), limits)
    assert [len(own) for own in pieces.texts] == [10]
