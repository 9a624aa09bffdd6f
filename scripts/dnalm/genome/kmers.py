"""Tokenisation: the k-mer vocabulary, and base codes to token ids.

Bases are codes, uint8: A T C G N = 0 1 2 3 4. The rule, that of the published tokenizer:
cut at every N; inside a piece take consecutive k-mers from its left end and what remains as single
bases; each N is one token; <cls> comes first and nothing comes last.

Shapes: n bases, B windows, T tokens with <cls>.
"""

from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dnalm.errors import InputError
from dnalm.suggestions import refusal

ALPHABET = "ATCG"
N = 4
MIN_K = 2
MAX_K = 7  # with k = 8 the vocabulary no longer fits the 16 bits of a token id
SPECIALS = {
    "v1": ("<unk>", "<pad>", "<mask>", "<cls>"),
    "v2": ("<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"),
}
# v1 knows two more tokens than its embedding table has rows; they follow the single bases.
TRAILING = {"v1": ("<eos>", "<bos>"), "v2": ()}

_BYTE_OF_CODE = np.frombuffer(b"ATCGN", dtype=np.uint8)
_COMPLEMENT = np.array([1, 0, 3, 2, N], dtype=np.uint8)


@dataclass(frozen=True)
class Vocabulary:
    """The vocabulary of one k and one model generation, `v1` or `v2`.

    The ids run: specials, the 4**k k-mers with the first letter most significant (AAAAAA, AAAAAT,
    AAAAAC, ... GGGGGG), then A, T, C, G, N. Raises InputError for another k than 2 to 7, and for
    another generation.
    """

    k: int
    version: str

    def __post_init__(self) -> None:
        if not isinstance(self.version, str) or self.version not in SPECIALS:
            raise InputError(
                f"vocabulary: {self.version!r:.40} {refusal(str(self.version), SPECIALS)}"
            )
        if type(self.k) is not int or not MIN_K <= self.k <= MAX_K:
            raise InputError(
                f"k is {self.k!r:.40}: give {MIN_K} to {MAX_K}; with 1 a base has two ids, as a "
                "k-mer and alone."
            )

    @property
    def unknown(self) -> int:
        return 0

    @property
    def pad(self) -> int:
        return 1

    @property
    def mask(self) -> int:
        return 2

    @property
    def cls(self) -> int:
        return 3

    @property
    def kmer_offset(self) -> int:
        """Id of the first k-mer."""
        return len(SPECIALS[self.version])

    @property
    def base_offset(self) -> int:
        """Id of the single base A; T, C, G and N follow."""
        return self.kmer_offset + 4**self.k

    @property
    def n_id(self) -> int:
        """Id of the single base N."""
        return self.base_offset + N

    @property
    def maskable_stop(self) -> int:
        """Ids from `kmer_offset` to before this one may be masked: k-mers, single A, T, C, G."""
        return self.n_id

    @property
    def size(self) -> int:
        """Rows in the model's tables: 4,105 (v1) or 4,107 (v2) at k = 6."""
        return self.n_id + 1

    def tokens(self) -> list[str]:
        """Return all tokens in the order of their ids, with v1's two tokens without a row."""
        kmers = ("".join(letters) for letters in product(ALPHABET, repeat=self.k))
        return [*SPECIALS[self.version], *kmers, *ALPHABET, "N", *TRAILING[self.version]]


@dataclass(frozen=True)
class BaseVocabulary(Vocabulary):
    """The vocabulary of networks that read base by base: v1's without k-mers, so N has the id 8.

    No model of the paper has it: `Vocabulary` refuses k = 1, where a base would have two ids.
    """

    k: int = field(default=1, init=False)
    version: str = field(default="v1", init=False)

    def __post_init__(self) -> None:
        pass

    @property
    def base_offset(self) -> int:
        return self.kmer_offset


def to_codes(sequence: str | bytes | bytearray) -> NDArray[np.uint8]:
    """Return the base codes of a sequence, uint8[n]; all but A, C, G, T in either case is N."""
    from dnalm.genome.token_loops import classify_letters  # numba: not where rules are read

    if isinstance(sequence, str):
        sequence = sequence.encode("ascii", "replace")
    codes = np.empty(len(sequence), dtype=np.uint8)
    classify_letters(np.frombuffer(sequence, dtype=np.uint8), codes)
    return codes


def to_sequence(codes: NDArray[np.uint8]) -> str:
    """Return the upper-case sequence of base codes."""
    return _BYTE_OF_CODE[codes].tobytes().decode("ascii")


def reverse_complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the reverse complement of base codes; N stays N."""
    return _COMPLEMENT[codes[::-1]]


def other_strand(sequence: str) -> str:
    """Return the reverse complement of a sequence of A, C, G, T and N."""
    return to_sequence(reverse_complement(to_codes(sequence)))


def kmer_indexes(codes: NDArray[np.uint8], k: int) -> NDArray[np.uint16]:
    """Return the k-mer index, 0 .. 4**k - 1, at every base (stride 1), uint16[n - k + 1].

    Indexes of k-mers that hold an N mean nothing.
    """
    stop = len(codes) - k + 1
    indexes = np.zeros(max(stop, 0), dtype=np.uint16)
    # A base is two bits, the first of a k-mer the most significant: k shifts of the whole array.
    for position in range(k if stop > 0 else 0):
        indexes <<= 2
        indexes |= codes[position : position + stop]
    return indexes


def count_kmers(codes: NDArray[np.uint8], k: int) -> NDArray[np.int64]:
    """Return k-mer counts at stride 1, int64[4**k]; k-mers that hold an N are not counted."""
    indexes = kmer_indexes(codes, k)
    is_n = codes == N
    if is_n.any():
        holds_n = np.zeros(len(indexes), dtype=bool)
        for position in range(k):
            holds_n |= is_n[position : position + len(indexes)]
        indexes = indexes[~holds_n]
    return np.bincount(indexes, minlength=4**k)


def encode(codes: NDArray[np.uint8], vocabulary: Vocabulary) -> NDArray[np.uint16]:
    """Return the token ids of base codes by the exact rule, uint16[T] with <cls> first."""
    from dnalm.genome.token_loops import encode_exactly  # numba: not where rules are read

    tokens = np.empty(1 + len(codes), dtype=np.uint16)
    tokens[0] = vocabulary.cls
    offsets = vocabulary.kmer_offset, vocabulary.base_offset
    count = encode_exactly(codes, vocabulary.k, *offsets, tokens[1:])
    return tokens[: 1 + count].copy()


def encode_windows(
    windows: NDArray[np.uint8], vocabulary: Vocabulary, tokens: int
) -> NDArray[np.uint16]:
    """Return the first `tokens` tokens of each window, <cls> included: uint8[B, n] to uint16[B, T].

    The same as `encode` row by row, without its cost for rows that hold no N.

    Raises ValueError when n bases can make fewer than `tokens` tokens.
    """
    from dnalm.genome.token_loops import encode_exactly, index_kmers

    rows, n = windows.shape
    kmers, singles = divmod(n, vocabulary.k)
    # An N is a token of its own and cuts k-mers short: rows with N never have fewer tokens.
    if tokens < 1 or tokens > 1 + kmers + singles:
        raise ValueError(f"{n} bases do not make {tokens} tokens of {vocabulary.k}-mers")
    kmers = min(kmers, tokens - 1)
    singles = tokens - 1 - kmers
    result = np.empty((rows, tokens), dtype=np.uint16)
    result[:, 0] = vocabulary.cls
    index_kmers(windows, kmers, vocabulary.k, vocabulary.kmer_offset, result)
    if singles:
        stop = kmers * vocabulary.k
        result[:, 1 + kmers :] = windows[:, stop : stop + singles]
        result[:, 1 + kmers :] += np.uint16(vocabulary.base_offset)
    offsets = vocabulary.kmer_offset, vocabulary.base_offset
    for row in np.flatnonzero(windows.max(axis=1, initial=0) == N):
        encode_exactly(windows[row], vocabulary.k, *offsets, result[row, 1:])
    return result


def bases_per_token(ids: ArrayLike, vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """Return the number of bases of each token: k, 1 for a single base or N, 0 for specials."""
    ids = np.asarray(ids)
    is_kmer = (ids >= vocabulary.kmer_offset) & (ids < vocabulary.base_offset)
    is_base = (ids >= vocabulary.base_offset) & (ids <= vocabulary.n_id)
    return np.where(is_kmer, vocabulary.k, is_base).astype(np.uint8)
