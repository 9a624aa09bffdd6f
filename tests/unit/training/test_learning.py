"""It learns what can be known: a planted chain of letters whose optimum is computed exactly.

Shape letters: N sequences, L letters of one, T tokens with `<cls>`, k letters of a token.
"""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from dnalm.corpus.build import CorpusConfig, build_corpus
from dnalm.genome.bases import write_bases
from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import EncoderConfig
from dnalm.model.weights import load_weights

LETTERS = "ACGT"
HIDDEN = -1
TOKENS = 33
CONTIGS = {"train": 1_500_000, "validation": 40_000, "test": 10_000}
WINDOWS, MASKS = 200, 10  # scored windows, and masks in each of them, one at a time
FORMS: dict[str, dict[str, Any]] = {
    "v1": {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True, "token_dropout": 0.12},
    "v2": {},
}


class Chain:
    """An order-2 Markov chain: letter t = letter t − 2 + TURN[letter t − 1] + noise, modulo 4.

    All pairs are equally frequent, so how often they occur tells nothing; the noise is small, so a
    letter depends strongly on the two before it and the two behind it.
    """

    TURN = np.array([0, 1, 3, 2])
    NOISE = np.array([0.85, 0.08, 0.04, 0.03])

    def __init__(self) -> None:
        first, second, third = np.indices((4, 4, 4))
        self.transitions = self.NOISE[(third - first - self.TURN[second]) % 4]  # of third

    def draw(self, length: int, seed: int) -> str:
        generator = np.random.default_rng(seed)
        noise = generator.choice(4, length, p=self.NOISE).tolist()
        turn = self.TURN.tolist()
        letters = generator.integers(0, 4, 2).tolist()
        for extra in noise[2:]:
            letters.append((letters[-2] + turn[letters[-1]] + extra) % 4)
        return "".join(LETTERS[letter] for letter in letters)

    def log_likelihood(self, letters: np.ndarray) -> np.ndarray:
        """Return ln P float64[N] of letters int64[N, L], `HIDDEN` ones summed out.

        The forward pass of the forward-backward algorithm, over pairs of letters.
        """
        seen = np.where(letters[..., None] == HIDDEN, 1.0, np.eye(4)[letters])  # [N, L, 4]
        pairs = seen[:, 0, :, None] * seen[:, 1, None, :] / 16
        total = np.zeros(len(letters))
        for column in range(2, letters.shape[1]):
            pairs = np.einsum("nab,abc->nbc", pairs, self.transitions) * seen[:, column, None, :]
            scale = pairs.sum((1, 2))
            pairs, total = pairs / scale[:, None, None], total + np.log(scale)
        return total + np.log(pairs.sum((1, 2)))

    def surprise(self, letters: np.ndarray, masked: np.ndarray) -> np.ndarray:
        """Return −ln P float64[N] of the letters where `masked` bool[N, L], given the others."""
        rest = np.where(masked, HIDDEN, letters)
        return self.log_likelihood(rest) - self.log_likelihood(letters)

    def entropies(self, k: int) -> tuple[float, float]:
        """Return the exact nats of k letters, alone and given all letters on both sides.

        k letters and two behind them, given two before, are k + 2 draws of noise; without what the
        outer letters tell of each other, the letters between them remain.
        """
        noise = -float(self.NOISE @ np.log(self.NOISE))
        step = np.einsum("abc,bd->abdc", self.transitions, np.eye(4)).reshape(16, 16)
        across = np.linalg.matrix_power(step, k + 2)
        outer = -(across * np.log(across)).sum() / 16
        return math.log(16) + (k - 2) * noise, (k + 2) * noise - outer


@dataclass(frozen=True)
class Planted:
    """A corpus of a chain's letters."""

    folder: Path
    vocabulary: Vocabulary


def plant_chain(folder: Path, k: int) -> Planted:
    chain = Chain()
    contigs = {
        name: chain.draw(length, seed) for seed, (name, length) in enumerate(CONTIGS.items())
    }
    fasta = folder / "chain.fa"
    fasta.write_text("".join(f">{name}\n{letters}\n" for name, letters in contigs.items()))
    genome = folder / "genomes" / "chain"
    genome.mkdir(parents=True)
    files = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
    write_bases(
        fasta,
        name="chain",
        config={"path": fasta.name},
        **{key: genome / name for key, name in files.items()},
    )
    window = (TOKENS - 1) * k
    build_corpus(
        CorpusConfig(
            genomes=["chain"],
            windows={"length": window + k, "stride": window // 2, "start_max": k},
            split={"by": "contig", "validation": ["validation"], "test": ["test"]},
            k=k,
            vocabulary="v2",
            max_tokens=TOKENS,
            min_kmers=8,
            evaluation_windows=WINDOWS,
            haplotypes=None,
        ),
        {"chain": genome},
        name="chain",
        panel=None,
        manifest=folder / "manifest.json",
        validation=folder / "validation.npy",
        test=folder / "test.npy",
        kmer_counts=folder / "kmer_counts.npy",
    )
    return Planted(folder, Vocabulary(k, "v2"))


def score_isolated(encoder: EncoderConfig, weights: Path, planted: Planted) -> dict[str, float]:
    """Return nats per token at `<mask>`es that stand alone in held-out windows.

    Keys: unigram, what the frequencies of tokens leave; left, what the chain itself leaves to who
    sees only the letters before; optimum, given all letters on both sides; model.
    """
    vocabulary, chain = planted.vocabulary, Chain()
    k = vocabulary.k
    windows = np.load(planted.folder / "validation.npy").astype(np.int64)
    # Two tokens at least on either side.
    places = np.random.default_rng(0).integers(3, TOKENS - 2, (len(windows), MASKS)).ravel()
    windows = np.repeat(windows, MASKS, axis=0)
    rows = np.arange(len(windows))

    words = list(itertools.product("ATCG", repeat=k))
    digits = np.array([[LETTERS.index(letter) for letter in word] for word in words])
    letters = digits[windows[:, 1:] - vocabulary.kmer_offset].reshape(len(rows), -1)
    begins, columns = (places[:, None] - 1) * k, np.arange(letters.shape[1])
    masked = (columns >= begins) & (columns < begins + k)
    before = np.where(columns < begins + k, letters, HIDDEN)

    model = load_weights(encoder, weights).eval()
    tokens = torch.from_numpy(windows.copy())
    tokens[rows, places] = vocabulary.mask
    with torch.no_grad():
        logits = model(tokens, torch.from_numpy(places)[:, None], padded=False).logits[:, 0]
    targets = torch.from_numpy(windows[rows, places])
    return {
        "unigram": float(-chain.log_likelihood(letters[masked].reshape(-1, k)).mean()),
        "left": float(chain.surprise(before, masked).mean()),
        "optimum": float(chain.surprise(letters, masked).mean()),
        "model": float(functional.cross_entropy(logits, targets)),
    }


@dataclass(frozen=True, kw_only=True)
class Size:
    """Of an encoder of two blocks, and of what it is trained on."""

    width: int
    batch_sequences: int
    steps: int
    peak: float
    warmup_steps: int


def assert_it_learns(make_job, planted: Planted, form: str, size: Size, *, share: float) -> None:
    """Train on the corpus and ask for `share` of the gap between unigram and optimum."""
    encoder: dict[str, Any] = {}

    def change(run, operation):
        run["k"] = planted.vocabulary.k
        run["encoder"] |= {"vocabulary_size": planted.vocabulary.size, **FORMS[form]}
        run["encoder"] |= {"width": size.width, "ffn_width": 2 * size.width}
        # v1 has to find neighbours by a table of positions, which it learns from a large draw only.
        run["encoder"] |= {"initialisation": "haiku" if form == "v1" else "normal"}
        run["pretrain"] |= {"batch_sequences": size.batch_sequences, "steps": size.steps}
        run["pretrain"]["schedule"] |= {"peak": size.peak, "warmup_steps": size.warmup_steps}
        rarely = {"log_every": 200, "validate_every": size.steps, "checkpoint_every": size.steps}
        operation |= {"micro_batch": size.batch_sequences, **rarely}
        encoder.update(run["encoder"])

    job = make_job(change, planted)
    job.train()
    nats = score_isolated(EncoderConfig(**encoder), job.weights, planted)
    gap = nats["unigram"] - nats["optimum"]
    closed = {name: (nats["unigram"] - value) / gap for name, value in nats.items()}
    # Of the drawn windows, so that all meet the same luck; nearly the entropies themselves.
    expected = Chain().entropies(planted.vocabulary.k)
    assert (nats["unigram"], nats["optimum"]) == pytest.approx(expected, abs=0.15)
    facts = ", ".join(f"{name} {value:.3f} ({closed[name]:.0%})" for name, value in nats.items())
    facts = f"nats per isolated <mask> and share of the gap that is closed: {facts}"
    assert closed["left"] < 0.7, f"one side alone should not do; {facts}"
    assert closed["model"] >= share, facts
    assert closed["model"] <= 1.02, f"better than can be; {facts}"


def test_the_likelihood_with_hidden_letters_is_the_sum_over_all_of_them():
    chain = Chain()

    def multiply(letters):
        steps = zip(letters, letters[1:], letters[2:], strict=False)
        return math.prod([1 / 16, *(chain.transitions[step] for step in steps)])

    whole = [2, 0, 3, 1, 1, 1, 3]
    known = [2, 0, HIDDEN, HIDDEN, HIDDEN, 1, 3]
    fills = itertools.product(range(4), repeat=3)
    total = sum(multiply([*known[:2], *fill, *known[5:]]) for fill in fills)
    found = np.exp(chain.log_likelihood(np.array([known, whole])))
    assert found == pytest.approx([total, multiply(whole)], rel=1e-12)
    masked = np.array([known]) == HIDDEN
    surprise = chain.surprise(np.array([whole]), masked)
    assert surprise == pytest.approx([-math.log(multiply(whole) / total)])


def test_entropies_are_the_sums_over_all_words_and_what_surrounds_them():
    chain, k = Chain(), 3
    words = np.array(list(itertools.product(range(4), repeat=k)))
    cases = np.array(list(itertools.product(range(4), repeat=k + 4)))
    masked = np.zeros(cases.shape, dtype=bool)
    masked[:, 2:-2] = True
    alone, given = chain.log_likelihood(words), chain.surprise(cases, masked)
    summed = -(np.exp(alone) @ alone), np.exp(chain.log_likelihood(cases)) @ given
    assert chain.entropies(k) == pytest.approx(summed, rel=1e-10)


def test_at_isolated_masks_most_of_what_both_sides_tell_is_learned(make_job, tmp_path):
    size = Size(width=32, batch_sequences=64, steps=400, peak=6e-3, warmup_steps=60)
    assert_it_learns(make_job, plant_chain(tmp_path, k=3), "v2", size, share=0.85)


@pytest.fixture(scope="module")
def chain_of_6mers(tmp_path_factory) -> Planted:
    return plant_chain(tmp_path_factory.mktemp("chain"), k=6)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_at_isolated_masks_nearly_all_that_both_sides_tell_is_learned(
    make_job, chain_of_6mers, form
):
    size = Size(width=64, batch_sequences=32, steps=8000, peak=4e-3, warmup_steps=100)
    assert_it_learns(make_job, chain_of_6mers, form, size, share=0.9)
