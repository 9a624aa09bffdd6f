"""Scores of variants beside loops with `transformers`: same weights, windows and batches.

    python tests/bench/variants.py --output results/bench/variants.json

Alleles per second of processor time, windows of 5,994 bases, one CPU thread. Ours starts from a
stored genome. The competent loop, whose tokens are ready, reads the unmasked windows without the
head and the masked ones with it, as many rows at a time as ours. The loop as published for gpn
takes one window at a time, tokenises its text and runs the head over all of it each time. A case
counts only if all scores agree to 1e-5.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from comparison import Comparison, read_arguments, report, time_in_turns
from esm_peer import make_peer
from own_step import make_config, make_encoder
from torch import Tensor
from variant_peer import measure, tokenise

from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.genome.kmers import Vocabulary, encode, to_sequence
from dnalm.model.token_batches import limit_tokens
from dnalm.variants.alleles import Allele
from dnalm.variants.language_model import EncoderModel
from dnalm.variants.passes import score_alleles
from dnalm.variants.readings import Plan
from dnalm.variants.windows import WindowConfig, Windows

K, BASES, GENOME_BASES, ROUNDS = 6, 5994, 60_000, 3
TINY = {"BASES": 240, "ROUNDS": 1}
DISTANCES = ("cosine", "dot", "l1", "l2")
BATCH_TOKENS, TOLERANCE = 65536, 1e-5
VOCABULARY = Vocabulary(K, "v1")


class Case(NamedTuple):
    """Which model scores what; `limit` is the ratio that is wished for."""

    name: str
    layers: int
    width: int
    scores: tuple[str, ...]
    limit: float
    alternatives: int = 1  # at each position
    one_by_one: bool = False  # the peer is the loop as published for gpn
    positions: int = 4


BOTH = ("llr", *DISTANCES)
CASES = (
    Case("LLR and distances", 4, 256, BOTH, 1.4),
    Case("LLR alone", 4, 256, ("llr",), 2.1),
    Case("LLR and distances, 3 ALTs", 4, 256, BOTH, 1.8, alternatives=3, positions=2),
    Case("LLR and distances, beside the loop of gpn", 4, 256, BOTH, 1.4, one_by_one=True),
    Case("LLR and distances", 6, 512, BOTH, 1.2),
    Case("LLR alone", 6, 512, ("llr",), 1.55),
    Case("LLR and distances, depth of the paper", 24, 256, BOTH, 1.0, positions=2),
)


def compare(case: Case, genome: GenomeBases) -> Comparison:
    """Return our alleles per CPU second beside the peer's."""
    config = make_config(
        "v1", layers=case.layers, heads=8, width=case.width, ffn_width=4 * case.width,
        max_tokens=1 + BASES // K,
    )  # fmt: skip
    encoder = make_encoder(config).eval()
    peer = make_peer(config, encoder.state_dict()).eval()
    windows = Windows(
        genome,
        VOCABULARY,
        WindowConfig(
            bases=BASES, k=K, frames=1, strands="forward", shared_bases=1, max_n=0,
            max_tokens=config.max_tokens,
        ),
    )  # fmt: skip
    alleles = choose_alleles(genome, case)
    plan = Plan(scores=case.scores, pooling="mean", features=False)
    model = EncoderModel(encoder, VOCABULARY, case.layers, "float32")
    size = max(1, limit_tokens(BATCH_TOKENS, model.device) // config.max_tokens)
    pairs = [next(windows.make(allele)) for allele in alleles]
    tokens = [
        torch.from_numpy(np.stack([encode(codes, VOCABULARY) for codes in side]).astype(np.int64))
        for side in ([p.reference for p in pairs], [p.alternative for p in pairs])
    ]
    texts = [(to_sequence(pair.reference), to_sequence(pair.alternative)) for pair in pairs]

    def run_ours() -> np.ndarray:
        numbered = dict(enumerate(alleles))
        return score_alleles(model, windows, numbered, len(alleles), plan, BATCH_TOKENS).scores

    def run_peer() -> np.ndarray:
        if case.one_by_one:
            return score_one_by_one(peer, texts, case.scores)
        return score_in_batches(peer, *tokens, case.scores, size)

    our_seconds, peer_seconds = time_in_turns(run_ours, run_peer, ROUNDS)
    ours, theirs = run_ours(), run_peer()
    return Comparison(
        case=f"{case.layers} x {case.width}, {case.name}",
        ours=len(alleles) / our_seconds,
        peer=len(alleles) / peer_seconds,
        unit="alleles per CPU second",
        correct=bool((np.abs(ours - theirs) <= TOLERANCE * np.maximum(1, np.abs(theirs))).all()),
        limit=case.limit,
    )


def choose_alleles(genome: GenomeBases, case: Case) -> list[Allele]:
    """Return SNVs of evenly spaced positions, so many of each."""
    alleles = []
    for start in np.linspace(BASES, GENOME_BASES - BASES, case.positions).astype(int).tolist():
        reference = to_sequence(genome.read("c", start, start + 1))
        others = [letter for letter in "ACGT" if letter != reference]
        alleles += [
            Allele(contig="c", start=start, reference=reference, alternative=other)
            for other in others[: case.alternatives]
        ]
    return alleles


@torch.inference_mode()
def score_in_batches(
    peer: Callable, reference: Tensor, alternative: Tensor, scores: Sequence[str], size: int
) -> np.ndarray:
    """Return the scores of alleles [A, scores], each with passes of its own."""
    found = []
    for at in range(0, len(reference), size):
        one, other = reference[at : at + size], alternative[at : at + size]
        columns = {}
        if set(scores) & set(DISTANCES):
            pooled = [peer.esm(side).last_hidden_state[:, 1:].mean(1) for side in (one, other)]
            rows = [measure(*pair) for pair in zip(*pooled, strict=True)]
            columns |= {name: [row[name] for row in rows] for name in DISTANCES}
        columns["llr"] = find_ratios(peer, one, other)
        found.append(np.array([columns[name] for name in scores]).T)
    return np.concatenate(found)


def find_ratios(peer: Callable, one: Tensor, other: Tensor) -> list[float]:
    """Return the log-likelihood ratios of SNVs."""
    at = (one != other).long().argmax(1)
    rows = torch.arange(len(one))
    masked = one.clone()
    masked[rows, at] = VOCABULARY.mask
    logits = peer(masked).logits[rows, at]
    return (logits[rows, other[rows, at]] - logits[rows, one[rows, at]]).tolist()


@torch.inference_mode()
def score_one_by_one(
    peer: Callable, texts: Sequence[tuple[str, str]], scores: Sequence[str]
) -> np.ndarray:
    """Return the scores of alleles [A, scores], with the head over every window."""
    found = []
    for pair in texts:
        one, other = (torch.tensor([tokenise(text, K, "v1")]) for text in pair)
        states = [peer(ids, output_hidden_states=True).hidden_states[-1] for ids in (one, other)]
        columns = measure(*(state[0, 1:].mean(0) for state in states))
        columns["llr"] = find_ratios(peer, one, other)[0]
        found.append([columns[name] for name in scores])
    return np.array(found)


def make_genome(folder: Path) -> GenomeBases:
    """Return a stored genome of random bases."""
    letters = np.random.default_rng(1).choice(list("ACGT"), GENOME_BASES)
    (folder / "c.fa").write_text(f">c\n{''.join(letters)}\n")
    paths = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
    write_bases(
        folder / "c.fa",
        name="c",
        config={},
        **{key: folder / name for key, name in paths.items()},
    )
    return GenomeBases.of(folder)


def main() -> int:
    arguments = read_arguments(__doc__)
    logging.disable()
    torch.set_num_threads(1)
    cases = CASES
    if arguments.tiny:
        globals().update(TINY)
        cases = [case._replace(layers=2, width=32, positions=2) for case in CASES]
    with TemporaryDirectory() as folder:
        genome = make_genome(Path(folder))
        return report([compare(case, genome) for case in cases], arguments.output)


if __name__ == "__main__":
    sys.exit(main())
