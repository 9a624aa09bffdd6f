"""Probabilities of a genome's own bases and tokens, each masked, as tracks along the genome.

Every stretch without N is cut into k-mers from its left end on, or `frame` bases behind it. k-mers
are masked a share at a time, each once, in windows as long as the model reads; the last window of a
stretch ends with it, so that it has as much context as all others.

Shape letters: R rounds, T tokens, S masked tokens, V vocabulary, k bases of a token.
"""

import importlib.util
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dnalm.benchmark.prediction.tracks import BIGWIG, open_tracks
from dnalm.devices import best_device
from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases, find_gaps
from dnalm.genome.intervals import merge_spans
from dnalm.genome.kmers import Vocabulary, encode
from dnalm.interpretation.annotated import BATCH_TOKENS
from dnalm.interpretation.elements import subtract
from dnalm.interpretation.likelihoods.embedded_tracks import AUTO, TokenReader
from dnalm.interpretation.likelihoods.marginals import true_base_log_probabilities
from dnalm.interpretation.reconstruction import rounds_of_all
from dnalm.interpretation.windows import list_pieces
from dnalm.jobs.progress import Progress
from dnalm.model.encoder import Encoder
from dnalm.model.loading import load_model, read_run

TRACKS = ("kmer", "base")  # probability of the whole true k-mer, and of the true base

log = logging.getLogger(__name__)


def write_tracks(files: Mapping[str, str], settings: Mapping[str, Any], output: str | Path) -> None:
    """Write kmer.bw and base.bw (or .bedgraph.gz) into a new folder.

    `files` are bases and contigs of a genome, run and weights of a model. `settings` have the entry
    `embedder` of one that is not ours, whose tokens are in the place of k-mers: token.bw. Raises
    InputError for windows that are longer than the model reads, and where pybigtools is missing.
    """
    key = f"tracks.{settings['track']}"
    if settings["format"] == BIGWIG and importlib.util.find_spec("pybigtools") is None:
        raise InputError(
            f"{key}.format is bigwig, which the package pybigtools writes: install it (`pip install"
            " dnalm[bigwig]`), or set it to bedgraph."
        )
    genome = GenomeBases(files["bases"], files["contigs"])
    pieces = list_pieces(genome, settings["contigs"])
    reader: KmerReader | TokenReader
    if "embedder" in settings:
        reader = TokenReader(settings["embedder"], settings, key)
    else:
        reader = KmerReader(files, settings, key)
    windows = [
        (contig, *window)
        for contig, piece in pieces.items()
        for start, end in list_stretches(genome, contig, piece)
        for window in cut_windows(
            start + settings["frame"], end, reader.k, reader.bases // reader.k
        )
    ]
    written = 0
    with (
        open_tracks(output, settings["format"], genome, reader.names, digits=None) as tracks,
        Progress(f"mask {reader.words}", "windows", len(windows)) as progress,
    ):
        for contig, start, end, first in windows:
            codes = genome.read_absolute(contig, start, end)
            values = reader.read(codes, first, f"{contig}:{start + 1}-{end}")
            for run in _known_runs(values):
                tracks.add(contig, start + first * reader.k + run.start, values[run])
                written += run.stop - run.start
            progress.advance()
    log.info("%s: probabilities of %s bases on %d contigs", output, f"{written:,}", len(pieces))


def _known_runs(values: NDArray[np.float32]) -> list[slice]:
    """Return where values [n, 2] follow each other without one that is missing."""
    known = np.flatnonzero(~np.isnan(values[:, 0]))
    parts = np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(known) else []
    return [slice(int(part[0]), int(part[-1]) + 1) for part in parts]


class KmerReader:
    """A model of ours, which predicts the k-mers of windows of up to `bases`."""

    names, words = TRACKS, "k-mers"

    def __init__(self, files: Mapping[str, str], settings: Mapping[str, Any], key: str) -> None:
        """Load it; raise InputError, which names `key`, for windows longer than it reads."""
        config, self.vocabulary = read_run(files["run"])
        self.k, self._share = self.vocabulary.k, settings["share"]
        most = (config.max_tokens - 1) * self.k
        self.bases = most if settings["bases"] == AUTO else settings["bases"]
        if self.bases > most or self.bases < self.k:
            raise InputError(
                f"{key}.bases is {self.bases:,}, but the model {settings['model']} reads {self.k}"
                f" to {most:,}; correct it, or set it to auto."
            )
        encoder, _ = load_model(files["run"], files["weights"])
        self._encoder = encoder.to(best_device()).eval()

    def read(self, codes: NDArray[np.uint8], first: int, window: str) -> NDArray[np.float32]:
        """Return p of the k-mer and of the base, [n, 2], of bases from k-mer `first` on."""
        kmer, base = mask_window(self._encoder, self.vocabulary, codes, first, self._share)
        return np.stack([np.repeat(kmer, self.k), base.ravel()], axis=1)


def list_stretches(
    genome: GenomeBases, contig: str, piece: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return first base and end of every stretch of a contig that holds no N."""
    whole = (np.array([piece[0]], dtype=np.int64), np.array([piece[1]], dtype=np.int64))
    starts, ends = subtract(whole, merge_spans(*find_gaps(genome, contig)))
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def cut_windows(start: int, end: int, k: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Yield start and end of windows of up to `most` k-mers, and the first that is new in each.

    All k-mers from `start` on are new in one window. What is left behind the last of them belongs
    to none. Windows begin at k-mers; the last one is as long as the others, where it can be.
    """
    number = max(0, end - start) // k
    for first in range(0, number, most):
        last = min(first + most, number)
        begin = max(0, last - most)
        yield start + begin * k, start + last * k, first - begin


@torch.inference_mode()
def mask_window(
    encoder: Encoder, vocabulary: Vocabulary, codes: NDArray[np.uint8], first: int, share: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return p of each true k-mer of a window from number `first` on, and of its bases [n, k].

    `codes` are whole k-mers without N.
    """
    tokens = encode(codes, vocabulary).astype(np.int64)
    rounds = [own[own > first] for own in rounds_of_all(tokens, vocabulary, share)]
    rounds = [own for own in rounds if len(own)]
    device = encoder.tokens.weight.device
    kmer = np.empty(len(tokens) - 1 - first, dtype=np.float32)
    base = np.empty((len(kmer), vocabulary.k), dtype=np.float32)
    size = max(1, BATCH_TOKENS // len(tokens))
    for at in range(0, len(rounds), size):
        own = rounds[at : at + size]
        most = max(map(len, own))
        # Filled up with the last place of a round, which is written twice.
        filled = [np.pad(places, (0, most - len(places)), mode="edge") for places in own]
        places = torch.from_numpy(np.stack(filled)).to(device)
        rows = torch.from_numpy(tokens).to(device).expand(len(own), -1)
        truth = rows.gather(1, places)
        logits = encoder(rows.scatter(1, places, vocabulary.mask), places).logits.float()
        likelihood = logits.log_softmax(-1)  # [R, S, V]
        whole = likelihood.gather(-1, truth[..., None])[..., 0]
        single = true_base_log_probabilities(likelihood, truth, vocabulary)
        index = places.cpu().numpy() - 1 - first
        kmer[index] = whole.exp().cpu().numpy()
        base[index] = single.exp().cpu().numpy()
    return kmer, base
