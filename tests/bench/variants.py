"""Scores of variants beside loops with `transformers`: same weights, windows and batches.

    python tests/bench/variants.py --output results/bench/variants.json

Alleles per second of processor time, windows of 5,994 bases, one CPU thread. Ours starts from a
stored genome. The competent loop, whose tokens are ready, reads each window once, runs the head at
masked tokens alone, at its best batch size; so it is once as it is and once with `torch.compile`,
whose compilation is not counted. The loop as published for gpn takes one window at a time,
tokenises its text and runs the head over all of it each time. A case counts only if all scores
agree to 1e-5.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from comparison import Comparison, read_arguments, report, seconds_of, time_in_turns
from esm_peer import can_compile, make_peer
from own_step import make_config, make_encoder
from torch import Tensor
from transformers import EsmForMaskedLM
from variant_peer import measure, tokenise

from dnalm.genome.bases import GenomeBases, write_bases
from dnalm.genome.kmers import Vocabulary, encode, to_sequence
from dnalm.variants.alleles import Allele
from dnalm.variants.language_model import EncoderModel
from dnalm.variants.passes import score_alleles
from dnalm.variants.readings import Plan
from dnalm.variants.windows import WindowConfig, Windows

K, BASES, GENOME_BASES, ROUNDS = 6, 5994, 60_000, 3
TINY = {"BASES": 240, "ROUNDS": 1}
DISTANCES = ("cosine", "dot", "l1", "l2")
BATCH_TOKENS, TOLERANCE = 65536, 1e-5
BATCHES = (1, 2, 4)  # of which the peer takes the best
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
    compiled: bool = False  # the peer
    positions: int = 4


BOTH = ("llr", *DISTANCES)
CASES = (
    Case("LLR and distances", 4, 256, BOTH, 1.4),
    Case("LLR and distances, peer compiled", 4, 256, BOTH, 1.0, compiled=True),
    Case("LLR alone", 4, 256, ("llr",), 2.1),
    Case("LLR alone, peer compiled", 4, 256, ("llr",), 1.0, compiled=True),
    Case("LLR and distances, 3 ALTs", 4, 256, BOTH, 1.8, alternatives=3, positions=2),
    Case("LLR and distances, beside the loop of gpn", 4, 256, BOTH, 1.4, one_by_one=True),
    Case("LLR and distances", 6, 512, BOTH, 1.2),
    Case("LLR and distances, peer compiled", 6, 512, BOTH, 1.0, compiled=True),
    Case("LLR alone", 6, 512, ("llr",), 1.55),
    Case("LLR and distances, depth of the paper", 24, 256, BOTH, 1.0, positions=2),
)


def compare(case: Case, genome: GenomeBases) -> Comparison:
    """Return our alleles per CPU second beside the peer's."""
    torch._dynamo.reset()
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
    pairs = [next(windows.make(allele)) for allele in alleles]
    tokens = [
        torch.from_numpy(np.stack([encode(codes, VOCABULARY) for codes in side]).astype(np.int64))
        for side in ([p.reference for p in pairs], [p.alternative for p in pairs])
    ]
    texts = [(to_sequence(pair.reference), to_sequence(pair.alternative)) for pair in pairs]

    def run_ours() -> np.ndarray:
        numbered = dict(enumerate(alleles))
        return score_alleles(model, windows, numbered, len(alleles), plan, BATCH_TOKENS).scores

    peers = {"one by one": lambda: score_one_by_one(peer, texts, case.scores)}
    if not case.one_by_one:
        encode_rows = torch.compile(peer.esm, dynamic=False) if case.compiled else peer.esm
        peers = {
            size: partial(score_in_batches, peer, encode_rows, *tokens, case.scores, size)
            for size in BATCHES
            if size <= len(pairs)
        }
    run_peer = min(peers.values(), key=seconds_of)
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
    peer: EsmForMaskedLM,
    encode_rows: Callable,
    reference: Tensor,
    alternative: Tensor,
    scores: Sequence[str],
    size: int,
) -> np.ndarray:
    """Return the scores of alleles [A, scores]; no window is read twice."""
    at, rows = (reference != alternative).long().argmax(1), torch.arange(len(reference))
    masked = reference.clone()
    masked[rows, at] = VOCABULARY.mask
    # Alleles of one position and token have the same masked window and the same reference.
    masked, place = masked.unique(dim=0, return_inverse=True)
    spots = (masked == VOCABULARY.mask).long().argmax(1)
    states = torch.cat(
        [
            encode_rows(masked[one : one + size]).last_hidden_state[
                torch.arange(len(masked[one : one + size])), spots[one : one + size]
            ]
            for one in range(0, len(masked), size)
        ]
    )
    logits = peer.lm_head(states)[place]
    columns = {"llr": logits[rows, alternative[rows, at]] - logits[rows, reference[rows, at]]}
    if set(scores) & set(DISTANCES):
        windows, place = torch.cat([reference, alternative]).unique(dim=0, return_inverse=True)
        pooled = torch.cat(
            [
                encode_rows(windows[one : one + size]).last_hidden_state[:, 1:].mean(1)
                for one in range(0, len(windows), size)
            ]
        )[place]
        found = [measure(*pair) for pair in zip(*pooled.chunk(2), strict=True)]
        columns |= {name: torch.tensor([row[name] for row in found]) for name in DISTANCES}
    return torch.stack([columns[name].double() for name in scores], dim=1).numpy()


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
        at = int((one != other).long().argmax())
        masked = one.clone()
        masked[0, at] = VOCABULARY.mask
        logits = peer(masked).logits[0, at]
        columns["llr"] = float(logits[other[0, at]] - logits[one[0, at]])
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
    cases = [case for case in cases if not case.compiled or can_compile()]
    with TemporaryDirectory() as folder:
        genome = make_genome(Path(folder))
        return report([compare(case, genome) for case in cases], arguments.output)


if __name__ == "__main__":
    sys.exit(main())
