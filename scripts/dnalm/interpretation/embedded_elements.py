"""Vectors of elements by models that are not ours, by the bases that each token covers.

Shape letters: W windows, T tokens, D width.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnalm.genome.kmers import to_sequence
from dnalm.interpretation.annotated import BATCH_TOKENS, AnnotatedWindows
from dnalm.interpretation.elements import mask_bases
from dnalm.interpretation.windows import read_codes
from dnalm.jobs.progress import progress


def embed_elements(
    annotated: AnnotatedWindows, entry: Mapping[str, Any], layers: Sequence[int]
) -> dict[int, NDArray[np.float32]]:
    """Return the mean states of each window's element, float32 [W, D], by layer from 1 on.

    `entry` says how the embedder is opened. Raises InputError for windows over its longest input.
    """
    import torch

    from dnalm.devices import best_device
    from dnalm.model.embedders.contract import check_lengths, count_tokens, embed_checked
    from dnalm.model.embedders.opening import name_embedder, open_embedder

    embedder, name = open_embedder(entry, str(best_device())), name_embedder(entry)
    elements, rows = annotated.elements(), list(annotated.windows.itertuples(index=False))
    texts = [to_sequence(read_codes(annotated.genome, row)) for row in rows]
    places = [f"{row.contig}:{row.start + 1}-{row.end}" for row in rows]
    tokens = count_tokens(embedder, texts)
    check_lengths(embedder, name, texts, places, tokens)
    size = max(1, BATCH_TOKENS // int(tokens.max()))
    vectors = {layer: np.empty((len(rows), embedder.width), np.float32) for layer in layers}
    starts = range(0, len(rows), size)
    for start in progress(starts, "embed elements", "batches", len(starts)):
        chosen = slice(start, start + size)
        with torch.inference_mode():
            answers = embed_checked(embedder, name, texts[chosen], places[chosen])
        for at, (row, (states, spans)) in enumerate(
            zip(rows[chosen], answers, strict=True), start=start
        ):
            mask = mask_bases(elements[row.element][row.contig], int(row.start), int(row.end))
            inside = mask_spans(mask, spans)
            for layer in layers:
                vectors[layer][at] = states[layer - 1][inside].mean(0).cpu().numpy()
    return vectors


def mask_spans(mask: NDArray[np.bool_], spans: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return bool[T]: the tokens of an element, or those in the middle if it is that short.

    `mask` is that of the window's bases, `spans` [T, 2] the bases that each token covers.
    """
    inside = mask_covered(mask, spans)
    if not inside.any():
        middle = len(mask) // 2
        inside = (spans[:, 0] <= middle) & (middle < spans[:, 1])
    return inside


def mask_covered(mask: NDArray[np.bool_], spans: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return bool[T]: the tokens of which at least half of the bases lie in an element."""
    before = np.concatenate([[0], np.cumsum(mask)])
    bases = spans[:, 1] - spans[:, 0]
    return (2 * (before[spans[:, 1]] - before[spans[:, 0]]) >= bases) & (bases > 0)
