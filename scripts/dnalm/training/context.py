"""Context ablation: masked windows whose other tokens are shuffled, or those of another window.

What a model loses by it at the same <mask> positions is what it took from order and composition of
the context. k-mers take the places of k-mers and single bases those of single bases, so that where
tokens of a window are shorter, which N decides, counts for neither.

Shape letters: W windows, T tokens.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dnalm.corpus.sampling import Stream, generator, generators
from dnalm.genome.kmers import Vocabulary
from dnalm.training.masking import Masked

Tokens = NDArray[np.int64]


def shuffle_context(masked: Masked, vocabulary: Vocabulary, seed: int) -> Tokens:
    """Return the inputs int64[W, T] with the tokens of each window permuted, but its <mask>s.

    Composition is kept and order is not. Special tokens and N stay where they are; a window's
    permutation depends on (seed, number of the window) alone.
    """
    inputs = masked.inputs.copy()
    randoms = generators(seed, Stream.CONTEXT, range(len(inputs)))
    for row, random in zip(inputs, randoms, strict=True):
        for sort in _sorts(vocabulary):
            places = _places(row, sort)
            row[places] = random.permutation(row[places])
    return inputs


def swap_context(
    masked: Masked, windows: NDArray[np.integer], vocabulary: Vocabulary, seed: int
) -> Tokens | None:
    """Return the inputs int64[W, T] with the tokens of another window around the same <mask>s.

    `windows` are those that were masked. Each window that counts gives its tokens, in their order,
    to one other that is drawn by `seed`; a sort of which the giver has too few is repeated, one of
    which it has none stays. None where fewer than two windows count.
    """
    counted = np.flatnonzero(~masked.thin)
    if len(counted) < 2:
        return None
    inputs = masked.inputs.copy()
    # Behind all windows, so that no permutation of theirs shares its numbers.
    circle = generator(seed, Stream.CONTEXT, len(inputs)).permutation(counted)
    for taker, giver in zip(circle, np.roll(circle, 1), strict=True):
        row, given = inputs[taker], windows[giver].astype(np.int64)
        for sort in _sorts(vocabulary):
            places, found = _places(row, sort), given[_places(given, sort)]
            if len(found):
                row[places] = np.resize(found, len(places))
    return inputs


def _sorts(vocabulary: Vocabulary) -> Iterator[range]:
    """Yield the ids of k-mers and of single bases."""
    yield range(vocabulary.kmer_offset, vocabulary.base_offset)
    yield range(vocabulary.base_offset, vocabulary.maskable_stop)


def _places(row: NDArray[np.integer], sort: range) -> NDArray[np.int64]:
    return np.flatnonzero((row >= sort.start) & (row < sort.stop))
