"""Compiled loops of tokenisation, see `dnalm.genome.kmers`.

Shapes: n bases, B windows, T tokens with <cls>, W k-mers of a window.
"""

import numpy as np

from dnalm.compiled import compiled

LARGEST_BASE = 3  # codes above it are N
A, T, C, G = (ord(letter) for letter in "ATCG")


@compiled
def index_kmers(windows, words, k, offset, result):
    """Write the ids of the first W k-mers of windows without N, [B, n], into `result` [B, 1 + W].

    Its first column is left alone.
    """
    for row in range(len(result)):
        codes = windows[row]
        if k == 6:
            # Written out, the compiler makes vector instructions of it: ten times as fast.
            for word in range(words):
                first = 6 * word
                result[row, word + 1] = np.uint16(
                    (np.uint32(codes[first]) << 10)
                    + (np.uint32(codes[first + 1]) << 8)
                    + (np.uint32(codes[first + 2]) << 6)
                    + (np.uint32(codes[first + 3]) << 4)
                    + (np.uint32(codes[first + 4]) << 2)
                    + np.uint32(codes[first + 5])
                    + offset
                )
        else:
            for word in range(words):
                index = 0
                for place in range(k * word, k * word + k):
                    index = 4 * index + codes[place]
                result[row, word + 1] = index + offset


@compiled
def encode_exactly(codes, k, kmer_offset, base_offset, result):
    """Write token ids of n codes, without <cls>, until `result` is full; return how many.

    Where no k-mer begins, because an N or the end is near, a base is a token of its own, and so
    is every N.
    """
    n, place, token = len(codes), 0, 0
    while place < n and token < len(result):
        index, known = 0, place + k <= n
        if known:
            for other in range(place, place + k):
                known &= codes[other] <= LARGEST_BASE
                index = 4 * index + codes[other]
        if known:
            result[token] = index + kmer_offset
            place += k
        else:
            result[token] = codes[place] + base_offset
            place += 1
        token += 1
    return token


@compiled
def classify_letters(letters, codes):
    """Write the code of each letter, ASCII in either case; all but A, C, G and T are N."""
    for place in range(len(letters)):
        upper = letters[place] & np.uint8(0xDF)
        # Without a branch, so that the compiler makes vector instructions of it.
        code = np.uint8(LARGEST_BASE + 1)
        code = np.uint8(0) if upper == A else code
        code = np.uint8(1) if upper == T else code
        code = np.uint8(2) if upper == C else code
        code = np.uint8(3) if upper == G else code
        codes[place] = code
