"""Tracks by models that are not ours: equal to a plain loop with transformers."""

import numpy as np
import pybigtools
import pytest
import random_transformers

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.interpretation.likelihoods.embedded_tracks import TokenReader
from dnalm.interpretation.likelihoods.tracks import write_tracks

from .test_embedded_likelihoods import Peer

BASES, TURNS = 40, 4
SETTINGS = {"track": "t", "model": "theirs", "contigs": None, "bases": BASES, "frame": 0}
SETTINGS |= {"share": 1 / TURNS, "format": "bigwig"}


@pytest.fixture(scope="module", params=["bert", "modernbert"])
def folder(request, tmp_path_factory):
    """Return a random model: bert has a token for each base, modernbert such of many lengths."""
    made = tmp_path_factory.mktemp("foreign") / request.param
    random_transformers.save_model(request.param, made)
    return str(made)


@pytest.fixture
def files(store, sequence):
    """Stretches of 95 and 44 bases on one contig."""
    text = sequence(1, 140)
    genome = GenomeBases.of(store("g", {"a": text[:95] + "N" + text[96:]}))
    return {"bases": str(genome.bases_path), "contigs": str(genome.contigs_path)}


def read_plainly(peer, text, frame):
    """Return p of the token and of the base at each base of a stretch, [2, bases]."""
    found, done = np.full((2, len(text)), np.nan), frame
    while done < len(text):
        last = min(done + BASES, len(text))
        begin = max(frame, last - BASES)
        window = text[begin:last]
        ids, offsets = peer.cut(window)
        known = [
            token
            for token, (start, end) in enumerate(offsets)
            if peer.words.get(ids[token]) == window[start:end] and begin + end > done
        ]
        for turn in range(TURNS):
            masked = known[turn::TURNS]
            _, _, likelihoods = peer.ask(window, masked)
            for token in masked:
                start, end = offsets[token]
                own = likelihoods[token].exp().tolist()
                shares = {word: own[number] for number, word in peer.words.items()}
                for place in range(end - start):
                    at = begin + start + place
                    longer = {w: p for w, p in shares.items() if len(w) > place}
                    same = sum(p for w, p in longer.items() if w[place] == text[at])
                    if at >= done:
                        found[:, at] = shares[window[start:end]], same / sum(longer.values())
        done = last
    return found


@pytest.mark.parametrize("frame", [0, 3])
def test_tracks_hold_the_masked_probabilities_of_transformers(
    files, folder, sequence, tmp_path, frame
):
    settings = {**SETTINGS, "frame": frame, "embedder": {"transformers": folder}}
    write_tracks(files, settings, tmp_path / "tracks")
    text, peer = sequence(1, 140), Peer(folder)
    parts = [read_plainly(peer, text[:95], frame), [[np.nan]] * 2]
    expected = np.concatenate([*parts, read_plainly(peer, text[96:], frame)], axis=1)
    assert np.isfinite(expected).sum() > 200
    for name, own in zip(("token", "base"), expected, strict=True):
        found = pybigtools.open(str(tmp_path / "tracks" / f"{name}.bw")).values("a", fillna=None)
        np.testing.assert_allclose(np.array(found), own, rtol=1e-4)


def test_windows_are_as_long_as_always_fits_and_what_predicts_nothing_is_told(
    files, folder, tmp_path
):
    reader = TokenReader({"transformers": folder}, SETTINGS | {"bases": "auto"}, "tracks.t")
    assert reader.bases == 600 - 4
    long = {**SETTINGS, "bases": 700, "embedder": {"transformers": folder}}
    write_tracks(files, long, tmp_path / "tracks")  # no stretch is so long
    toy = {**SETTINGS, "embedder": {"call": "toy_embedder:open_one_hot"}}
    with pytest.raises(InputError, match="offers no logits of masked tokens"):
        write_tracks(files, toy, tmp_path / "none")
    assert not (tmp_path / "none").exists()
