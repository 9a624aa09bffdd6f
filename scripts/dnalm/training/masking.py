"""Masking for the masked-language-model objective.

Shape letters: B sequences, T tokens with `<cls>`, K slots for selected tokens per sequence.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from dnalm.corpus.sampling import Stream, generators
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary


class Kind(IntEnum):
    """What replaces a selected token in the input."""

    MASK = 0  # <mask>
    RANDOM = 1  # another token
    KEPT = 2  # the token itself


@dataclass(frozen=True, kw_only=True)
class MaskingConfig:
    """Shares: `selected` of the maskable tokens; of these `masked`, `random`, and the rest kept.

    Source: the paper, after BERT: 15 % selected; of these 80 % masked, 10 % random, 10 % kept.
    """

    selected: float
    masked: float
    random: float

    def __post_init__(self) -> None:
        if not 0 < self.selected <= 1:
            raise InputError(f"pretrain.masking.selected is {self.selected}; give a share up to 1.")
        if min(self.masked, self.random) < 0 or self.masked + self.random > 1 + 1e-9:
            raise InputError(
                f"pretrain.masking has masked {self.masked} and random {self.random}; give two "
                "shares that sum to at most 1, the rest is kept."
            )

    def count_slots(self, tokens: int) -> int:
        """Return K for sequences of T = `tokens`: as many as a sequence without N needs."""
        return round(self.selected * (tokens - 1))


@dataclass(frozen=True, kw_only=True)
class Masked:
    """Masked sequences; a slot that is not used has weight 0 and position 0."""

    inputs: np.ndarray  # int64[B, T]: what the model sees
    positions: np.ndarray  # int64[B, K]: of the selected tokens within their sequence
    targets: np.ndarray  # int64[B, K]: the tokens that stood there
    weights: np.ndarray  # float32[B, K]: 1 where the slot counts, else 0
    kinds: np.ndarray  # int64[B, K]: a `Kind` each
    thin: np.ndarray  # bool[B]: sequences with too few k-mers or too much N, which weigh 0
    padded: np.ndarray  # bool[B]: sequences that end in <pad>


def mask(
    tokens: np.ndarray,
    samples: np.ndarray,
    *,
    config: MaskingConfig,
    vocabulary: Vocabulary,
    min_kmers: int,
    seed: int,
    stream: Stream,
    max_n_share: float | None = None,
) -> Masked:
    """Return masked sequences of `tokens` [B, T], row b as sample number `samples[b]`.

    k-mers and single A, T, C, G are maskable; specials and N are never selected, scored or drawn.
    round(selected · maskable) tokens of a sequence are selected, each then independently masked,
    replaced by another maskable token drawn uniformly, or kept. A sequence with fewer than
    `min_kmers` k-mers is left as it is and weighs 0, and so does one of whose bases more than
    `max_n_share` are N. A row depends on its tokens and on
    (seed, stream, sample) alone.
    """
    tokens = tokens.astype(np.int64)
    length = tokens.shape[1]
    slots = config.count_slots(length)
    # One stretch of uniform numbers per sequence: T to select by, K for the kind, K to replace by.
    uniform = np.empty((len(tokens), length + 2 * slots))
    numbers = np.asarray(samples).tolist()
    for row, random in zip(uniform, generators(seed, stream, numbers), strict=True):
        random.random(out=row)
    order, kind_draws, token_draws = np.split(uniform, [length, length + slots], axis=1)

    kmers = (tokens >= vocabulary.kmer_offset) & (tokens < vocabulary.base_offset)
    maskable = (tokens >= vocabulary.kmer_offset) & (tokens < vocabulary.maskable_stop)
    thin = kmers.sum(1) < min_kmers
    if max_n_share is not None:
        gaps = (tokens == vocabulary.n_id).sum(1)
        bases = (vocabulary.k - 1) * kmers.sum(1) + maskable.sum(1) + gaps
        thin |= gaps > max_n_share * bases
    used = np.where(thin, 0, np.rint(config.selected * maskable.sum(1)).astype(np.int64))

    # The maskable tokens with the smallest numbers are a uniform draw without replacement.
    order[~maskable] = 2.0
    # To part them off before they are sorted gives the same and costs half.
    smallest = np.argpartition(order, min(slots, length - 1), axis=1)[:, :slots]
    ranks = np.argsort(np.take_along_axis(order, smallest, axis=1), axis=1)
    positions = np.take_along_axis(smallest, ranks, axis=1)
    weights = np.arange(slots) < used[:, None]
    positions[~weights] = 0
    targets = np.take_along_axis(tokens, positions, axis=1)

    kinds = np.full(positions.shape, Kind.KEPT, dtype=np.int64)
    kinds[kind_draws < config.masked + config.random] = Kind.RANDOM
    kinds[kind_draws < config.masked] = Kind.MASK

    # "Another" token: one of all but the target, closed up over the gap it leaves.
    choices = vocabulary.maskable_stop - vocabulary.kmer_offset
    others = vocabulary.kmer_offset + (token_draws * (choices - 1)).astype(np.int64)
    others += others >= targets
    seen = np.choose(kinds, [np.full_like(targets, vocabulary.mask), others, targets])
    seen = np.where(weights, seen, targets)

    inputs = tokens.copy()
    np.put_along_axis(inputs, positions, seen, axis=1)
    return Masked(
        inputs=inputs,
        positions=positions,
        targets=targets,
        weights=weights.astype(np.float32),
        kinds=kinds,
        thin=thin,
        padded=tokens[:, -1] == vocabulary.pad,
    )
