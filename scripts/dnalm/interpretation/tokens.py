"""Windows of a genome as tokens, and the elements among them.

Shape letters: W windows, T tokens of a window without `<cls>`.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import Vocabulary, bases_per_token, encode
from dnalm.interpretation.elements import Elements, mask_bases, mask_tokens
from dnalm.interpretation.windows import read_codes


def tokens_of(
    windows: pd.DataFrame, genome: GenomeBases, vocabulary: Vocabulary, max_tokens: int
) -> NDArray[np.int64]:
    """Return the token ids int64[W, T + 1] of windows of one length without N, `<cls>` first.

    Raises InputError when the windows are longer than the model reads.
    """
    rows = [encode(read_codes(genome, row), vocabulary) for row in windows.itertuples(index=False)]
    tokens = np.stack(rows).astype(np.int64)
    if tokens.shape[1] > max_tokens:
        raise InputError(
            f"Windows of {int(windows['end'].iloc[0] - windows['start'].iloc[0]):,} bases make "
            f"{tokens.shape[1]:,} tokens with <cls>, but the model takes at most {max_tokens:,}; "
            "lower `bases` of the annotation."
        )
    return tokens


def element_masks(
    windows: pd.DataFrame, tokens: NDArray[np.int64], vocabulary: Vocabulary, elements: Elements
) -> Iterator[dict[str, NDArray[np.bool_]]]:
    """Yield for each window the masks bool[T] of its tokens by element, `<cls>` left out."""
    for row, ids in zip(windows.itertuples(index=False), tokens, strict=True):
        bases = bases_per_token(ids, vocabulary).astype(np.int64)
        masks = {}
        for name, by_contig in elements.items():
            spans = by_contig.get(row.contig)
            if spans is None:
                masks[name] = np.zeros(len(ids) - 1, dtype=bool)
            else:
                mask = mask_bases(spans, int(row.start), int(row.end))
                masks[name] = mask_tokens(mask, bases)[1:]
        yield masks
