"""Tracks of masked probabilities: equal to those of transformers, read back by pybigtools."""

import gzip

import numpy as np
import pybigtools
import pytest
import torch

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import to_codes
from dnalm.interpretation.likelihoods.tracks import cut_windows, write_tracks

SETTINGS = {"track": "t", "model": "small", "contigs": None, "bases": 30, "frame": 0}
SETTINGS |= {"share": 0.25, "format": "bigwig"}


def kmer_id(word, vocabulary):
    place = 0
    for code in to_codes(word).tolist():
        place = 4 * place + code
    return vocabulary.kmer_offset + place


def ask_transformers(esm, window, masked):
    """Return p of each masked k-mer of a window, and p of its own bases, {token: (p, [p, …])}."""
    vocabulary = esm.vocabulary
    words = [window[at : at + 3] for at in range(0, len(window), 3)]
    ids = torch.tensor([[vocabulary.cls, *(kmer_id(word, vocabulary) for word in words)]])
    given = ids.clone()
    given[0, masked] = vocabulary.mask
    with torch.inference_mode():
        logits = esm.reference(given, attention_mask=torch.ones_like(given)).logits[0]
    found = {}
    for token in masked:
        shares = logits[token].softmax(-1)
        every = {
            word: float(shares[kmer_id(word, vocabulary)])
            for word in (a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT")
        }
        own, total = words[token - 1], sum(every.values())
        bases = [
            sum(p for word, p in every.items() if word[place] == own[place]) / total
            for place in range(3)
        ]
        found[token] = (every[own], bases)
    return found


@pytest.fixture
def files(store, sequence, esm):
    text = sequence(1, 100)
    # A stretch of 47 bases, a gap, a stretch of 44; another contig of which a piece is stored.
    records = {"a": text[:47] + "N" * 9 + text[56:], "b:101-140": sequence(2, 40), "c": "ACNGT"}
    genome = GenomeBases.of(store("g", records))
    return {"bases": str(genome.bases_path), "contigs": str(genome.contigs_path), **esm.files}


def values_of(path, contig):
    return np.array(pybigtools.open(str(path)).values(contig, fillna=None))


@pytest.mark.parametrize("frame", [0, 2])
def test_tracks_hold_the_masked_probabilities_of_transformers_and_nothing_in_gaps(
    files, sequence, esm, tmp_path, frame
):
    write_tracks(files, {**SETTINGS, "frame": frame}, tmp_path / "tracks")
    assert sorted(path.name for path in (tmp_path / "tracks").iterdir()) == ["base.bw", "kmer.bw"]
    text, piece = sequence(1, 100), sequence(2, 40)
    expected = {
        name: {"a": np.full(100, np.nan), "b": np.full(140, np.nan)} for name in ("kmer", "base")
    }
    stretches = [("a", 0, text[:47]), ("a", 56, text[56:]), ("b", 100, piece)]
    for contig, start, letters in stretches:
        number = (len(letters) - frame) // 3
        done = 0
        while done < number:
            last = min(done + 10, number)
            begin = max(0, last - 10)
            window = letters[frame + 3 * begin : frame + 3 * last]
            tokens = range(1, last - begin + 1)
            for turn in range(4):  # a quarter at once
                masked = [t for t in list(tokens)[turn::4] if t > done - begin]
                for token, (kmer, bases) in ask_transformers(esm, window, masked).items():
                    at = start + frame + 3 * (begin + token - 1)
                    expected["kmer"][contig][at : at + 3] = kmer
                    expected["base"][contig][at : at + 3] = bases
            done = last
    for name, contigs in expected.items():
        path = tmp_path / f"tracks/{name}.bw"
        # Of `c` each stretch is less than a k-mer, and a contig without a value is not named.
        assert pybigtools.open(str(path)).chroms() == {"a": 100, "b": 140}
        for contig in ("a", "b"):
            np.testing.assert_allclose(values_of(path, contig), contigs[contig], atol=1e-5)
    assert np.nanmax(expected["kmer"]["a"]) - np.nanmin(expected["kmer"]["a"]) > 0


def test_without_pybigtools_text_is_written(files, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"tracks.t.format is bigwig, .* set it to bedgraph"):
        write_tracks(files, SETTINGS, tmp_path / "tracks")
    write_tracks(files, {**SETTINGS, "format": "bedgraph"}, tmp_path / "tracks")
    with gzip.open(tmp_path / "tracks/kmer.bedgraph.gz", "rt") as file:
        contig, start, end, value = file.readline().split("\t")
    assert (contig, start, end) == ("a", "0", "3")
    assert 0 < float(value) < 1


def test_every_kmer_is_new_in_one_window_and_has_its_context():
    windows = list(cut_windows(5, 5 + 3 * 24 + 2, 3, 10))
    assert windows == [(5, 35, 0), (35, 65, 0), (47, 77, 6)]
    assert list(cut_windows(5, 5 + 3 * 4, 3, 10)) == [(5, 17, 0)]
    assert list(cut_windows(5, 7, 3, 10)) == []


def test_windows_that_the_model_cannot_read_are_refused(files, tmp_path):
    with pytest.raises(InputError, match=r"tracks.t.bases is 120, but the model small reads 3 to"):
        write_tracks(files, {**SETTINGS, "bases": 120}, tmp_path / "tracks")
    assert not (tmp_path / "tracks").exists()
